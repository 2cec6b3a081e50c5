//! The sections of the stages `[stt]`, `[llm]`, `[tts]` and `[embed]`, and of the fallback between their engines.

use antiphon_core::settings::Check;
use antiphon_core::{choices, settings};
use antiphon_providers::local::llama_settings::LlamaSettings;
use antiphon_providers::scripted::sim::{SimLlm, SimStt, SimTts};
use antiphon_providers::vendors::assemblyai::AssemblyAiSettings;
use antiphon_providers::vendors::cartesia::CartesiaSettings;
use antiphon_providers::vendors::deepgram::{DeepgramListenSettings, DeepgramSpeechSettings};
use antiphon_providers::vendors::elevenlabs::ElevenLabsSettings;
use antiphon_providers::vendors::gemini::GeminiSettings;
use antiphon_providers::vendors::openai::{
    OpenAiChatSettings, OpenAiEmbedSettings, OpenAiSpeechSettings, OpenAiTranscriptionSettings,
};

use super::secret::Secret;

/// Range of prices: any amount from zero.
const PRICE: Check = Check::AtLeast(0.0);
choices! {
    /// Which recogniser.
    pub enum SttEngine {
        /// Embedded: Moonshine.
        Moonshine = "moonshine",
        /// Any server with OpenAI's `/audio/transcriptions`.
        OpenAi = "openai",
        /// Deepgram's servers.
        Deepgram = "deepgram",
        /// AssemblyAI's servers.
        AssemblyAi = "assemblyai",
        /// Simulated, for load tests.
        Sim = "sim",
        /// Fixed answers, for tests.
        Fake = "fake",
    }
}

impl SttEngine {
    /// Whether the engine is a remote server.
    pub const fn is_remote(self) -> bool {
        matches!(self, Self::OpenAi | Self::Deepgram | Self::AssemblyAi)
    }
}

settings! {
    /// Speech to text.
    pub struct Stt {
        /// `moonshine` is embedded; `openai`, `deepgram` and `assemblyai` are servers; `sim` is simulated.
        engine: SttEngine = SttEngine::Moonshine, own();
        /// Several engines instead of one, in the order in which they are tried: names, or tables of this section's keys.
        engines: Vec<Stt> = Vec::new(), own();
        /// Of a server: its name of the model.
        model: Option<String> = None, own(), example("\"nova-3\"");
        /// Where the server is. With `openai`: any server that speaks OpenAI's transcriptions, up to and with `/v1`.
        base_url: Option<String> = None, own(), example("\"http://127.0.0.1:8000/v1\"");
        /// The server's key.
        api_key: Option<Secret> = None, own(), example("\"${DEEPGRAM_API_KEY}\"");
        /// The most requests at a time to a server. Below that, Antiphon finds out how many the server takes at its best.
        max_concurrent: Option<usize> = None, own(), example("50");
        /// Words that are likely to be said, such as names, for engines that take them.
        keyterms: Vec<String> = Vec::new();
        /// The language that is spoken, as ISO 639-1.
        language: Option<String> = None, example("\"en\"");
        /// What an hour of audio costs, in any currency, the same for all sections.
        hour_price: Option<f64> = None, own(), check(PRICE), example("0.46");
        /// `[stt.openai]`
        openai: OpenAiTranscriptionSettings = OpenAiTranscriptionSettings::default();
        /// `[stt.deepgram]`
        deepgram: DeepgramListenSettings = DeepgramListenSettings::default();
        /// `[stt.assemblyai]`
        assemblyai: AssemblyAiSettings = AssemblyAiSettings::default();
        /// `[stt.sim]`
        sim: SimStt = SimStt::default();
    }
}

choices! {
    /// Which language model.
    pub enum LlmEngine {
        /// Embedded: llama.cpp.
        Llama = "llama",
        /// Any server with OpenAI's `/chat/completions`.
        OpenAi = "openai",
        /// Anthropic's servers.
        Anthropic = "anthropic",
        /// Google's servers: Gemini.
        Gemini = "gemini",
        /// Simulated, for load tests.
        Sim = "sim",
        /// Fixed answers, for tests.
        Fake = "fake",
    }
}

