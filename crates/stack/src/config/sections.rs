//! The sections and their keys, with their defaults.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize, Serializer};
use toml::Table;

/// A key or token: never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str("(set)")
    }
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$key_doc])* pub $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}

section! {
    /// The whole file.
    Config {
        /// `[server]`
        server: Server = Server::default(),
        /// `[vad]`
        vad: Vad = Vad::default(),
        /// `[turn]`
        turn: Turn = Turn::default(),
        /// `[stt]`
        stt: Stt = Stt::default(),
        /// `[llm]`
        llm: Llm = Llm::default(),
        /// `[tts]`
        tts: Tts = Tts::default(),
        /// `[embed]`
        embed: Embed = Embed::default(),
        /// `[pool]`
        pool: Pool = Pool::default(),
        /// `[emotion]`
        emotion: Emotion = Emotion::default(),
        /// `[memory]`
        memory: Memory = Memory::default(),
        /// `[kb]`
        kb: Kb = Kb::default(),
        /// `[fallback]`
        fallback: Fallback = Fallback::default(),
        /// `[cache]`
        cache: Cache = Cache::default(),
        /// `[agent]`
        agent: Agent = Agent::default(),
        /// `[telephony]`
        telephony: Telephony = Telephony::default(),
        /// `[telemetry]`
        telemetry: Telemetry = Telemetry::default(),
    }
}

impl Config {
    /// Types the merged values; the message names the key.
    pub(super) fn try_from_table(table: Table) -> std::result::Result<Self, String> {
        super::engines::expand(table)?.try_into().map_err(|e: toml::de::Error| e.to_string())
    }

    /// Where data is kept: `[server] data_dir`, or else a folder in the user's data directory.
    pub fn data_dir(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.server.data_dir {
            return Ok(dir.clone());
        }
        let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
        Ok(home.context("no HOME: set [server] data_dir")?.join("antiphon"))
    }

    /// Where models are kept.
    pub fn models_dir(&self) -> Result<PathBuf> {
        Ok(self.data_dir()?.join("models"))
    }
}

section! {
    /// How the server listens and what it allows.
    Server {
        /// Where to listen.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7700)),
        /// Where models and data are kept; the user's data directory when not set.
        data_dir: Option<PathBuf> = None,
        /// Certificate and key.
        tls: Option<Tls> = None,
        /// Keys that let a client in; without any, only this machine may connect.
        api_keys: Vec<Secret> = Vec::new(),
        /// The most audio of a reply in one message, 20 to 200 in steps of 20: longer ones are fewer messages, and of
        /// shorter ones less is lost when the caller interrupts.
        frame_ms: u64 = 100,
        /// Threads on which calls are held; as many as there are cores when not set. Models have their own.
        worker_threads: Option<usize> = None,
        /// What is refused.
        limits: Limits = Limits::default(),
    }
}

/// Certificate and key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

section! {
    /// What the server refuses.
    Limits {
        /// Calls at a time; when not set, what `antiphon load stress --save` found that this machine holds, else 1000.
        max_calls: Option<usize> = None,
        /// The largest upload of audio in MiB.
        max_upload_mb: usize = 256,
        /// How long calls may go on when the server is told to stop, in seconds.
        drain_s: u64 = 30,
    }
}

/// Which voice activity detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VadEngine {
    /// The neural one.
    Silero,
    /// By level alone: needs no model.
    Energy,
}

section! {
    /// Voice activity detection.
    Vad {
        /// Which detector.
        engine: VadEngine = VadEngine::Silero,
        /// Probability at which speech begins.
        threshold: f32 = 0.5,
        /// With `silero`: whether what is plainly no speech is kept from the model.
        gate: bool = true,
    }
}

/// What ends a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnEngine {
    /// The sound of the last seconds, with a cap on silence.
    Smart,
    /// Silence alone.
    Silence,
}

section! {
    /// Turn-taking.
    Turn {
        /// What ends a turn.
        engine: TurnEngine = TurnEngine::Smart,
        /// With `silence`: silence that ends a turn.
        silence_ms: u64 = 500,
        /// With `smart`: silence after a turn that sounds complete.
        min_silence_ms: u64 = 224,
        /// With `smart`: silence that ends any turn.
        max_silence_ms: u64 = 1_500,
        /// Silence after which a reply is prepared.
        speculate_ms: u64 = 96,
        /// Whether the person may interrupt.
        barge_in: bool = true,
        /// Silence after which the person is asked again; 0 never.
        reprompt_ms: u64 = 0,
        /// How often before the goodbye.
        max_reprompts: u32 = 2,
    }
}

