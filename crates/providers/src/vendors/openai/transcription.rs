//! Any server with OpenAI's transcription API: OpenAI itself, Groq, vLLM, whisper.cpp's server, another Antiphon.
//!
//! Each flush is a request with all audio whose text is not final. Audio that is longer than such a server takes at
//! once is cut where it is quiet, and the text of what was cut off is final.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use antiphon_core::{BoxStream, RateLimits, Result, Segment, Stt, SttInput, SttOptions, Transcript};
use futures_util::{StreamExt, stream};
use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;

use super::server::{Auth, with_key};
use crate::loudness::{Loudness, quietest};
use crate::remote::{ApiKey, Bounds, Remote};

/// The longest stretch sent at once, in samples: 25 s. Whisper transcribes 30 s at once, and
/// cuts longer audio anywhere.
const LONGEST: usize = 25 * 16_000;
/// A stretch is cut at the quietest place within its last 5 s.
const CUT_WITHIN: usize = 5 * 16_000;
/// The shortest stretch sent, in samples: OpenAI refuses audio of less than 0.1 s.
const SHORTEST: usize = 1_600;
/// Loudness is judged over 20 ms.
const JUDGED: usize = 320;
/// The largest answer in bytes: a hundred times that to half a minute of speech.
const LARGEST_ANSWER: usize = 1 << 20;

antiphon_core::settings! {
    /// OpenAI's speech recognition, and servers like it.
    pub struct OpenAiTranscriptionSettings {
        /// Whether to ask for `verbose_json`, which says when what was said. Servers of Whisper know it. When not set: not
        /// for models whose names begin with `gpt-`, which refuse it.
        timestamps: Option<bool> = None, example("false");
    }
}

/// Where the server is and what to ask it for.
#[derive(Clone, Debug)]
pub struct OpenAiTranscriptionOptions {
    /// Up to and with `/v1`; `/audio/transcriptions` is added.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// Sent as bearer token; never part of an error.
    pub api_key: Option<ApiKey>,
    /// Whether to ask for `verbose_json`, which says when what was said. Whisper's servers know it, OpenAI's
    /// `gpt-4o-transcribe` refuses it.
    pub timestamps: bool,
    /// Where to tell how much more the server will take.
    pub limits: Arc<RateLimits>,
    /// How long the server may take.
    pub bounds: Bounds,
}

/// A recogniser behind this API.
pub struct OpenAiTranscription {
    server: Arc<Server>,
}

impl OpenAiTranscription {
    /// Makes the client. The first request connects.
    pub fn new(options: OpenAiTranscriptionOptions) -> Result<Self> {
        let remote = Remote::new(&options.base_url, "the speech recogniser's server", "[stt]")?
            .with_bounds(options.bounds)
            .with_limits(options.limits.clone());
        let remote = with_key(remote, Auth::Bearer, options.api_key.as_ref())?;
        Ok(Self { server: Arc::new(Server { remote, options }) })
    }
}

/// Reads an answer to ten seconds of audio, which begin at 5 s.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(remote: &Remote, body: &[u8]) -> Result<()> {
    let options = OpenAiTranscriptionOptions {
        base_url: String::new(),
        model: String::new(),
        api_key: None,
        timestamps: true,
        limits: Arc::default(),
        bounds: Bounds::default(),
    };
    let heard = Server { remote: remote.clone(), options }.heard(body, 5.0, 15.0)?;
    let times = || heard.segments.iter().flat_map(|segment| [segment.start_s, segment.end_s]);
    assert!(times().is_sorted() && times().all(|time| (5.0..=15.0).contains(&time)), "{:?}", heard.segments);
    Ok(())
}

