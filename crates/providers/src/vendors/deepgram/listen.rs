//! Deepgram's streaming speech recognition: `/v1/listen`.

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::time::Duration;

use antiphon_core::{BoxStream, Result, Stt, SttInput, SttOptions, Transcript};
use serde::Deserialize;

use crate::remote::listening::{Dialect, Line, Part, Said, listen, query, terms};
use crate::remote::{ApiKey, Bounds, Remote};

/// How long an answer to `Finalize` is awaited. It comes within a few hundred milliseconds, but perhaps not at all when
/// little audio is left to transcribe.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

antiphon_core::settings! {
    /// What only Deepgram's speech recognition takes.
    pub struct DeepgramListenSettings {
        /// Whether numbers, dates and the like are written as people write them.
        smart_format: bool = true;
    }
}

/// Where Deepgram is and what to ask it for.
#[derive(Clone, Debug)]
pub struct DeepgramListenOptions {
    /// The server's address without `/v1`: `https://api.deepgram.com`.
    pub base_url: String,
    /// The model's name at Deepgram, such as `nova-3`.
    pub model: String,
    /// Never part of an error. An engine on one's own machines needs none.
    pub api_key: Option<ApiKey>,
    /// Of calls that name no language, such as `multi`; without it Deepgram takes English.
    pub language: Option<String>,
    /// Words that are likely to occur, in every call.
    pub keyterms: Vec<String>,
    /// What can be set of it alone.
    pub settings: DeepgramListenSettings,
    /// How long to wait for the answer to a flush before what is known is the answer.
    pub answer_within: Duration,
    /// How long the server may take.
    pub bounds: Bounds,
}

impl Default for DeepgramListenOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.deepgram.com".to_owned(),
            model: "nova-3".to_owned(),
            api_key: None,
            language: None,
            keyterms: Vec::new(),
            settings: DeepgramListenSettings::default(),
            answer_within: ANSWER_WITHIN,
            bounds: Bounds::default(),
        }
    }
}

/// Deepgram's speech recognition over a WebSocket, while the person speaks.
pub struct DeepgramListen {
    remote: Remote,
    options: DeepgramListenOptions,
}

impl DeepgramListen {
    /// Makes the client. Each transcription opens a connection.
    pub fn new(options: DeepgramListenOptions) -> Result<Self> {
        let mut remote = Remote::new(&options.base_url, "Deepgram", "[stt]")?.with_bounds(options.bounds);
        if let Some(key) = &options.api_key {
            remote = remote.with_key("authorization", "Token ", key)?;
        }
        Ok(Self { remote, options })
    }

    fn path(&self, options: &SttOptions) -> String {
        let own = &self.options;
        let mut pairs = vec![
            ("model", own.model.as_str()),
            ("encoding", "linear16"),
            ("sample_rate", "16000"),
            ("channels", "1"),
            ("interim_results", "true"),
            ("punctuate", "true"),
            ("smart_format", if own.settings.smart_format { "true" } else { "false" }),
            // Our flushes decide where speech ends.
            ("endpointing", "false"),
        ];
        if let Some(language) = options.language.as_deref().or(own.language.as_deref()) {
            pairs.push(("language", language));
        }
        // Models before Nova 3 refuse `keyterm` and take `keywords` instead.
        let key = if own.model.starts_with("nova-3") { "keyterm" } else { "keywords" };
        pairs.extend(terms(&own.keyterms, options.prompt.as_deref()).into_iter().map(|term| (key, term)));
        query("/v1/listen", &pairs)
    }
}

impl Stt for DeepgramListen {
    fn name(&self) -> &'static str {
        "deepgram"
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
        listen(line, Wire::default(), options.partials, audio)
    }
}

/// Reads lines as described at [`listening::fuzz`](crate::remote::listening::fuzz).
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(remote: &Remote, lines: &str) -> Result<()> {
    crate::remote::listening::fuzz(remote, Wire::default(), lines)
}

/// The messages of `/v1/listen`.
#[derive(Default)]
struct Wire {
    /// Number of results that are final.
    finals: u64,
}

impl Dialect for Wire {
    /// 20 to 100 ms, as Deepgram recommends.
    const PIECE: RangeInclusive<usize> = 320..=1_600;
    const FLUSH: &'static str = r#"{"type":"Finalize"}"#;
    const END: &'static str = r#"{"type":"CloseStream"}"#;
    /// Deepgram closes the connection after 10 s without audio (error NET-0001).
    const KEEP_ALIVE: Option<(Duration, &'static str)> =
        Some((Duration::from_secs(5), r#"{"type":"KeepAlive"}"#));

    fn read(&mut self, remote: &Remote, message: &str) -> Result<Said> {
        let message: Message =
            serde_json::from_str(message).map_err(|e| remote.protocol(&format!("no valid message: {e}")))?;
        match message {
            Message::Results(results) => Ok(Said::Part(self.part(results))),
            Message::Metadata {} => Ok(Said::Over),
            Message::Error { description, message } => {
                Err(remote.failed(description.or(message).as_deref().unwrap_or("without saying why")))
            }
            Message::Other => Ok(Said::Nothing),
        }
    }
}

impl Wire {
    fn part(&mut self, results: Results) -> Part {
        let number = self.finals;
        self.finals += u64::from(results.is_final);
        let covers_ms = milliseconds(results.start + results.duration);
        let best = results.channel.alternatives.into_iter().next().unwrap_or_default();
        Part {
            number,
            start_ms: best.words.first().map_or(milliseconds(results.start), |word| milliseconds(word.start)),
            end_ms: best.words.last().map_or(covers_ms, |word| milliseconds(word.end)),
            text: best.transcript,
            covers_ms,
            answers: results.from_finalize,
        }
    }
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Message {
    Results(Results),
    /// Sent once, at the end.
    Metadata {},
    Error {
        #[serde(default)]
        description: Option<String>,
        #[serde(default)]
        message: Option<String>,
    },
    /// `SpeechStarted`, `UtteranceEnd`, and messages that are added to the API later.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    start: f64,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    is_final: bool,
    #[serde(default)]
    from_finalize: bool,
    #[serde(default)]
    channel: Channel,
}

#[derive(Default, Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Default, Deserialize)]
struct Alternative {
    #[serde(default)]
    transcript: String,
    #[serde(default)]
    words: Vec<Word>,
}

#[derive(Deserialize)]
struct Word {
    #[serde(default)]
    start: f64,
    #[serde(default)]
    end: f64,
}
