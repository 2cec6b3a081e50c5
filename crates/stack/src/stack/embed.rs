//! Makes the embedding engine of a section.

use std::sync::Arc;

use antiphon_core::{Embed, RateLimits};
use antiphon_providers::local::minilm::MiniLm;
use antiphon_providers::scripted::fake::FakeEmbed;
use antiphon_providers::scripted::sim::SimEmbed;
use antiphon_providers::vendors::openai::{OpenAiEmbed, OpenAiEmbedOptions};
use anyhow::Result;

use super::builder::{Builder, OPENAI, api_key};
use crate::config::{self, EmbedEngine};

impl Builder<'_> {
    /// Makes one embedding engine. A remote engine reports its server's rate limits to `limits`.
    pub(super) fn one_embed(
        &self,
        embed: &config::Embed,
        limits: &Arc<RateLimits>,
    ) -> Result<Arc<dyn Embed>> {
        Ok(match embed.engine {
            EmbedEngine::MiniLm => {
                let model = self.model("minilm-l6-v2/model.onnx");
                Arc::new(MiniLm::open(self.runtime()?, self.pool, &model)?)
            }
            EmbedEngine::OpenAi => {
                let base_url = embed.base_url.clone().unwrap_or_else(|| OPENAI.to_owned());
                let model = embed.model.clone().unwrap_or_else(|| "text-embedding-3-small".to_owned());
                Arc::new(OpenAiEmbed::new(OpenAiEmbedOptions {
                    api_key: api_key(embed.api_key.as_ref()),
                    settings: embed.openai.clone(),
                    limits: limits.clone(),
                    ..OpenAiEmbedOptions::new(base_url, model)
                })?)
            }
            EmbedEngine::Sim => Arc::new(SimEmbed),
            EmbedEngine::Fake => Arc::new(FakeEmbed),
        })
    }
}
