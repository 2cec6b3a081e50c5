//! Deepgram's speech synthesis, the voices of Aura.

use std::fmt::Write as _;
use std::sync::Arc;

use antiphon_core::settings::Check;
use antiphon_core::{
    AudioChunk, BoxStream, RateLimits, Result, SampleRate, SpeechRequest, Tts, TtsCard, Voice,
};
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::remote::speech::{SECTION, Voices, addressable, possible, setting, voices};
use crate::remote::{ApiKey, Bounds, Remote};
use crate::speech_text::plain;

/// The sample rates that Deepgram offers for `linear16`.
const RATES: [u32; 5] = [8_000, 16_000, 24_000, 32_000, 48_000];
/// The lowest and the highest speed of Aura-2.
const SPEEDS: (f64, f64) = (0.7, 1.5);
/// The English voices of Aura-2 that come first in Deepgram's documentation.
const VOICES: [&str; 6] = [
    "aura-2-thalia-en",
    "aura-2-andromeda-en",
    "aura-2-helena-en",
    "aura-2-apollo-en",
    "aura-2-arcas-en",
    "aura-2-aries-en",
];

antiphon_core::settings! {
    /// What only Deepgram's voices take.
    pub struct DeepgramSpeechSettings {
        /// Speed of its voices, by which `[tts] speed` is multiplied. Aura-2's English and Spanish voices take it.
        speed: f32 = 1.0, check(Check::Between(SPEEDS.0, SPEEDS.1));
        /// Whether Deepgram may not keep the text to improve its models.
        mip_opt_out: bool = false;
    }
}

/// Where the server is and how it is to speak.
#[derive(Clone, Debug)]
pub struct DeepgramSpeechOptions {
    /// The server's address without `/v1`: `https://api.deepgram.com`.
    pub base_url: String,
    /// Never part of an error.
    pub api_key: ApiKey,
    /// What can be asked for, the default first: each voice is a model of its own.
    pub voices: Vec<Voice>,
    /// Of the audio: 8, 16, 24, 32 or 48 kHz.
    pub rate: SampleRate,
    /// What can be set of it alone.
    pub settings: DeepgramSpeechSettings,
    /// Told how many requests the server will still take.
    pub limits: Arc<RateLimits>,
    /// How long the server may take.
    pub bounds: Bounds,
}

impl Default for DeepgramSpeechOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.deepgram.com".to_owned(),
            api_key: ApiKey::new(""),
            voices: voices("en-US", &VOICES),
            rate: SampleRate::HZ_24000,
            settings: DeepgramSpeechSettings::default(),
            limits: Arc::default(),
            bounds: Bounds::default(),
        }
    }
}

/// Deepgram's speech synthesis over HTTP, one request for each clause.
pub struct DeepgramSpeech {
    remote: Remote,
    voices: Voices,
    rate: SampleRate,
    settings: DeepgramSpeechSettings,
}

impl DeepgramSpeech {
    /// Makes the client. The first request connects.
    pub fn new(options: DeepgramSpeechOptions) -> Result<Self> {
        for voice in &options.voices {
            addressable("voice", &voice.id)?;
        }
        let remote = Remote::new(&options.base_url, "Deepgram", SECTION)?
            .with_bounds(options.bounds)
            .with_limits(options.limits)
            .with_key("authorization", "Token ", &options.api_key)?;
        Ok(Self {
            remote,
            voices: Voices::new(options.voices)?,
            rate: possible(options.rate, &RATES)?,
            settings: options.settings,
        })
    }

    fn path(&self, request: &SpeechRequest) -> String {
        let voice = &self.voices.pick(request.voice.as_deref()).id;
        let rate = self.rate.hz();
        let mut path = format!("/v1/speak?model={voice}&encoding=linear16&sample_rate={rate}&container=none");
        let speed = setting(request.speed * self.settings.speed * request.style.pace(), SPEEDS);
        if takes_speed(voice) && speed != 1.0 {
            let _ = write!(path, "&speed={speed}");
        }
        if self.settings.mip_opt_out {
            path.push_str("&mip_opt_out=true");
        }
        path
    }
}

/// Whether the voice takes a speed: of Deepgram's voices only the English and Spanish ones of Aura-2 do, and the others always
/// speak as they are.
fn takes_speed(voice: &str) -> bool {
    voice.starts_with("aura-2-") && (voice.ends_with("-en") || voice.ends_with("-es"))
}

impl Tts for DeepgramSpeech {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "deepgram", voices: self.voices.list() }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let Some(text) = plain(&request.text) else { return stream::empty().boxed() };
        let post = self.remote.post(&self.path(&request));
        self.remote.speak(post.json(&json!({ "text": text })), self.rate)
    }
}

#[cfg(test)]
mod tests;
