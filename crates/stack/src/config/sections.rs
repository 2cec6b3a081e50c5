//! The whole configuration, and the sections that belong to the server and the agent.

use std::net::SocketAddr;
use std::path::PathBuf;

use antiphon_core::settings::{Check, Setting};
use antiphon_core::{choices, settings};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::address::HTTP_URL;
use super::advanced::Advanced;
use super::cache::Cache;
use super::network::NETWORK;
use super::secret::Secret;
use super::stages::{Embed, Llm, Stt, Tts};

/// The environment variable with the models' folder, for the server and for its tests.
pub const MODELS_VARIABLE: &str = "ANTIPHON_MODELS";
/// Range of calls at a time. The largest server of today holds some ten thousand.
const CALLS: Check = Check::Between(1.0, 1_000_000.0);
/// Range of an upload's size in MiB. With 0 none could be sent; 64 GiB are a month of speech at 16 kHz.
const UPLOAD_MB: Check = Check::Between(1.0, 65_536.0);
/// Range of how long a server that stops waits for its calls, in seconds, up to a day.
const DRAIN_S: Check = Check::Between(0.0, 86_400.0);
/// Range of the probability at which speech begins. It ends 0.15 below (`HYSTERESIS` in `core/src/dialog.rs`), so with less than
/// 0.2 no turn would end; at 1 nothing would be speech.
const THRESHOLD: Check = Check::Between(0.2, 0.99);
/// Range of silence that ends a turn, in milliseconds, up to a minute. With 0 the agent would answer before a word is over.
const SILENCE_MS: Check = Check::Between(1.0, 60_000.0);
/// Range of silence after which the person is asked again, in milliseconds, up to an hour.
const REPROMPT_MS: Check = Check::Between(0.0, 3_600_000.0);
/// Range of how often the person is asked again.
const REPROMPTS: Check = Check::Between(0.0, 100.0);
/// Requires the public half of an Ed25519 key: 32 bytes in Base64. With any other, no webhook could be verified.
const PUBLIC_KEY: Check = Check::Text {
    what: "the public key of the Telnyx account, 44 characters of Base64",
    holds: |key| {
        let base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        key.strip_suffix('=').is_some_and(|digits| digits.len() == 43 && digits.chars().all(base64))
    },
};
/// Requires what can be said, and what a telephone company takes: at most 4,096 characters (Twilio's `<Say>`).
const SENTENCE: Check = Check::Text {
    what: "a sentence of at most 4096 characters",
    holds: |text| {
        let speakable =
            !text.trim().is_empty() && !text.chars().any(|c| c.is_control() && !c.is_whitespace());
        speakable && text.chars().count() <= 4_096
    },
};
/// How the log can be written.
const LOG_FORMATS: &[&str] = &["text", "json"];

settings! {
    /// Everything that can be set.
    pub struct Config {
        /// The table `[server]`: addresses, keys, folders and limits.
        server: Server = Server::default();
        /// The table `[vad]`: which sounds count as speech.
        vad: Vad = Vad::default();
        /// The table `[turn]`: when the agent may speak.
        turn: Turn = Turn::default();
        /// The table `[stt]`: the engine that transcribes.
        stt: Stt = Stt::default();
        /// The table `[llm]`: the engine that writes replies.
        llm: Llm = Llm::default();
        /// The table `[tts]`: the engine that speaks.
        tts: Tts = Tts::default();
        /// The table `[embed]`: the engine that turns texts into vectors.
        embed: Embed = Embed::default();
        /// The table `[emotion]`: whether it is judged how a person feels.
        emotion: Emotion = Emotion::default();
        /// The table `[memory]`: what is remembered of persons.
        memory: Memory = Memory::default();
        /// The table `[kb]`: the documents that the agent may look up.
        kb: Kb = Kb::default();
        /// The table `[cache]`: which results are kept and used again.
        cache: Cache = Cache::default();
        /// The table `[agent]`: what the agent is told and what it says by itself.
        agent: Agent = Agent::default();
        /// The table `[telephony]`: how telephone companies reach the server.
        telephony: Telephony = Telephony::default();
        /// The table `[telemetry]`: logs, alerts and traces.
        telemetry: Telemetry = Telemetry::default();
        /// The table `[advanced]`: what few people need to set.
        advanced: Advanced = Advanced::default();
    }
}

impl Config {
    /// The folder for data: `[server] data_dir`, or else a folder in the user's data directory.
    pub fn data_dir(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.server.data_dir {
            return Ok(dir.clone());
        }
        let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
        Ok(home.context("no HOME: set [server] data_dir")?.join("antiphon"))
    }

