//! Makes the speech recognition engine of a section.

use std::sync::Arc;

use antiphon_core::{RateLimits, Stt};
use antiphon_providers::local::moonshine::Moonshine;
use antiphon_providers::remote::Bounds;
use antiphon_providers::scripted::fake::FakeStt;
use antiphon_providers::vendors::assemblyai::{AssemblyAi, AssemblyAiOptions};
use antiphon_providers::vendors::deepgram::{DeepgramListen, DeepgramListenOptions};
use antiphon_providers::vendors::openai::{OpenAiTranscription, OpenAiTranscriptionOptions};
use anyhow::Result;

use super::builder::{Builder, OPENAI, api_key, key};
use crate::config::{self, SttEngine};

impl Builder<'_> {
    /// Makes one speech recognition engine. Those asked by HTTP report their server's rate limits to `limits`.
    pub(super) fn one_stt(&self, stt: &config::Stt, limits: &Arc<RateLimits>) -> Result<Arc<dyn Stt>> {
        Ok(match stt.engine {
            SttEngine::Moonshine => {
                Arc::new(Moonshine::open(self.runtime()?, self.pool, &self.model("moonshine-tiny-en"))?)
            }
            SttEngine::OpenAi => {
                let base_url = stt.base_url.clone().unwrap_or_else(|| OPENAI.to_owned());
                let model = stt.model.clone().unwrap_or_else(|| "gpt-4o-mini-transcribe".to_owned());
                Arc::new(OpenAiTranscription::new(OpenAiTranscriptionOptions {
                    // Whisper returns timestamps; OpenAI's newer models reject requests for them.
                    timestamps: stt.openai.timestamps.unwrap_or(!model.starts_with("gpt-")),
                    base_url,
                    model,
                    api_key: api_key(stt.api_key.as_ref()),
                    limits: limits.clone(),
                    bounds: Bounds::default(),
                })?)
            }
            SttEngine::Deepgram => {
                let defaults = DeepgramListenOptions::default();
                // A server of one's own may need no key.
                if stt.base_url.is_none() {
                    key("stt", "deepgram", stt.api_key.as_ref())?;
                }
                Arc::new(DeepgramListen::new(DeepgramListenOptions {
                    base_url: stt.base_url.clone().unwrap_or(defaults.base_url),
                    model: stt.model.clone().unwrap_or(defaults.model),
                    api_key: api_key(stt.api_key.as_ref()),
                    language: stt.language.clone(),
                    keyterms: stt.keyterms.clone(),
                    settings: stt.deepgram.clone(),
                    ..DeepgramListenOptions::default()
                })?)
            }
            SttEngine::AssemblyAi => {
                let defaults = AssemblyAiOptions::default();
                Arc::new(AssemblyAi::new(AssemblyAiOptions {
                    base_url: stt.base_url.clone().unwrap_or(defaults.base_url),
                    model: stt.model.clone().unwrap_or(defaults.model),
                    api_key: key("stt", "assemblyai", stt.api_key.as_ref())?,
                    keyterms: stt.keyterms.clone(),
                    settings: stt.assemblyai.clone(),
                    ..AssemblyAiOptions::default()
                })?)
            }
            SttEngine::Sim => stt.sim.clone().engine(),
            SttEngine::Fake => Arc::new(FakeStt),
        })
    }
}