section! {
    /// Speech to text.
    Stt {
        /// `moonshine`, `openai`, `deepgram`, `assemblyai`, `sim` or `fake`.
        engine: String = "moonshine".to_owned(),
        /// Several engines instead, in the order in which they are tried: names, or tables of keys of this section.
        engines: Vec<Stt> = Vec::new(),
        /// With a remote engine: the model's name there.
        model: Option<String> = None,
        /// Where a remote engine is; with `openai`, any server that speaks OpenAI's transcriptions, up to and with `/v1`.
        base_url: Option<String> = None,
        /// With a remote engine: the key.
        api_key: Option<Secret> = None,
        /// With a remote engine: the most requests at a time; how many it takes at its best is found out below that.
        max_concurrent: Option<usize> = None,
        /// Words that are likely to be said, such as names; for engines that take them.
        keyterms: Vec<String> = Vec::new(),
        /// ISO 639-1.
        language: Option<String> = None,
        /// What an hour of audio sent costs, in any currency, the same for all sections.
        hour_price: Option<f64> = None,
        /// With `sim`: from the question to the answer.
        delay_ms: u64 = 100,
        /// With `sim`: what is understood.
        text: String = "What is the status of my order?".to_owned(),
        /// With `sim`: share of requests that fail, 0 to 1.
        fail_rate: f64 = 0.0,
        /// With `sim`: share of requests that never answer, 0 to 1.
        stall_rate: f64 = 0.0,
        /// With `sim`: up to this is added to each delay.
        jitter_ms: u64 = 0,
        /// With `sim`: makes faults repeatable.
        seed: u64 = 0,
    }
}

section! {
    /// The language model.
    Llm {
        /// `llama`, `openai`, `anthropic`, `gemini`, `sim` or `fake`; `openai` when only a base_url is given.
        engine: String = "llama".to_owned(),
        /// Several engines instead, in the order in which they are tried: names, or tables of keys of this section.
        engines: Vec<Llm> = Vec::new(),
        /// With `llama`: a GGUF file instead of the default model. With a remote engine: the model's name there.
        model: Option<String> = None,
        /// Where a remote engine is; with `openai`, any server that speaks OpenAI's chat completions, up to and with
        /// `/v1`.
        base_url: Option<String> = None,
        /// With a remote engine: the key.
        api_key: Option<Secret> = None,
        /// With a remote engine: the most requests at a time; how many it takes at its best is found out below that.
        max_concurrent: Option<usize> = None,
        /// With `openai` on Azure's older paths: the version of its interface.
        api_version: Option<String> = None,
        /// The longest reply in tokens.
        max_tokens: u32 = 120,
        /// Randomness.
        temperature: f32 = 0.2,
        /// With `llama`: tokens that all conversations together may hold.
        context: u32 = 8_192,
        /// With `llama`: replies made at once.
        parallel: u32 = 8,
        /// With `llama`: threads; as many as there are cores when not set.
        threads: Option<usize> = None,
        /// With `llama`: tokens of a prompt read in one step beside replies under way, 8 to 512.
        prompt_batch: usize = 32,
        /// What a million tokens read cost, in any currency, the same for all sections.
        input_price: Option<f64> = None,
        /// The same of tokens read from a cache; as `input_price` when not set.
        cached_price: Option<f64> = None,
        /// What a million tokens written cost.
        output_price: Option<f64> = None,
        /// With `sim`: until the first token.
        first_token_ms: u64 = 200,
        /// With `sim`: from token to token.
        token_ms: u64 = 10,
        /// With `sim`: tokens in a reply.
        tokens: usize = 20,
        /// With `sim`: what is answered.
        text: String = "Your order has been shipped, and it will arrive on Thursday before noon.".to_owned(),
        /// With `sim`: share of requests that fail, 0 to 1.
        fail_rate: f64 = 0.0,
        /// With `sim`: share of requests that never answer, 0 to 1.
        stall_rate: f64 = 0.0,
        /// With `sim`: up to this is added to each delay.
        jitter_ms: u64 = 0,
        /// With `sim`: makes faults repeatable.
        seed: u64 = 0,
    }
}

