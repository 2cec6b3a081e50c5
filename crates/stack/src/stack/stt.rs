//! Speech recognisers by name.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{RateLimits, Stt};
use antiphon_providers::assemblyai::{AssemblyAi, AssemblyAiOptions};
use antiphon_providers::deepgram::{DeepgramListen, DeepgramListenOptions};
use antiphon_providers::fake::FakeStt;
use antiphon_providers::moonshine::Moonshine;
use antiphon_providers::openai::{OpenAiTranscription, OpenAiTranscriptionOptions};
use antiphon_providers::remote::Bounds;
use antiphon_providers::sim::SimStt;
use anyhow::{Result, bail};

use super::builder::{Builder, OPENAI, faults, key};
use crate::config;

impl Builder<'_> {
    /// One recogniser. Those asked by HTTP tell `limits` what their servers say.
    pub(super) fn one_stt(&self, stt: &config::Stt, limits: &Arc<RateLimits>) -> Result<Arc<dyn Stt>> {
        let api_key = || stt.api_key.as_ref().map(|key| key.reveal().to_owned());
        Ok(match stt.engine.as_str() {
            "moonshine" => {
                Arc::new(Moonshine::open(self.runtime()?, self.pool, &self.model("moonshine-tiny-en"))?)
            }
            "openai" => {
                let base_url = stt.base_url.clone().unwrap_or_else(|| OPENAI.to_owned());
                let model = stt.model.clone().unwrap_or_else(|| "gpt-4o-mini-transcribe".to_owned());
                Arc::new(OpenAiTranscription::new(OpenAiTranscriptionOptions {
                    // Whisper says when what was said; OpenAI's newer models refuse to be asked.
                    timestamps: !model.starts_with("gpt-"),
                    base_url,
                    model,
                    api_key: api_key(),
                    limits: limits.clone(),
                    bounds: Bounds::default(),
                })?)
            }
            "deepgram" => {
                let defaults = DeepgramListenOptions::default();
                // An engine on one's own machines needs no key.
                if stt.base_url.is_none() {
                    key("stt", "deepgram", stt.api_key.as_ref())?;
                }
                Arc::new(DeepgramListen::new(DeepgramListenOptions {
                    base_url: stt.base_url.clone().unwrap_or(defaults.base_url),
                    model: stt.model.clone().unwrap_or(defaults.model),
                    api_key: api_key(),
                    language: stt.language.clone(),
                    keyterms: stt.keyterms.clone(),
                    ..DeepgramListenOptions::default()
                })?)
            }
            "assemblyai" => {
                let defaults = AssemblyAiOptions::default();
                Arc::new(AssemblyAi::new(AssemblyAiOptions {
                    base_url: stt.base_url.clone().unwrap_or(defaults.base_url),
                    model: stt.model.clone().unwrap_or(defaults.model),
                    api_key: key("stt", "assemblyai", stt.api_key.as_ref())?,
                    keyterms: stt.keyterms.clone(),
                    ..AssemblyAiOptions::default()
                })?)
            }
            "sim" => SimStt {
                delay: Duration::from_millis(stt.delay_ms),
                text: stt.text.clone(),
                faults: faults(stt.fail_rate, stt.stall_rate, stt.jitter_ms, stt.seed),
            }
            .engine(),
            "fake" => Arc::new(FakeStt),
            other => {
                bail!(
                    "[stt] engine = \"{other}\" is not known: moonshine, openai, deepgram, assemblyai, sim, fake"
                )
            }
        })
    }
}
