//! `ElevenLabs`' voices.
//!
//! A clause is whole text, and for that HTTP is fastest: its connection is shared and stays open, so that the request is on
//! its way at once. Their WebSocket takes one text and closes, so that each clause would first pay for TCP, TLS and the
//! upgrade: three round trips more, some 100 to 300 ms across an ocean.

mod wire;

use std::sync::Arc;

use antiphon_core::settings::{Check, Setting};
use antiphon_core::{
    AudioChunk, BoxStream, Error, RateLimits, Result, SampleRate, SpeechRequest, Tts, TtsCard, Voice,
};
use futures_util::{StreamExt, stream};

use crate::remote::speech::{SECTION, Voices, addressable, possible, voices};
use crate::remote::{ApiKey, Bounds, Remote};
use crate::speech_text::plain;

/// The sample rates of the `pcm_..` formats that every plan includes.
const RATES: [u32; 4] = [8_000, 16_000, 22_050, 24_000];
/// Voices that every account has: George, which the vendor's examples use, Sarah and Rachel.
const VOICES: [&str; 3] = ["JBFqnCBsd6RMkjVDRZzb", "EXAVITQu4vr4xnSDxMaL", "21m00Tcm4TlvDq8ikWAM"];
/// Where the key goes.
const KEY: &str = "xi-api-key";

/// What it takes for shares.
const SHARE: Check = Check::Between(0.0, 1.0);

antiphon_core::settings! {
    /// ElevenLabs' voices, as it names what can be set of them.
    pub struct ElevenLabsSettings {
        /// Low varies more from clause to clause, high is monotonous.
        stability: f32 = 0.5, check(SHARE);
        /// How near the voice stays to the recorded person.
        similarity_boost: f32 = 0.75, check(SHARE);
        /// How much the person's own manner is exaggerated. Above 0 the voice is slower to begin.
        style: f32 = 0.0, check(SHARE);
        /// Whether the voice is made still more like the recorded person, which takes a little longer. When not set: as
        /// ElevenLabs has it.
        use_speaker_boost: Option<bool> = None, example("true");
        /// Speed of its voices, by which `[tts] speed` is multiplied.
        speed: f32 = 1.0, check(Check::Between(wire::SPEEDS.0, wire::SPEEDS.1));
        /// The language, as ISO 639-1, for models that would otherwise guess it from the text. When not set: the model, or
        /// the voice, decides.
        language: Option<String> = None, example("\"en\"");
    }
}

/// Where the server is and how it is to speak.
#[derive(Clone, Debug)]
pub struct ElevenLabsOptions {
    /// The server's address without `/v1`: `https://api.elevenlabs.io`.
    pub base_url: String,
    /// Never part of an error.
    pub api_key: ApiKey,
    /// The model's name there.
    pub model: String,
    /// What can be asked for, the default first.
    pub voices: Vec<Voice>,
    /// Of the audio: 8, 16, 22.05 or 24 kHz.
    pub rate: SampleRate,
    /// The voice of a plain clause; a style departs from it.
    pub settings: ElevenLabsSettings,
    /// Told how many requests the server will still take.
    pub limits: Arc<RateLimits>,
    /// How long the server may take.
    pub bounds: Bounds,
}

impl Default for ElevenLabsOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.elevenlabs.io".to_owned(),
            api_key: ApiKey::new(""),
            model: "eleven_flash_v2_5".to_owned(),
            voices: voices("en", &VOICES),
            rate: SampleRate::HZ_24000,
            settings: ElevenLabsSettings::default(),
            limits: Arc::default(),
            bounds: Bounds::default(),
        }
    }
}

/// The voices of `ElevenLabs`.
pub struct ElevenLabs {
    remote: Remote,
    options: ElevenLabsOptions,
    voices: Voices,
}

impl ElevenLabs {
    /// Makes the client. The first request connects.
    pub fn new(options: ElevenLabsOptions) -> Result<Self> {
        for voice in &options.voices {
            addressable("voice", &voice.id)?;
        }
        addressable("model", &options.model)?;
        options.settings.language.as_deref().map(|language| addressable("language", language)).transpose()?;
        possible(options.rate, &RATES)?;
        options.settings.check("tts.elevenlabs").map_err(|wrong| Error::invalid(wrong.to_string()))?;
        let remote = Remote::new(&options.base_url, "ElevenLabs", SECTION)?
            .with_bounds(options.bounds)
            .with_limits(options.limits.clone())
            .with_key(KEY, "", &options.api_key)?;
        let voices = Voices::new(options.voices.clone())?;
        Ok(Self { remote, options, voices })
    }
}

impl Tts for ElevenLabs {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "elevenlabs", voices: self.voices.list() }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let Some(text) = plain(&request.text) else { return stream::empty().boxed() };
        let voice = &self.voices.pick(request.voice.as_deref()).id;
        let path = format!("/v1/text-to-speech/{voice}/stream?output_format=pcm_{}", self.options.rate.hz());
        let post = self.remote.post(&path);
        self.remote.speak(post.json(&wire::body(&self.options, &text, &request)), self.options.rate)
    }
}

#[cfg(test)]
mod tests;