section! {
    /// Text to speech.
    Tts {
        /// `piper`, `kokoro`, `openai`, `elevenlabs`, `cartesia`, `deepgram`, `sim` or `fake`.
        engine: String = "piper".to_owned(),
        /// Several engines instead, in the order in which they are tried: names, or tables of keys of this section.
        engines: Vec<Tts> = Vec::new(),
        /// With `piper`: a voice file instead of the default. With `kokoro`: a folder like the default's. With a remote
        /// engine: the model's name there.
        model: Option<String> = None,
        /// Where a remote engine is; with `openai`, any server that speaks OpenAI's speech, up to and with `/v1`.
        base_url: Option<String> = None,
        /// With a remote engine: the key.
        api_key: Option<Secret> = None,
        /// With a remote engine: the most requests at a time; how many it takes at its best is found out below that.
        max_concurrent: Option<usize> = None,
        /// With a remote engine: the voices that may be asked for, the default first.
        voices: Vec<String> = Vec::new(),
        /// Speed of speech.
        speed: f32 = 1.0,
        /// What a million characters sent cost, in any currency, the same for all sections.
        million_price: Option<f64> = None,
        /// With `sim`: until the first audio of a clause.
        first_audio_ms: u64 = 80,
        /// With `sim`: length of a clause.
        audio_ms: u64 = 2_000,
        /// With `sim`: whether audio comes no faster than it plays.
        realtime: bool = true,
        /// With `sim`: share of requests that fail, 0 to 1.
        fail_rate: f64 = 0.0,
        /// With `sim`: share of requests that never answer, 0 to 1.
        stall_rate: f64 = 0.0,
        /// With `sim`: up to this is added to each delay.
        jitter_ms: u64 = 0,
        /// With `sim`: makes faults repeatable.
        seed: u64 = 0,
    }
}

section! {
    /// The threads that all embedded models but the language model share.
    Pool {
        /// How many; as many as there are cores when not set.
        threads: Option<usize> = None,
        /// The most jobs in one batch, 1 to 32.
        max_batch: usize = 32,
    }
}

section! {
    /// Embeddings.
    Embed {
        /// `minilm`, `openai`, `sim` or `fake`.
        engine: String = "minilm".to_owned(),
        /// Several engines of the same model instead, in the order in which they are tried.
        engines: Vec<Embed> = Vec::new(),
        /// With `openai`: the model's name there.
        model: Option<String> = None,
        /// With `openai`: any server that speaks OpenAI's embeddings, up to and with `/v1`.
        base_url: Option<String> = None,
        /// With `openai`: the key.
        api_key: Option<Secret> = None,
        /// With a remote engine: the most requests at a time; how many it takes at its best is found out below that.
        max_concurrent: Option<usize> = None,
        /// With `openai`: the length of a vector; OpenAI's own models need not be told.
        dimensions: Option<usize> = None,
        /// The most texts in one batch, 2 to 50.
        max_batch: usize = 50,
    }
}

/// Whether it is found out how a person feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EmotionEngine {
    /// From the embedding of their words.
    MiniLm,
    /// Never.
    Off,
}

section! {
    /// How the person feels.
    Emotion {
        /// `minilm` or `off`; when not set, `minilm` if that is `[embed] engine`.
        engine: Option<EmotionEngine> = None,
    }
}

section! {
    /// What is remembered of persons.
    Memory {
        /// Whether anything is. It is kept in the process, until that ends.
        enabled: bool = true,
    }
}

section! {
    /// What is known.
    Kb {
        /// Text and Markdown files, read when the server starts.
        files: Vec<PathBuf> = Vec::new(),
    }
}

section! {
    /// When another engine of a stage takes over, and when one is asked again.
    Fallback {
        /// The language model's first token is awaited for this long while there is another engine.
        llm_first_ms: u64 = 2_000,
        /// And each token after it.
        llm_stall_ms: u64 = 600,
        /// The same of a voice's first audio.
        tts_first_ms: u64 = 1_500,
        /// And of each piece after it.
        tts_stall_ms: u64 = 600,
        /// And of what speech recognition answers in a pause.
        stt_first_ms: u64 = 1_500,
        /// Whether a request that is slower than 19 of 20 goes to the next engine as well: the first answer counts.
        hedge: bool = false,
        /// The most of the requests that may be asked twice, 0 to 1.
        hedge_share: f64 = 0.05,
    }
}

