//! The interface of speech synthesis.

use serde::Serialize;

use crate::{AudioChunk, BoxStream, Priority, Requester, Result};

/// One clause to say.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechRequest {
    /// On whose behalf it is said.
    pub requester: Requester,
    /// Plain text as written by a language model; the engine normalises it for speech.
    pub text: String,
    /// A voice of [`TtsCard::voices`]; `None` or an unknown one gives the engine's default.
    pub voice: Option<String>,
    /// 1 is normal; 0.25 to 4.
    pub speed: f32,
    /// How it should sound; engines that cannot, ignore it.
    pub style: Style,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether a cache may answer it and keep what is said.
    pub reuse: bool,
}

/// How a voice should sound: an answer to how the person feels, not a copy of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// As the voice is.
    #[default]
    Plain,
    /// Bright: shares a pleasure.
    Cheerful,
    /// Slow and even: takes the heat out.
    Calm,
    /// Soft: consoles the person.
    Gentle,
    /// Firm and warm: takes a worry away.
    Reassuring,
}

impl Style {
    /// What an engine that knows no styles multiplies the speed with. Anger and sadness are answered some 5 to 10 %
    /// slower, joy a little faster: the differences Murray and Arnott (1993) report, made small enough not to be noticed
    /// as such.
    pub const fn pace(self) -> f32 {
        match self {
            Self::Plain => 1.0,
            Self::Cheerful => 1.04,
            Self::Calm | Self::Gentle => 0.94,
            Self::Reassuring => 0.97,
        }
    }
}

impl SpeechRequest {
    /// Says `text` with the engine's default voice at normal speed.
    pub fn new(requester: Requester, text: impl Into<String>) -> Self {
        Self {
            requester,
            text: text.into(),
            voice: None,
            speed: 1.0,
            style: Style::Plain,
            priority: Priority::LiveTurn,
            reuse: true,
        }
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

/// What describes a speech synthesiser; it stays the same. Decorators pass on that of the engine they wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtsCard<'a> {
    /// The engine's name, for logs and metrics.
    pub name: &'static str,
    /// The voices that can be asked for, the default first.
    pub voices: &'a [Voice],
}

/// A speech synthesiser shared by all calls.
///
/// # Example
///
/// A voice that is silent for 60 ms for each character:
///
/// ```
/// use antiphon_core::{AudioChunk, BoxStream, Result, SampleRate, SpeechRequest, Tts, TtsCard, Voice};
/// use futures_util::{StreamExt, stream};
///
/// const RATE: SampleRate = SampleRate::HZ_16000;
/// const SAMPLES_A_CHARACTER: usize = 960;
///
/// struct Silence {
///     voices: [Voice; 1],
/// }
///
/// impl Tts for Silence {
///     fn card(&self) -> TtsCard<'_> {
///         TtsCard { name: "silence", voices: &self.voices }
///     }
///
///     fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
///         let characters = request.text.chars().filter(|c| c.is_alphanumeric()).count();
///         let chunk = || Ok(AudioChunk::new(RATE, vec![0; SAMPLES_A_CHARACTER]));
///         stream::iter((0..characters).map(move |_| chunk())).boxed()
///     }
/// }
///
/// let silence = Silence { voices: [Voice { id: "silent".to_owned(), language: "en-US".to_owned() }] };
/// assert_eq!(silence.card().voices[0].id, "silent");
/// ```
pub trait Tts: Send + Sync {
    /// The engine's name and its voices.
    fn card(&self) -> TtsCard<'_>;

    /// Says one clause. Chunks come as they are made, all at one rate; none when nothing in the text can be
    /// spoken. Dropping the stream cancels.
    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>>;
}
