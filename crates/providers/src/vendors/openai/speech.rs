//! Any server with OpenAI's speech API: OpenAI itself, Kokoro-FastAPI, another Antiphon.

use std::sync::Arc;

use antiphon_core::{
    AudioChunk, BoxStream, RateLimits, Result, SampleRate, SpeechRequest, Style, Tts, TtsCard, Voice,
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::server::{Auth, with_key};
use crate::remote::speech::{SECTION, Voices, setting, voices};
use crate::remote::{ApiKey, Bounds, Remote};
use crate::speech_text::plain;

/// The sample rate of the format `pcm`: 16 bits, little-endian, one channel.
const RATE: SampleRate = SampleRate::HZ_24000;
/// The lowest and the highest speed.
const SPEEDS: (f64, f64) = (0.25, 4.0);
/// The voices that OpenAI documents. The first one, the default, exists in all of its models.
const VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer",
    "verse",
];

antiphon_core::settings! {
    /// OpenAI's voices, and servers like it.
    pub struct OpenAiSpeechSettings {
        /// How every clause is to be spoken, for models that take instructions, such as `gpt-4o-mini-tts`.
        instructions: Option<String> = None, example("\"Speak like a friendly receptionist.\"");
    }
}

/// Where the server is and how it is to speak.
#[derive(Clone, Debug)]
pub struct OpenAiSpeechOptions {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// Sent as bearer token; never part of an error.
    pub api_key: Option<ApiKey>,
    /// What can be asked for, the default first.
    pub voices: Vec<Voice>,
    /// How every clause is to be spoken, before what its style adds; may be empty. `None` for models that take no
    /// instructions (tts-1, Kokoro): they follow a style with their pace alone.
    pub instructions: Option<String>,
    /// Told how many requests the server will still take.
    pub limits: Arc<RateLimits>,
    /// How long the server may take.
    pub bounds: Bounds,
}

impl Default for OpenAiSpeechOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            model: "gpt-4o-mini-tts".to_owned(),
            api_key: None,
            voices: voices("en", &VOICES),
            instructions: Some(String::new()),
            limits: Arc::default(),
            bounds: Bounds::default(),
        }
    }
}

/// The voices behind this API.
pub struct OpenAiSpeech {
    remote: Remote,
    model: String,
    voices: Voices,
    instructions: Option<String>,
}

impl OpenAiSpeech {
    /// Makes the client. The first request connects.
    pub fn new(options: OpenAiSpeechOptions) -> Result<Self> {
        let remote = Remote::new(&options.base_url, "the voice's server", SECTION)?
            .with_bounds(options.bounds)
            .with_limits(options.limits);
        Ok(Self {
            remote: with_key(remote, Auth::Bearer, options.api_key.as_ref())?,
            model: options.model,
            voices: Voices::new(options.voices)?,
            instructions: options.instructions,
        })
    }

    /// The body of a request.
    fn body(&self, text: &str, request: &SpeechRequest) -> Value {
        let pace = if self.instructions.is_some() { 1.0 } else { request.style.pace() };
        let mut body = json!({
            "model": self.model,
            "input": text,
            "voice": self.voices.pick(request.voice.as_deref()).id,
            "response_format": "pcm",
            "speed": setting(request.speed * pace, SPEEDS),
        });
        if let Some(base) = &self.instructions {
            let instructions = format!("{base} {}", instruction(request.style));
            if !instructions.trim().is_empty() {
                body["instructions"] = json!(instructions.trim());
            }
        }
        body
    }
}

/// A style as an instruction to the model.
fn instruction(style: Style) -> &'static str {
    match style {
        Style::Plain => "",
        Style::Cheerful => "Speak cheerfully: bright and warm, as one who shares a pleasure.",
        Style::Calm => "Speak calmly: a little slower than usual, low and even.",
        Style::Gentle => "Speak gently: soft, unhurried and full of sympathy.",
        Style::Reassuring => "Speak reassuringly: firm, warm and confident.",
    }
}

impl Tts for OpenAiSpeech {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "openai", voices: self.voices.list() }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let Some(text) = plain(&request.text) else { return stream::empty().boxed() };
        let post = self.remote.post("/audio/speech").json(&self.body(&text, &request));
        self.remote.speak(post, RATE)
    }
}

#[cfg(test)]
mod tests;