/// Whether what the language model answered is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyCache {
    /// Never.
    Off,
    /// When the same is asked in the same situation.
    Exact,
    /// Also when it is asked in other words, as far as answers were seen to agree.
    Semantic,
}

section! {
    /// What is kept so that it need not be made again.
    Cache {
        /// Whether anything is.
        enabled: bool = true,
        /// How long it may be used, for kinds that do not say themselves.
        ttl_s: u64 = 3_600,
        /// Replies: `exact`, `semantic` or `off`.
        reply: ReplyCache = ReplyCache::Exact,
        /// With `semantic`: the share of all questions that may get a wrong reply, 0.001 to 0.2.
        reply_error_bound: f64 = 0.01,
        /// How long a reply may be used.
        reply_ttl_s: Option<u64> = None,
        /// Room in memory.
        reply_mb: u64 = 16,
        /// Whether a question that can be understood by itself is answered in the middle of a conversation by what was
        /// answered to it at the beginning of another.
        reply_standalone: bool = false,
        /// Whether replies are kept that are soon out of date: the time, the weather.
        reply_time_dependent: bool = false,
        /// Whether spoken clauses are kept, as Opus.
        speech: bool = true,
        /// How long one may be used.
        speech_ttl_s: Option<u64> = None,
        /// Room in memory.
        speech_mb: u64 = 64,
        /// Whether embeddings are kept.
        embedding: bool = true,
        /// How long one may be used.
        embedding_ttl_s: Option<u64> = None,
        /// Room in memory.
        embedding_mb: u64 = 32,
        /// Whether what searches of memories and knowledge found is kept, until they change.
        result: bool = true,
        /// How long it may be used.
        result_ttl_s: Option<u64> = None,
        /// Room in memory.
        result_mb: u64 = 8,
        /// Whether it is kept on disk as well, in the data directory.
        disk: bool = true,
        /// Room on disk.
        disk_mb: u64 = 512,
        /// A Redis that several servers share, such as `redis://127.0.0.1:6379`.
        redis_url: Option<Secret> = None,
        /// Whether what the agent says by itself is spoken when the server starts, and again when nobody calls.
        warm: bool = true,
        /// Whether replies to what is likely asked next are made when there is time.
        predict: bool = false,
    }
}

section! {
    /// The agent.
    Agent {
        /// What it is told about itself.
        instructions: String = "You are a friendly voice assistant. Answer in one or two short spoken sentences. \
            Do not use lists or markdown.".to_owned(),
        /// A voice of the speech engine.
        voice: Option<String> = None,
        /// Said first.
        greeting: String = String::new(),
        /// Said before the call is ended for silence.
        goodbye: String = "Goodbye.".to_owned(),
        /// Whether its replies may come from the cache and go there.
        cache: bool = true,
        /// With `[cache] reply = "semantic"`: whether also those to the same question in other words.
        cache_other_words: bool = true,
    }
}

section! {
    /// How telephone companies reach the server.
    Telephony {
        /// The server's address as they see it, such as `https://voice.example.com`; else what they ask for.
        public_url: Option<String> = None,
        /// With what Twilio signs its requests; those that are not signed are refused.
        twilio_auth_token: Option<Secret> = None,
    }
}

section! {
    /// Logs, alerts and traces.
    Telemetry {
        /// `error`, `warn`, `info`, `debug`, `trace`, or directives of tracing's `EnvFilter`.
        log: String = "info".to_owned(),
        /// `text` or `json`.
        log_format: String = "text".to_owned(),
        /// Where alerts are posted. An address that nobody else knows is often all that protects a webhook.
        alert_webhook: Option<Secret> = None,
        /// With what they are signed.
        alert_webhook_secret: Option<Secret> = None,
        /// An OpenTelemetry collector that takes spans by OTLP over HTTP, such as `http://localhost:4318`.
        otlp_endpoint: Option<String> = None,
        /// Whether settings that are safe while serving are tuned, and what hurts undone.
        tune: bool = false,
        /// The collector's key, if it wants one.
        otlp_key: Option<Secret> = None,
    }
}
