//! Makes the language model of a section.

use std::sync::Arc;

use antiphon_core::{Llm, RateLimits};
use antiphon_providers::scripted::fake::FakeLlm;
use antiphon_providers::vendors::anthropic::{AnthropicChat, AnthropicOptions};
use antiphon_providers::vendors::gemini::{GeminiChat, GeminiOptions};
use antiphon_providers::vendors::openai::{OpenAiChat, OpenAiOptions};
use anyhow::{Context, Result};

use super::builder::{Builder, Measured, OPENAI, api_key, key};
use crate::config::{self, LlmEngine};

/// A remote language model with its concrete type, so that each can be probed in its own way.
enum Remote {
    OpenAi(OpenAiChat),
    Anthropic(AnthropicChat),
    Gemini(GeminiChat),
}

/// The remote engine of a section; `None` if the engine is embedded.
fn remote(llm: &config::Llm, limits: &Arc<RateLimits>) -> Result<Option<Remote>> {
    let engine = llm.resolved_engine();
    let name = engine.name();
    let model = || llm.model.clone().with_context(|| format!("[llm] engine = \"{name}\" needs a model"));
    let api_key = api_key(llm.api_key.as_ref());
    Ok(Some(match engine {
        LlmEngine::OpenAi => {
            let base_url = llm.base_url.clone().unwrap_or_else(|| OPENAI.to_owned());
            Remote::OpenAi(OpenAiChat::new(OpenAiOptions {
                api_key,
                settings: llm.openai.clone(),
                limits: limits.clone(),
                ..OpenAiOptions::new(base_url, model()?)
            })?)
        }
        LlmEngine::Anthropic => {
            key("llm", name, llm.api_key.as_ref())?;
            let defaults = AnthropicOptions::new(model()?);
            Remote::Anthropic(AnthropicChat::new(AnthropicOptions {
                base_url: llm.base_url.clone().unwrap_or_else(|| defaults.base_url.clone()),
                api_key,
                max_tokens: llm.max_tokens,
                limits: limits.clone(),
                ..defaults
            })?)
        }
        LlmEngine::Gemini => {
            key("llm", name, llm.api_key.as_ref())?;
            let defaults = GeminiOptions::new(model()?);
            Remote::Gemini(GeminiChat::new(GeminiOptions {
                base_url: llm.base_url.clone().unwrap_or_else(|| defaults.base_url.clone()),
                api_key,
                settings: llm.gemini.clone(),
                limits: limits.clone(),
                ..defaults
            })?)
        }
        LlmEngine::Llama | LlmEngine::Sim | LlmEngine::Fake => return Ok(None),
    }))
}

/// Checks that the server of a remote engine can be reached and accepts the API key. `None` for embedded engines.
pub async fn probe(llm: &config::Llm) -> Option<Result<()>> {
    let asked = match remote(llm, &Arc::default()) {
        Ok(None) => return None,
        Ok(Some(Remote::OpenAi(engine))) => engine.probe().await,
        Ok(Some(Remote::Anthropic(engine))) => engine.probe().await,
        Ok(Some(Remote::Gemini(engine))) => engine.probe().await,
        Err(error) => return Some(Err(error)),
    };
    Some(asked.map_err(Into::into))
}

impl Builder<'_> {
    /// Makes one language model, with its measurements if it has any. A remote engine reports its server's rate
    /// limits to `limits`.
    pub(super) fn one_llm(
        &self,
        llm: &config::Llm,
        limits: &Arc<RateLimits>,
    ) -> Result<(Arc<dyn Llm>, Measured)> {
        let engine: Arc<dyn Llm> = match remote(llm, limits)? {
            Some(Remote::OpenAi(engine)) => Arc::new(engine),
            Some(Remote::Anthropic(engine)) => Arc::new(engine),
            Some(Remote::Gemini(engine)) => Arc::new(engine),
            None => match llm.resolved_engine() {
                LlmEngine::Fake => Arc::new(FakeLlm),
                LlmEngine::Sim => llm.sim.clone().engine(),
                _ => return self.llama(llm),
            },
        };
        Ok((engine, None))
    }

    #[cfg(feature = "llama")]
    fn llama(&self, llm: &config::Llm) -> Result<(Arc<dyn Llm>, Measured)> {
        use std::path::PathBuf;

        use antiphon_providers::local::llama::{Llama, LlamaOptions};

        let default = "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
        let file = llm.model.as_ref().map_or_else(|| self.model(default), PathBuf::from);
        let options = LlamaOptions {
            settings: llm.llama.clone(),
            max_tokens: llm.max_tokens,
            temperature: llm.temperature,
        };
        let llama = Llama::open(&file, options, self.pool.live_work().clone())?;
        let measured = llama.component();
        Ok((Arc::new(llama), Some(measured)))
    }

    #[cfg(not(feature = "llama"))]
    #[expect(clippy::unused_self, reason = "the same as with the feature")]
    fn llama(&self, _: &config::Llm) -> Result<(Arc<dyn Llm>, Measured)> {
        anyhow::bail!("this program was built without llama.cpp: set [llm] base_url to a server that answers")
    }
}