impl LlmEngine {
    /// Whether the engine is a remote server.
    pub const fn is_remote(self) -> bool {
        matches!(self, Self::OpenAi | Self::Anthropic | Self::Gemini)
    }
}

settings! {
    /// The language model.
    pub struct Llm {
        /// `llama` is embedded; `openai`, `anthropic` and `gemini` are servers; `sim` is simulated. With only a
        /// `base_url`: `openai`.
        engine: LlmEngine = LlmEngine::Llama, own();
        /// Several engines instead of one, in the order in which they are tried: names, or tables of this section's keys.
        engines: Vec<Llm> = Vec::new(), own();
        /// With `llama`: a GGUF file instead of the default model. Of a server: its name of the model.
        model: Option<String> = None, own(), example("\"path/to/any.gguf\"");
        /// Where the server is. With `openai`: any server that speaks OpenAI's chat completions, up to and with `/v1`.
        base_url: Option<String> = None, own(), example("\"http://127.0.0.1:8000/v1\"");
        /// The server's key.
        api_key: Option<Secret> = None, own(), example("\"${OPENAI_API_KEY}\"");
        /// The most requests at a time to a server. Below that, Antiphon finds out how many the server takes at its best.
        max_concurrent: Option<usize> = None, own(), example("50");
        /// The longest reply in tokens.
        max_tokens: u32 = 120;
        /// Randomness: 0 is the likeliest answer.
        temperature: f32 = 0.2;
        /// What a million tokens read cost, in any currency, the same for all sections. With it the dashboard shows what
        /// calls cost.
        input_price: Option<f64> = None, own(), check(PRICE), example("0.15");
        /// What a million tokens read from a cache cost. When not set: as `input_price`.
        cached_price: Option<f64> = None, own(), check(PRICE), example("0.075");
        /// What a million tokens written cost.
        output_price: Option<f64> = None, own(), check(PRICE), example("0.60");
        /// `[llm.llama]`
        llama: LlamaSettings = LlamaSettings::default();
        /// `[llm.openai]`
        openai: OpenAiChatSettings = OpenAiChatSettings::default();
        /// `[llm.gemini]`
        gemini: GeminiSettings = GeminiSettings::default();
        /// `[llm.sim]`
        sim: SimLlm = SimLlm::default();
    }
}

impl Llm {
    /// The engine in effect: `openai` where only an address is given.
    pub fn resolved_engine(&self) -> LlmEngine {
        match (self.engine, &self.base_url) {
            (LlmEngine::Llama, Some(_)) => LlmEngine::OpenAi,
            (engine, _) => engine,
        }
    }
}

choices! {
    /// Which voice.
    pub enum TtsEngine {
        /// Embedded: Piper.
        Piper = "piper",
        /// Embedded: Kokoro, which sounds better and takes more of the machine.
        Kokoro = "kokoro",
        /// Any server with OpenAI's `/audio/speech`.
        OpenAi = "openai",
        /// ElevenLabs' servers.
        ElevenLabs = "elevenlabs",
        /// Cartesia's servers.
        Cartesia = "cartesia",
        /// Deepgram's servers.
        Deepgram = "deepgram",
        /// Simulated, for load tests.
        Sim = "sim",
        /// Fixed audio, for tests.
        Fake = "fake",
    }
}

impl TtsEngine {
    /// Whether the engine is a remote server.
    pub const fn is_remote(self) -> bool {
        matches!(self, Self::OpenAi | Self::ElevenLabs | Self::Cartesia | Self::Deepgram)
    }
}