impl Stt for OpenAiTranscription {
    fn name(&self) -> &'static str {
        "openai"
    }

    /// Sends no partial transcripts, because each would be a request of its own.
    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let listening = Listening {
            server: self.server.clone(),
            options,
            audio,
            over: false,
            open: Vec::new(),
            loudness: Loudness::default(),
            unheard: false,
            unanswered: false,
            settled: Heard::default(),
            settled_samples: 0,
            rest: Heard::default(),
        };
        stream::unfold(Some(listening), |listening| async move {
            let mut listening = listening?;
            match listening.next().await.transpose()? {
                Ok(transcript) => Some((Ok(transcript), Some(listening))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

struct Server {
    remote: Remote,
    options: OpenAiTranscriptionOptions,
}

impl Server {
    /// Transcribes `samples`, which begin at `start_s`.
    async fn transcribe(&self, samples: &[i16], start_s: f32, options: &SttOptions) -> Result<Heard> {
        let end_s = start_s + samples.len() as f32 / 16_000.0;
        let response = self.remote.send(self.request(samples, options)?).await?;
        let body = self.remote.whole(response, LARGEST_ANSWER).await?;
        self.heard(&body, start_s, end_s)
    }

    fn request(&self, samples: &[i16], options: &SttOptions) -> Result<RequestBuilder> {
        let file = Part::bytes(wav(samples)).file_name("audio.wav").mime_str("audio/wav");
        let file = file.map_err(|_| antiphon_core::Error::internal("audio/wav is no media type"))?;
        let format = if self.options.timestamps { "verbose_json" } else { "json" };
        let mut form = Form::new()
            .part("file", file)
            .text("model", self.options.model.clone())
            .text("response_format", format)
            .text("temperature", "0");
        for (key, value) in [("language", &options.language), ("prompt", &options.prompt)] {
            if let Some(value) = value {
                form = form.text(key, value.clone());
            }
        }
        Ok(self.remote.post("/audio/transcriptions").multipart(form))
    }

    /// Reads an answer for the audio from `start_s` to `end_s`.
    fn heard(&self, body: &[u8], start_s: f32, end_s: f32) -> Result<Heard> {
        let answer: Answer = serde_json::from_slice(body)
            .map_err(|e| self.remote.protocol(&format!("no valid transcription: {e}")))?;
        let mut heard = Heard { text: answer.text.trim().to_owned(), segments: Vec::new() };
        let mut from_s = start_s;
        for said in answer.segments.unwrap_or_default() {
            let text = said.text.trim().to_owned();
            let begin_s = (start_s + said.start).clamp(from_s, end_s);
            from_s = (start_s + said.end).clamp(begin_s, end_s);
            if !text.is_empty() {
                heard.segments.push(Segment { start_s: begin_s, end_s: from_s, text });
            }
        }
        if heard.segments.is_empty() && !heard.text.is_empty() {
            heard.segments.push(Segment { start_s, end_s, text: heard.text.clone() });
        }
        Ok(heard)
    }
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    #[serde(default)]
    segments: Option<Vec<AnswerSegment>>,
}

#[derive(Deserialize)]
struct AnswerSegment {
    #[serde(default)]
    start: f32,
    #[serde(default)]
    end: f32,
    #[serde(default)]
    text: String,
}

/// The text of a stretch of audio.
#[derive(Default)]
struct Heard {
    text: String,
    segments: Vec<Segment>,
}

/// The transcription of one stream of audio.
struct Listening {
    server: Arc<Server>,
    options: SttOptions,
    audio: BoxStream<'static, SttInput>,
    /// Whether the audio has ended.
    over: bool,
    /// Audio whose text is not final; never longer than [`LONGEST`].
    open: Vec<i16>,
    loudness: Loudness,
    /// Whether anything but silence came since `open` was last transcribed.
    unheard: bool,
    /// Whether audio came since the last answer.
    unanswered: bool,
    /// The final text, and the samples that it covers.
    settled: Heard,
    settled_samples: usize,
    /// The text of `open`, as far as it was transcribed.
    rest: Heard,
}

impl Listening {
    /// The next transcript; `None` after the last.
    async fn next(&mut self) -> Result<Option<Transcript>> {
        while !self.over {
            match self.audio.next().await {
                Some(SttInput::Audio(samples)) => self.take(&samples).await?,
                Some(SttInput::Flush) => return self.answer().await.map(Some),
                None => {
                    self.over = true;
                    if self.unanswered {
                        return self.answer().await.map(Some);
                    }
                }
            }
        }
        Ok(None)
    }

    async fn take(&mut self, samples: &[i16]) -> Result<()> {
        self.unanswered |= !samples.is_empty();
        for piece in samples.chunks(JUDGED) {
            if self.open.len() + piece.len() > LONGEST {
                self.cut().await?;
            }
            self.unheard |= self.loudness.is_loud(piece);
            self.open.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Cuts `open` at the quietest place; the text before it becomes final.
    async fn cut(&mut self) -> Result<()> {
        let at = quietest(&self.open, self.open.len() - CUT_WITHIN..self.open.len());
        let (cut, later) = self.open.split_at(at);
        if cut.chunks(JUDGED).any(|piece| self.loudness.is_loud(piece)) {
            let heard = self.server.transcribe(cut, self.start_s(), &self.options).await?;
            self.settled.text = joined(&self.settled.text, &heard.text);
            self.settled.segments.extend(heard.segments);
        }
        self.unheard = later.chunks(JUDGED).any(|piece| self.loudness.is_loud(piece));
        self.rest = Heard::default();
        self.open.drain(..at);
        self.settled_samples += at;
        Ok(())
    }

    /// All text. Silence is not sent, because Whisper invents words for it.
    async fn answer(&mut self) -> Result<Transcript> {
        if self.unheard && self.open.len() >= SHORTEST {
            self.rest = self.server.transcribe(&self.open, self.start_s(), &self.options).await?;
            self.unheard = false;
        }
        self.unanswered = false;
        Ok(Transcript {
            text: joined(&self.settled.text, &self.rest.text),
            audio_ms: (self.settled_samples + self.open.len()) as u64 / 16,
            flushed: true,
            segments: [&self.settled, &self.rest].iter().flat_map(|heard| heard.segments.clone()).collect(),
        })
    }

    fn start_s(&self) -> f32 {
        self.settled_samples as f32 / 16_000.0
    }
}

fn joined(first: &str, second: &str) -> String {
    format!("{first} {second}").trim().to_owned()
}

/// A WAV file of 16-bit 16 kHz mono samples: the canonical header of 44 bytes, then the samples.
fn wav(samples: &[i16]) -> Vec<u8> {
    let bytes = samples.len() as u32 * 2;
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend((36 + bytes).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    // The format is PCM with one channel.
    file.extend([1_u16, 1].map(u16::to_le_bytes).concat());
    file.extend([16_000_u32, 32_000].map(u32::to_le_bytes).concat());
    // A sample has two bytes and 16 bits.
    file.extend([2_u16, 16].map(u16::to_le_bytes).concat());
    file.extend_from_slice(b"data");
    file.extend(bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}
