//! Voices by name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{RateLimits, Tts, Voice};
use antiphon_providers::cartesia::{Cartesia, CartesiaOptions};
use antiphon_providers::deepgram::{DeepgramSpeech, DeepgramSpeechOptions};
use antiphon_providers::elevenlabs::{ElevenLabs, ElevenLabsOptions};
use antiphon_providers::fake::FakeTts;
use antiphon_providers::kokoro::Kokoro;
use antiphon_providers::openai::{OpenAiSpeech, OpenAiSpeechOptions};
use antiphon_providers::phonemes::Phonemizer;
use antiphon_providers::piper::Piper;
use antiphon_providers::sim::SimTts;
use anyhow::{Result, bail};

use super::builder::{Builder, faults, key};
use crate::config;

impl Builder<'_> {
    /// One voice. Those asked by HTTP tell `limits` what their servers say.
    pub(super) fn one_tts(&self, tts: &config::Tts, limits: &Arc<RateLimits>) -> Result<Arc<dyn Tts>> {
        let file = |default: &str| tts.model.as_ref().map_or_else(|| self.model(default), PathBuf::from);
        let phonemizer = || Arc::new(Phonemizer::new());
        Ok(match tts.engine.as_str() {
            "piper" => {
                let voice = file("piper-en_US-joe-medium/en_US-joe-medium.onnx");
                Arc::new(Piper::open(self.runtime()?, self.pool, &phonemizer(), &voice)?)
            }
            "kokoro" => {
                Arc::new(Kokoro::open(self.runtime()?, self.pool, &phonemizer(), &file("kokoro-82m"))?)
            }
            "openai" | "elevenlabs" | "cartesia" | "deepgram" => return self.remote_tts(tts, limits),
            "sim" => SimTts {
                first_audio: Duration::from_millis(tts.first_audio_ms),
                audio: Duration::from_millis(tts.audio_ms),
                realtime: tts.realtime,
                faults: faults(tts.fail_rate, tts.stall_rate, tts.jitter_ms, tts.seed),
            }
            .engine(),
            "fake" => Arc::new(FakeTts),
            other => bail!(
                "[tts] engine = \"{other}\" is not known: piper, kokoro, openai, elevenlabs, cartesia, deepgram, sim, fake"
            ),
        })
    }

    fn remote_tts(&self, tts: &config::Tts, limits: &Arc<RateLimits>) -> Result<Arc<dyn Tts>> {
        let base_url = |default: String| tts.base_url.clone().unwrap_or(default);
        let model = |default: String| tts.model.clone().unwrap_or(default);
        let voices = |default: Vec<Voice>| self.voices(tts, default);
        let needed = || key("tts", &tts.engine, tts.api_key.as_ref());
        let limits = limits.clone();
        Ok(match tts.engine.as_str() {
            "openai" => {
                let defaults = OpenAiSpeechOptions::default();
                let model = model(defaults.model);
                Arc::new(OpenAiSpeech::new(OpenAiSpeechOptions {
                    base_url: base_url(defaults.base_url),
                    api_key: tts.api_key.as_ref().map(|key| key.reveal().to_owned()),
                    voices: voices(defaults.voices),
                    // OpenAI's older models and the servers that copy it take none.
                    instructions: defaults.instructions.filter(|_| model.starts_with("gpt-")),
                    model,
                    limits,
                    bounds: defaults.bounds,
                })?)
            }
            "elevenlabs" => {
                let defaults = ElevenLabsOptions::default();
                Arc::new(ElevenLabs::new(ElevenLabsOptions {
                    base_url: base_url(defaults.base_url),
                    model: model(defaults.model),
                    api_key: needed()?,
                    voices: voices(defaults.voices),
                    limits,
                    ..ElevenLabsOptions::default()
                })?)
            }
            "cartesia" => {
                let defaults = CartesiaOptions::default();
                Arc::new(Cartesia::new(CartesiaOptions {
                    base_url: base_url(defaults.base_url),
                    model: model(defaults.model),
                    api_key: needed()?,
                    voices: voices(defaults.voices),
                    ..CartesiaOptions::default()
                })?)
            }
            _ => {
                let defaults = DeepgramSpeechOptions::default();
                Arc::new(DeepgramSpeech::new(DeepgramSpeechOptions {
                    base_url: base_url(defaults.base_url),
                    api_key: needed()?,
                    voices: voices(defaults.voices),
                    limits,
                    ..DeepgramSpeechOptions::default()
                })?)
            }
        })
    }

    /// Those of the section, in the language of the agent's ears; else the vendor's best known.
    fn voices(&self, tts: &config::Tts, default: Vec<Voice>) -> Vec<Voice> {
        if tts.voices.is_empty() {
            return default;
        }
        let language = self.config.stt.language.as_deref().unwrap_or("en");
        tts.voices.iter().map(|id| Voice { id: id.clone(), language: language.to_owned() }).collect()
    }
}
