//! Makes the speech synthesis engine of a section.

use std::path::PathBuf;
use std::sync::Arc;

use antiphon_core::{RateLimits, Tts, Voice};
use antiphon_providers::local::kokoro::Kokoro;
use antiphon_providers::local::phonemes::Phonemizer;
use antiphon_providers::local::piper::Piper;
use antiphon_providers::scripted::fake::FakeTts;
use antiphon_providers::vendors::cartesia::{Cartesia, CartesiaOptions};
use antiphon_providers::vendors::deepgram::{DeepgramSpeech, DeepgramSpeechOptions};
use antiphon_providers::vendors::elevenlabs::{ElevenLabs, ElevenLabsOptions};
use antiphon_providers::vendors::openai::{OpenAiSpeech, OpenAiSpeechOptions};
use anyhow::Result;

use super::builder::{Builder, api_key, key};
use crate::config::{self, TtsEngine};

impl Builder<'_> {
    /// Makes one speech synthesis engine. Those asked by HTTP report their server's rate limits to `limits`.
    pub(super) fn one_tts(&self, tts: &config::Tts, limits: &Arc<RateLimits>) -> Result<Arc<dyn Tts>> {
        let file = |default: &str| tts.model.as_ref().map_or_else(|| self.model(default), PathBuf::from);
        let phonemizer = || Arc::new(Phonemizer::new());
        Ok(match tts.engine {
            TtsEngine::Piper => {
                let voice = file("piper-en_US-joe-medium/en_US-joe-medium.onnx");
                Arc::new(Piper::open(self.runtime()?, self.pool, &phonemizer(), &voice)?)
            }
            TtsEngine::Kokoro => {
                Arc::new(Kokoro::open(self.runtime()?, self.pool, &phonemizer(), &file("kokoro-82m"))?)
            }
            TtsEngine::OpenAi => self.openai_tts(tts, limits)?,
            TtsEngine::ElevenLabs => self.elevenlabs(tts, limits)?,
            TtsEngine::Cartesia => self.cartesia(tts)?,
            TtsEngine::Deepgram => self.deepgram_tts(tts, limits)?,
            TtsEngine::Sim => tts.sim.clone().engine(),
            TtsEngine::Fake => Arc::new(FakeTts),
        })
    }

    fn openai_tts(&self, tts: &config::Tts, limits: &Arc<RateLimits>) -> Result<Arc<dyn Tts>> {
        let defaults = OpenAiSpeechOptions::default();
        let model = tts.model.clone().unwrap_or(defaults.model);
        // OpenAI's older models, and servers that copy OpenAI's protocol, accept no instructions.
        let default = defaults.instructions.filter(|_| model.starts_with("gpt-"));
        Ok(Arc::new(OpenAiSpeech::new(OpenAiSpeechOptions {
            base_url: tts.base_url.clone().unwrap_or(defaults.base_url),
            api_key: api_key(tts.api_key.as_ref()),
            voices: self.voices(tts, defaults.voices),
            instructions: tts.openai.instructions.clone().or(default),
            model,
            limits: limits.clone(),
            bounds: defaults.bounds,
        })?))
    }

    fn elevenlabs(&self, tts: &config::Tts, limits: &Arc<RateLimits>) -> Result<Arc<dyn Tts>> {
        let defaults = ElevenLabsOptions::default();
        Ok(Arc::new(ElevenLabs::new(ElevenLabsOptions {
            base_url: tts.base_url.clone().unwrap_or(defaults.base_url),
            model: tts.model.clone().unwrap_or(defaults.model),
            api_key: key("tts", "elevenlabs", tts.api_key.as_ref())?,
            voices: self.voices(tts, defaults.voices),
            limits: limits.clone(),
            settings: tts.elevenlabs.clone(),
            ..ElevenLabsOptions::default()
        })?))
    }

    fn cartesia(&self, tts: &config::Tts) -> Result<Arc<dyn Tts>> {
        let defaults = CartesiaOptions::default();
        Ok(Arc::new(Cartesia::new(CartesiaOptions {
            base_url: tts.base_url.clone().unwrap_or(defaults.base_url),
            model: tts.model.clone().unwrap_or(defaults.model),
            api_key: key("tts", "cartesia", tts.api_key.as_ref())?,
            voices: self.voices(tts, defaults.voices),
            settings: tts.cartesia.clone(),
            ..CartesiaOptions::default()
        })?))
    }

    fn deepgram_tts(&self, tts: &config::Tts, limits: &Arc<RateLimits>) -> Result<Arc<dyn Tts>> {
        let defaults = DeepgramSpeechOptions::default();
        Ok(Arc::new(DeepgramSpeech::new(DeepgramSpeechOptions {
            base_url: tts.base_url.clone().unwrap_or(defaults.base_url),
            api_key: key("tts", "deepgram", tts.api_key.as_ref())?,
            voices: self.voices(tts, defaults.voices),
            limits: limits.clone(),
            settings: tts.deepgram.clone(),
            ..DeepgramSpeechOptions::default()
        })?))
    }

    /// The voices of the section, in the language of speech recognition; or else the vendor's default voices.
    fn voices(&self, tts: &config::Tts, default: Vec<Voice>) -> Vec<Voice> {
        if tts.voices.is_empty() {
            return default;
        }
        let language = self.config.stt.language.as_deref().unwrap_or("en");
        tts.voices.iter().map(|id| Voice { id: id.clone(), language: language.to_owned() }).collect()
    }
}