settings! {
    /// Text to speech.
    pub struct Tts {
        /// `piper` and `kokoro` (`antiphon models pull kokoro-82m`) are embedded; `openai`, `elevenlabs`, `cartesia` and
        /// `deepgram` are servers; `sim` is simulated.
        engine: TtsEngine = TtsEngine::Piper, own();
        /// Several engines instead of one, in the order in which they are tried: names, or tables of this section's keys.
        engines: Vec<Tts> = Vec::new(), own();
        /// With `piper`: a voice file instead of the default, with its `.onnx.json` beside it. With `kokoro`: a folder
        /// like the default's. Of a server: its name of the model.
        model: Option<String> = None, own(), example("\"path/to/voice.onnx\"");
        /// Where the server is. With `openai`: any server that speaks OpenAI's speech, up to and with `/v1`.
        base_url: Option<String> = None, own(), example("\"http://127.0.0.1:8000/v1\"");
        /// The server's key.
        api_key: Option<Secret> = None, own(), example("\"${ELEVENLABS_API_KEY}\"");
        /// The most requests at a time to a server. Below that, Antiphon finds out how many the server takes at its best.
        max_concurrent: Option<usize> = None, own(), example("50");
        /// Of a server: the voices that may be asked for, the default first.
        voices: Vec<String> = Vec::new(), own();
        /// Speed of speech; 1 is the voice's own.
        speed: f32 = 1.0, check(Check::Between(0.25, 4.0));
        /// What a million characters cost, in any currency, the same for all sections.
        million_price: Option<f64> = None, own(), check(PRICE), example("15.0");
        /// `[tts.openai]`
        openai: OpenAiSpeechSettings = OpenAiSpeechSettings::default();
        /// `[tts.elevenlabs]`
        elevenlabs: ElevenLabsSettings = ElevenLabsSettings::default();
        /// `[tts.cartesia]`
        cartesia: CartesiaSettings = CartesiaSettings::default();
        /// `[tts.deepgram]`
        deepgram: DeepgramSpeechSettings = DeepgramSpeechSettings::default();
        /// `[tts.sim]`
        sim: SimTts = SimTts::default();
    }
}

choices! {
    /// Which embedder.
    pub enum EmbedEngine {
        /// Embedded: MiniLM.
        MiniLm = "minilm",
        /// Any server with OpenAI's `/embeddings`.
        OpenAi = "openai",
        /// Simulated, for load tests.
        Sim = "sim",
        /// Fixed vectors, for tests.
        Fake = "fake",
    }
}

impl EmbedEngine {
    /// Whether the engine is a remote server.
    pub const fn is_remote(self) -> bool {
        matches!(self, Self::OpenAi)
    }
}

settings! {
    /// Embeddings: the meaning of texts, for memories, knowledge and caches.
    pub struct Embed {
        /// `minilm` is embedded; `openai` is a server; `sim` is simulated.
        engine: EmbedEngine = EmbedEngine::MiniLm, own();
        /// Several engines of the same model instead of one, in the order in which they are tried.
        engines: Vec<Embed> = Vec::new(), own();
        /// Of a server: its name of the model.
        model: Option<String> = None, own(), example("\"text-embedding-3-small\"");
        /// Any server that speaks OpenAI's embeddings, up to and with `/v1`.
        base_url: Option<String> = None, own(), example("\"http://127.0.0.1:8000/v1\"");
        /// The server's key.
        api_key: Option<Secret> = None, own(), example("\"${OPENAI_API_KEY}\"");
        /// The most requests at a time to a server. Below that, Antiphon finds out how many the server takes at its best.
        max_concurrent: Option<usize> = None, own(), example("50");
        /// The most texts that go to the engine at once.
        max_batch: usize = 50;
        /// `[embed.openai]`
        openai: OpenAiEmbedSettings = OpenAiEmbedSettings::default();
    }
}

settings! {
    /// When another engine of a stage takes over, and when one is asked twice. All times are in milliseconds.
    pub struct Fallback {
        /// How long the language model's first token is awaited while there is another engine.
        llm_first_ms: u64 = 2_000;
        /// How long each token after it is awaited.
        llm_stall_ms: u64 = 600;
        /// How long a voice's first audio is awaited.
        tts_first_ms: u64 = 1_500;
        /// How long each piece of audio after it is awaited.
        tts_stall_ms: u64 = 600;
        /// How long speech recognition's answer is awaited in a pause.
        stt_first_ms: u64 = 1_500;
        /// Whether a request that is slower than 19 of 20 goes to the next engine as well. The first answer counts.
        hedge: bool = false;
        /// The most of the requests that may be asked twice.
        hedge_share: f64 = 0.05, check(Check::Between(0.0, 1.0));
    }
}