    /// The folder for models: `[server] models_dir`, or else a folder in the data directory.
    pub fn models_dir(&self) -> Result<PathBuf> {
        self.server.models_dir.clone().map_or_else(|| Ok(self.data_dir()?.join("models")), Ok)
    }
}

settings! {
    /// How the server listens, where it keeps things and what it allows.
    pub struct Server {
        /// Where to listen. Elsewhere than on this machine only with `api_keys`.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7700));
        /// Where data is kept. When not set: `antiphon` in the user's data directory.
        data_dir: Option<PathBuf> = None, example("\"/var/lib/antiphon\"");
        /// Where models are kept. When not set: `models` in the data directory. A second data directory need not have
        /// the models again.
        models_dir: Option<PathBuf> = None, example("\"/var/lib/antiphon/models\""), variable(MODELS_VARIABLE);
        /// Certificate and key for HTTPS, PEM files.
        tls: Option<Tls> = None, example("{ cert = \"cert.pem\", key = \"key.pem\" }");
        /// Keys that let a client in. Without any, only this machine may connect. A key can come from an environment
        /// variable: `["${ANTIPHON_KEY}"]`.
        api_keys: Vec<Secret> = Vec::new();
        /// Proxies before the server. Their `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto` are believed,
        /// those of everybody else are not.
        trusted_proxies: Vec<String> = Vec::new(), check(NETWORK);
        /// The table `[server.limits]`: what the server refuses.
        limits: Limits = Limits::default();
    }
}

/// Certificate and key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The file with the certificate chain, the server's own first.
    pub cert: PathBuf,
    /// The file with the certificate's private key.
    pub key: PathBuf,
}

impl Setting for Tls {
    const TYPE: &'static str = "table of `cert` and `key`";
    const LIST: &'static str = "list of tables of `cert` and `key`";
}

settings! {
    /// What the server refuses.
    pub struct Limits {
        /// Calls at a time. When not set: what `antiphon load stress --save` found that this machine holds, else 1000.
        max_calls: Option<usize> = None, check(CALLS), example("1000");
        /// Calls at a time with one key, or from one address where there are no keys; calls that a telephone company has signed
        /// do not count. When not set: half of `max_calls` if there are several keys or telephone companies sign, else all.
        max_calls_each: Option<usize> = None, check(CALLS), example("500");
        /// The largest upload of audio in MiB.
        max_upload_mb: usize = 256, check(UPLOAD_MB);
        /// How long calls may go on when the server is told to stop, in seconds; 0: they end at once. In the last 5 of them the agent says goodbye.
        drain_s: u64 = 30, check(DRAIN_S);
    }
}

choices! {
    /// What tells speech from other sounds.
    pub enum VadEngine {
        /// Silero's neural network, which is embedded.
        Silero = "silero",
        /// The level alone, which needs no model.
        Energy = "energy",
    }
}

settings! {
    /// Voice activity detection: whether somebody speaks.
    pub struct Vad {
        /// `silero`, a neural network, or `energy`, the level alone.
        engine: VadEngine = VadEngine::Silero;
        /// Probability at which speech begins.
        threshold: f32 = 0.5, check(THRESHOLD);
    }
}

choices! {
    /// What ends a turn.
    pub enum TurnEngine {
        /// The words, the sound of the last seconds and the length of the silence together.
        Smart = "smart",
        /// Silence of a fixed length, whatever was said before it.
        Silence = "silence",
    }
}

choices! {
    /// How certain it must be that a turn is over.
    pub enum TurnPatience {
        /// The agent answers fast, and more often while somebody only pauses.
        Low = "low",
        /// In between.
        Normal = "normal",
        /// The agent lets people think.
        High = "high",
    }
}

settings! {
    /// Turn-taking: when the agent speaks.
    pub struct Turn {
        /// What ends a turn: `smart`, its words, its sound and the silence after it, or `silence` alone.
        engine: TurnEngine = TurnEngine::Smart;
        /// With `smart`: how certain it must be that a turn is over. With `low` the agent answers fast, with `high` it lets people think.
        patience: TurnPatience = TurnPatience::Normal;
        /// With `silence`: silence that ends a turn, in milliseconds.
        silence_ms: u64 = 500, check(SILENCE_MS);
        /// With `smart`: silence that no turn ends before.
        min_silence_ms: u64 = 224, check(SILENCE_MS);
        /// With `smart`: silence that ends any turn; no less than `min_silence_ms`.
        max_silence_ms: u64 = 1_500, check(SILENCE_MS);
        /// Whether the person may interrupt the agent.
        barge_in: bool = true;
        /// Whether the agent's own voice, which comes back through a room or a line, is taken out of what is heard.
        cancel_echo: bool = true;
        /// Silence after which the person is asked again; 0: never.
        reprompt_ms: u64 = 0, check(REPROMPT_MS);
        /// How often the person is asked again before the agent says goodbye; 0: it says goodbye at once.
        max_reprompts: u32 = 2, check(REPROMPTS);
    }
}

