//! Text to speech.

use serde::Serialize;

use crate::{AudioChunk, BoxStream, Result};

/// One clause to say.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechRequest {
    /// Plain text as written by a language model; the engine normalises it for speech.
    pub text: String,
    /// A voice of [`Tts::voices`]; `None` or an unknown one gives the engine's default.
    pub voice: Option<String>,
    /// 1 is normal; 0.25 to 4.
    pub speed: f32,
}

impl SpeechRequest {
    /// Says `text` with the engine's default voice at normal speed.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), voice: None, speed: 1.0 }
    }
}

/// A voice that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voice {
    /// What to ask for.
    pub id: String,
    /// BCP 47 language tag.
    pub language: String,
}

/// A speech synthesiser shared by all calls.
pub trait Tts: Send + Sync {
    /// The engine's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// The voices that can be asked for, the default first.
    fn voices(&self) -> Vec<Voice>;

    /// Says one clause. Chunks come as they are made, all at one rate; none when nothing in the text can be
    /// spoken. Dropping the stream cancels.
    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>>;
}
