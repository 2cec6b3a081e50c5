//! The sections of the stages `[stt]`, `[llm]`, `[tts]` and `[embed]`.

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

use super::address::HTTP_URL;
use super::advanced::{AdvancedEmbed, AdvancedEngine};
use super::secret::Secret;

/// Requires a name that clients write and the model it means.
const ALIAS: Check = Check::Text {
    what: "a name, = and a model, such as gpt-4o=llama-3.3-70b",
    holds: |alias| alias_of(alias).is_some_and(|(name, model)| !name.is_empty() && !model.is_empty()),
};

/// Range of prices, in any currency: zero is free, and a thousand million of the weakest one is a typing error.
const PRICE: Check = Check::Between(0.0, 1e9);
/// Range of a reply's length in tokens. With 0 nothing would be said; no model writes a million in one reply.
const REPLY_TOKENS: Check = Check::Between(1.0, 1_000_000.0);
/// Range of randomness, as OpenAI has it; vendors with less refuse what is beyond theirs.
/// <https://platform.openai.com/docs/api-reference/chat/create>
const TEMPERATURE: Check = Check::Between(0.0, 2.0);

choices! {
    /// Which engine transcribes what a person says.
    pub enum SttEngine {
        /// Moonshine, which is embedded.
        Moonshine = "moonshine",
        /// Any server with OpenAI's `/audio/transcriptions`.
        OpenAi = "openai",
        /// The servers of Deepgram.
        Deepgram = "deepgram",
        /// The servers of AssemblyAI.
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
    /// Speech to text: the engine that transcribes what a person says.
    pub struct Stt {
        /// `moonshine` is embedded; `openai`, `deepgram` and `assemblyai` are servers; `sim` is simulated.
        engine: SttEngine = SttEngine::Moonshine, own();
        /// Several engines instead of one, in the order in which they are tried: names, or tables of this section's keys.
        engines: Vec<Stt> = Vec::new(), own();
        /// Of a server: its name of the model.
        model: Option<String> = None, own(), example("\"nova-3\"");
        /// Where the server is. With `openai`: any server that speaks OpenAI's transcriptions, up to and with `/v1`.
        base_url: Option<String> = None, own(), check(HTTP_URL), example("\"http://127.0.0.1:8000/v1\"");
        /// The API key for the server, if it wants one.
        api_key: Option<Secret> = None, own(), example("\"${DEEPGRAM_API_KEY}\"");
        /// Words that are likely to be said, such as names, for engines that take them.
        keyterms: Vec<String> = Vec::new();
        /// The language that is spoken, as ISO 639-1.
        language: Option<String> = None, example("\"en\"");
        /// What an hour of audio costs, in any currency, the same for all sections.
        hour_price: Option<f64> = None, own(), check(PRICE), example("0.46");
        /// The table `[stt.openai]`: what only servers with OpenAI's interface take.
        openai: OpenAiTranscriptionSettings = OpenAiTranscriptionSettings::default();
        /// The table `[stt.deepgram]`: what only Deepgram takes.
        deepgram: DeepgramListenSettings = DeepgramListenSettings::default();
        /// The table `[stt.assemblyai]`: what only AssemblyAI takes.
        assemblyai: AssemblyAiSettings = AssemblyAiSettings::default();
        /// The table `[stt.sim]`: what only the simulated engine takes.
        sim: SimStt = SimStt::default();
        /// The table `[stt.advanced]`: what few people set of an engine.
        advanced: AdvancedEngine = AdvancedEngine::default();
    }
}

choices! {
    /// Which engine writes the replies.
    pub enum LlmEngine {
        /// A GGUF model in llama.cpp, which is embedded.
        Llama = "llama",
        /// Any server with OpenAI's `/chat/completions`.
        OpenAi = "openai",
        /// The servers of Anthropic.
        Anthropic = "anthropic",
        /// Gemini on the servers of Google.
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
    /// The language model: the engine that writes the replies.
    pub struct Llm {
        /// `llama` is embedded; `openai`, `anthropic` and `gemini` are servers; `sim` is simulated. With only a
        /// `base_url`: `openai`.
        engine: LlmEngine = LlmEngine::Llama, own();
        /// Several engines instead of one, in the order in which they are tried: names, or tables of this section's keys.
        engines: Vec<Llm> = Vec::new(), own();
        /// With `llama`: a GGUF file instead of the default model. Of a server: its name of the model.
        model: Option<String> = None, own(), example("\"path/to/any.gguf\"");
        /// Names of models that clients of the REST interface may write, and the server's model that each means. All other names
        /// mean `model`.
        aliases: Vec<String> = Vec::new(), check(ALIAS), example("[\"gpt-4o=llama-3.3-70b\"]");
        /// Where the server is. With `openai`: any server that speaks OpenAI's chat completions, up to and with `/v1`.
        base_url: Option<String> = None, own(), check(HTTP_URL), example("\"http://127.0.0.1:8000/v1\"");
        /// The API key for the server, if it wants one.
        api_key: Option<Secret> = None, own(), example("\"${OPENAI_API_KEY}\"");
        /// The longest reply in tokens.
        max_tokens: u32 = 120, check(REPLY_TOKENS);
        /// Randomness: 0 is the likeliest answer.
        temperature: f32 = 0.2, check(TEMPERATURE);
        /// What a million tokens read cost, in any currency, the same for all sections. With it the dashboard shows what
        /// calls cost.
        input_price: Option<f64> = None, own(), check(PRICE), example("0.15");
        /// What a million tokens read from a cache cost. When not set: as `input_price`.
        cached_price: Option<f64> = None, own(), check(PRICE), example("0.075");
        /// What a million tokens written cost.
        output_price: Option<f64> = None, own(), check(PRICE), example("0.60");
        /// The table `[llm.llama]`: what only the embedded model takes.
        llama: LlamaSettings = LlamaSettings::default();
        /// The table `[llm.openai]`: what only servers with OpenAI's interface take.
        openai: OpenAiChatSettings = OpenAiChatSettings::default();
        /// The table `[llm.gemini]`: what only Gemini takes.
        gemini: GeminiSettings = GeminiSettings::default();
        /// The table `[llm.sim]`: what only the simulated engine takes.
        sim: SimLlm = SimLlm::default();
        /// The table `[llm.advanced]`: what few people set of an engine.
        advanced: AdvancedEngine = AdvancedEngine::default();
    }
}

/// The name that clients write and the model it means.
fn alias_of(alias: &str) -> Option<(&str, &str)> {
    alias.split_once('=').map(|(name, model)| (name.trim(), model.trim()))
}

impl Llm {
    /// Names of models that clients may write, each with the server's model that it means.
    pub fn model_aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().filter_map(|alias| alias_of(alias))
    }

    /// The engine in effect: `openai` where only an address is given.
    pub fn resolved_engine(&self) -> LlmEngine {
        match (self.engine, &self.base_url) {
            (LlmEngine::Llama, Some(_)) => LlmEngine::OpenAi,
            (engine, _) => engine,
        }
    }
}

choices! {
    /// Which engine speaks the replies.
    pub enum TtsEngine {
        /// Piper, which is embedded.
        Piper = "piper",
        /// Embedded: Kokoro, which sounds better and takes more of the machine.
        Kokoro = "kokoro",
        /// Any server with OpenAI's `/audio/speech`.
        OpenAi = "openai",
        /// The servers of ElevenLabs.
        ElevenLabs = "elevenlabs",
        /// The servers of Cartesia.
        Cartesia = "cartesia",
        /// The servers of Deepgram.
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
    /// Text to speech: the engine that speaks the replies.
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
        base_url: Option<String> = None, own(), check(HTTP_URL), example("\"http://127.0.0.1:8000/v1\"");
        /// The API key for the server, if it wants one.
        api_key: Option<Secret> = None, own(), example("\"${ELEVENLABS_API_KEY}\"");
        /// Of a server: the voices that may be asked for, the default first.
        voices: Vec<String> = Vec::new(), own();
        /// Speed of speech; 1 is the voice's own.
        speed: f32 = 1.0, check(Check::Between(0.25, 4.0));
        /// What a million characters cost, in any currency, the same for all sections.
        million_price: Option<f64> = None, own(), check(PRICE), example("15.0");
        /// The table `[tts.openai]`: what only servers with OpenAI's interface take.
        openai: OpenAiSpeechSettings = OpenAiSpeechSettings::default();
        /// The table `[tts.elevenlabs]`: what only ElevenLabs takes.
        elevenlabs: ElevenLabsSettings = ElevenLabsSettings::default();
        /// The table `[tts.cartesia]`: what only Cartesia takes.
        cartesia: CartesiaSettings = CartesiaSettings::default();
        /// The table `[tts.deepgram]`: what only Deepgram takes.
        deepgram: DeepgramSpeechSettings = DeepgramSpeechSettings::default();
        /// The table `[tts.sim]`: what only the simulated engine takes.
        sim: SimTts = SimTts::default();
        /// The table `[tts.advanced]`: what few people set of an engine.
        advanced: AdvancedEngine = AdvancedEngine::default();
    }
}

choices! {
    /// Which engine turns texts into vectors.
    pub enum EmbedEngine {
        /// MiniLM, which is embedded.
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
        base_url: Option<String> = None, own(), check(HTTP_URL), example("\"http://127.0.0.1:8000/v1\"");
        /// The API key for the server, if it wants one.
        api_key: Option<Secret> = None, own(), example("\"${OPENAI_API_KEY}\"");
        /// The table `[embed.openai]`: what only servers with OpenAI's interface take.
        openai: OpenAiEmbedSettings = OpenAiEmbedSettings::default();
        /// The table `[embed.advanced]`: what few people set of embeddings.
        advanced: AdvancedEmbed = AdvancedEmbed::default();
    }
}