choices! {
    /// Whether the agent learns how a person feels.
    pub enum EmotionEngine {
        /// From the embedding of their words.
        MiniLm = "minilm",
        /// Nothing is learned of feelings.
        Off = "off",
    }
}

settings! {
    /// How the person feels.
    pub struct Emotion {
        /// `minilm`, from the person's words, or `off`. When not set: `minilm` if that is `[embed] engine`.
        engine: Option<EmotionEngine> = None, example("\"off\"");
    }
}

settings! {
    /// What is remembered of persons.
    pub struct Memory {
        /// Whether anything is remembered. Memories last until the server stops.
        enabled: bool = true;
    }
}

settings! {
    /// What the agent knows.
    pub struct Kb {
        /// Text and Markdown files, such as `["faq.md"]`, read when the server starts.
        files: Vec<PathBuf> = Vec::new();
    }
}

settings! {
    /// The agent: what it is told and what it says by itself.
    pub struct Agent {
        /// What the language model is told about its task.
        instructions: String = "You are a friendly voice assistant. Answer in one or two short spoken sentences. \
            Do not use lists or markdown.".to_owned();
        /// A voice of the speech engine. When not set: the engine's first.
        voice: Option<String> = None, example("\"joe\"");
        /// Said at the start of a call.
        greeting: String = String::new();
        /// Said before a call is ended because the person is silent or the server stops.
        goodbye: String = "Goodbye.".to_owned();
        /// Tools that the server runs itself when the language model calls them. `time` tells the time and date.
        tools: Vec<String> = Vec::new(), example("[\"time\"]");
        /// Whether its replies may come from the cache and go there.
        cache: bool = true;
        /// With `[cache] reply = "semantic"`: whether replies to the same question in other words may be used.
        cache_other_words: bool = true;
    }
}

settings! {
    /// How telephone companies reach the server.
    pub struct Telephony {
        /// The server's address as they see it. When not set: the address that they ask for.
        public_url: Option<String> = None, check(HTTP_URL), example("\"https://voice.example.com\"");
        /// With it Twilio signs its requests. When it is set, requests without a valid signature are refused.
        twilio_auth_token: Option<Secret> = None, example("\"${TWILIO_AUTH_TOKEN}\"");
        /// The public key of the Telnyx account. When it is set, webhooks that Telnyx did not sign are refused.
        telnyx_public_key: Option<String> = None, check(PUBLIC_KEY),
            example("\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"");
        /// A secret of your own that Telnyx shows when it opens the media socket (`stream_auth_token`). When it is set,
        /// media sockets that do not show it are refused.
        telnyx_stream_token: Option<Secret> = None, example("\"${TELNYX_STREAM_TOKEN}\"");
        /// What callers are told while no more calls are admitted. When not set: they hear the busy tone, and nobody pays for the call.
        busy_message: Option<String> = None, check(SENTENCE),
            example("\"All our lines are busy. Please call again in a few minutes.\"");
    }
}

settings! {
    /// Logs, alerts and traces.
    pub struct Telemetry {
        /// `error`, `warn`, `info`, `debug`, `trace`, or directives of tracing's `EnvFilter`.
        log: String = "info".to_owned();
        /// How the log is written: `text` or `json`.
        log_format: String = "text".to_owned(), check(Check::OneOf(LOG_FORMATS));
        /// Where alerts are posted as JSON. It is kept secret: an address that nobody else knows is often all that
        /// protects a webhook.
        alert_webhook: Option<Secret> = None, check(HTTP_URL), example("\"https://alerts.example.com/antiphon\"");
        /// With it alerts are signed.
        alert_webhook_secret: Option<Secret> = None, example("\"${ANTIPHON_WEBHOOK_SECRET}\"");
        /// An OpenTelemetry collector that takes spans by OTLP over HTTP.
        otlp_endpoint: Option<String> = None, check(HTTP_URL), example("\"http://127.0.0.1:4318\"");
        /// The collector's key, if it wants one.
        otlp_key: Option<Secret> = None, example("\"${OTLP_KEY}\"");
        /// Whether settings that are safe while serving are tuned, and undone when they make things worse.
        tune: bool = false;
    }
}
