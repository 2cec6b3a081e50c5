//! AssemblyAI's streaming speech recognition: Universal-Streaming, `/v3/ws`.

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::time::Duration;

use antiphon_core::{BoxStream, Error, ErrorKind, Result, Stt, SttInput, SttOptions, Transcript};
use serde::Deserialize;

use crate::remote::listening::{Dialect, Line, Part, Said, listen, query, terms};
use crate::remote::{ApiKey, Bounds, Remote};

/// How long an answer to `ForceEndpoint` is awaited. It comes within a few hundred milliseconds, but not at all when
/// nothing was said since the latest turn.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

antiphon_core::settings! {
    /// What only AssemblyAI's speech recognition takes.
    pub struct AssemblyAiSettings {
        /// Whether a turn's text gets punctuation, capitals and figures.
        format_turns: bool = true;
    }
}

/// Where AssemblyAI is and what to ask it for. It knows the language by its model.
#[derive(Clone, Debug)]
pub struct AssemblyAiOptions {
    /// `https://streaming.assemblyai.com`, or `https://streaming.eu.assemblyai.com` for Europe.
    pub base_url: String,
    /// Such as `universal-streaming-english` or `universal-streaming-multilingual`.
    pub model: String,
    /// Never part of an error.
    pub api_key: ApiKey,
    /// What can be set of it alone.
    pub settings: AssemblyAiSettings,
    /// Words that are likely to occur, in every call.
    pub keyterms: Vec<String>,
    /// How long to wait for the answer to a flush before what is known is the answer.
    pub answer_within: Duration,
    /// How long the server may take.
    pub bounds: Bounds,
}

impl Default for AssemblyAiOptions {
    fn default() -> Self {
        Self {
            base_url: "https://streaming.assemblyai.com".to_owned(),
            model: "universal-streaming-english".to_owned(),
            api_key: ApiKey::new(""),
            settings: AssemblyAiSettings::default(),
            keyterms: Vec::new(),
            answer_within: ANSWER_WITHIN,
            bounds: Bounds::default(),
        }
    }
}

/// AssemblyAI's speech recognition over a WebSocket, while the person speaks.
pub struct AssemblyAi {
    remote: Remote,
    options: AssemblyAiOptions,
}

impl AssemblyAi {
    /// Makes the client. Each transcription opens a connection.
    pub fn new(options: AssemblyAiOptions) -> Result<Self> {
        let remote = Remote::new(&options.base_url, "AssemblyAI", "[stt]")?
            .with_bounds(options.bounds)
            .with_key("authorization", "", &options.api_key)?;
        Ok(Self { remote, options })
    }

    fn path(&self, options: &SttOptions) -> String {
        let own = &self.options;
        let terms = terms(&own.keyterms, options.prompt.as_deref());
        let terms = (!terms.is_empty()).then(|| serde_json::json!(terms).to_string());
        let mut pairs = vec![
            ("sample_rate", "16000"),
            ("encoding", "pcm_s16le"),
            ("speech_model", own.model.as_str()),
            ("format_turns", if own.settings.format_turns { "true" } else { "false" }),
            // Our flushes decide where a turn ends. With these settings the model ends no turn by what was said, and
            // only after a very long silence.
            ("end_of_turn_confidence_threshold", "1.0"),
            ("max_turn_silence", "10000"),
        ];
        pairs.extend(terms.as_deref().map(|terms| ("keyterms_prompt", terms)));
        query("/v3/ws", &pairs)
    }
}

impl Stt for AssemblyAi {
    fn name(&self) -> &'static str {
        "assemblyai"
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let line = Line {
            remote: self.remote.clone(),
            path: self.path(&options),
            answer_within: self.options.answer_within,
        };
        listen(line, Wire { formats: self.options.settings.format_turns }, options.partials, audio)
    }
}

/// Reads lines as described at [`listening::fuzz`](crate::remote::listening::fuzz).
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(remote: &Remote, formats: bool, lines: &str) -> Result<()> {
    crate::remote::listening::fuzz(remote, Wire { formats }, lines)
}

/// The messages of `/v3/ws`.
struct Wire {
    /// Whether the text of each turn comes twice, the second time formatted.
    formats: bool,
}

impl Dialect for Wire {
    /// 50 to 1,000 ms. The server ends the session when a message is shorter or longer (error 3007).
    const PIECE: RangeInclusive<usize> = 800..=16_000;
    const FLUSH: &'static str = r#"{"type":"ForceEndpoint"}"#;
    const END: &'static str = r#"{"type":"Terminate"}"#;
    /// A session stays open without audio unless an `inactivity_timeout` is set.
    const KEEP_ALIVE: Option<(Duration, &'static str)> = None;

    fn read(&mut self, remote: &Remote, message: &str) -> Result<Said> {
        let message: Message =
            serde_json::from_str(message).map_err(|e| remote.protocol(&format!("no valid message: {e}")))?;
        if let Some(said) = message.error {
            let error = remote.failed(&said);
            return Err(Error::new(kind(message.error_code), error.to_string()));
        }
        match message.kind.as_str() {
            "Turn" => Ok(Said::Part(self.part(message))),
            "Termination" => Ok(Said::Over),
            // `Begin`, `SpeechStarted`, and messages that are added to the API later.
            _ => Ok(Said::Nothing),
        }
    }
}

impl Wire {
    fn part(&self, turn: Message) -> Part {
        let end_ms = turn.words.last().map_or(0, |word| word.end);
        // Until a turn ends, its transcript does not contain the words that may still change.
        let heard = || turn.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        Part {
            number: turn.turn_order,
            start_ms: turn.words.first().map_or(0, |word| word.start),
            end_ms,
            covers_ms: end_ms,
            answers: turn.end_of_turn && (turn.turn_is_formatted || !self.formats),
            text: if turn.end_of_turn || turn.words.is_empty() { turn.transcript } else { heard() },
        }
    }
}

/// The kind of an error code. The WebSocket is closed with the same codes.
fn kind(code: i64) -> ErrorKind {
    match code {
        1008 | 4001..=4003 => ErrorKind::Unauthorized,
        // There are too many sessions, or audio is sent too fast.
        3009 | 4029 => ErrorKind::RateLimited,
        3006 => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_code: i64,
    #[serde(default)]
    turn_order: u64,
    #[serde(default)]
    turn_is_formatted: bool,
    #[serde(default)]
    end_of_turn: bool,
    #[serde(default)]
    transcript: String,
    #[serde(default)]
    words: Vec<Word>,
}

#[derive(Deserialize)]
struct Word {
    #[serde(default)]
    text: String,
    #[serde(default)]
    start: u64,
    #[serde(default)]
    end: u64,
}
