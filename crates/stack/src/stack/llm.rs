//! Language models by name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{Llm, RateLimits};
use antiphon_providers::anthropic::{AnthropicChat, AnthropicOptions};
use antiphon_providers::fake::FakeLlm;
use antiphon_providers::gemini::{GeminiChat, GeminiOptions};
use antiphon_providers::openai::{OpenAiChat, OpenAiOptions};
use antiphon_providers::remote::ApiKey;
use antiphon_providers::sim::SimLlm;
use anyhow::{Context, Result, bail};

use super::builder::{Builder, Measured, OPENAI, faults, key};
use crate::config;

/// The engine that a section means.
pub(super) fn engine(llm: &config::Llm) -> &str {
    let default = config::Llm::default().engine;
    if llm.base_url.is_some() && llm.engine == default { "openai" } else { &llm.engine }
}

/// A remote language model, still with its own name.
enum Remote {
    OpenAi(OpenAiChat),
    Anthropic(AnthropicChat),
    Gemini(GeminiChat),
}

/// The remote engine of a section, if that is what it means.
fn remote(llm: &config::Llm, limits: &Arc<RateLimits>) -> Result<Option<Remote>> {
    let name = engine(llm);
    let model = || llm.model.clone().with_context(|| format!("[llm] engine = \"{name}\" needs a model"));
    let api_key = llm.api_key.as_ref().map(|key| ApiKey::new(key.reveal()));
    Ok(Some(match name {
        "openai" => {
            let base_url = llm.base_url.clone().unwrap_or_else(|| OPENAI.to_owned());
            Remote::OpenAi(OpenAiChat::new(OpenAiOptions {
                api_key,
                api_version: llm.api_version.clone(),
                limits: limits.clone(),
                ..OpenAiOptions::new(base_url, model()?)
            })?)
        }
        "anthropic" => {
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
        "gemini" => {
            key("llm", name, llm.api_key.as_ref())?;
            let defaults = GeminiOptions::new(model()?);
            Remote::Gemini(GeminiChat::new(GeminiOptions {
                base_url: llm.base_url.clone().unwrap_or_else(|| defaults.base_url.clone()),
                api_key,
                limits: limits.clone(),
                ..defaults
            })?)
        }
        _ => return Ok(None),
    }))
}

/// Whether the server of a remote engine is there and takes the key; `None` for the engines of this process.
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
    /// One language model, and what of it is measured. Remote ones tell `limits` what their servers say.
    pub(super) fn one_llm(
        &self,
        llm: &config::Llm,
        limits: &Arc<RateLimits>,
    ) -> Result<(Arc<dyn Llm>, Measured)> {
        let here: Arc<dyn Llm> = match remote(llm, limits)? {
            Some(Remote::OpenAi(engine)) => Arc::new(engine),
            Some(Remote::Anthropic(engine)) => Arc::new(engine),
            Some(Remote::Gemini(engine)) => Arc::new(engine),
            None => match engine(llm) {
                "llama" => return self.llama(llm),
                "sim" => SimLlm {
                    first_token: Duration::from_millis(llm.first_token_ms),
                    token: Duration::from_millis(llm.token_ms),
                    tokens: llm.tokens,
                    text: llm.text.clone(),
                    faults: faults(llm.fail_rate, llm.stall_rate, llm.jitter_ms, llm.seed),
                }
                .engine(),
                "fake" => Arc::new(FakeLlm),
                other => {
                    bail!(
                        "[llm] engine = \"{other}\" is not known: llama, openai, anthropic, gemini, sim, fake"
                    )
                }
            },
        };
        Ok((here, None))
    }

    #[cfg(feature = "llama")]
    fn llama(&self, llm: &config::Llm) -> Result<(Arc<dyn Llm>, Measured)> {
        use antiphon_providers::llama::{Llama, LlamaOptions};

        let default = "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
        let file = llm.model.as_ref().map_or_else(|| self.model(default), PathBuf::from);
        let defaults = LlamaOptions::default();
        let options = LlamaOptions {
            threads: llm.threads.unwrap_or(defaults.threads),
            context: llm.context,
            parallel: llm.parallel,
            max_tokens: llm.max_tokens,
            temperature: llm.temperature,
            prompt_batch: llm.prompt_batch,
        };
        let llama = Llama::open(&file, options)?;
        let measured = llama.component();
        Ok((Arc::new(llama), Some(measured)))
    }

    #[cfg(not(feature = "llama"))]
    #[expect(clippy::unused_self, reason = "the same as with the feature")]
    fn llama(&self, _: &config::Llm) -> Result<(Arc<dyn Llm>, Measured)> {
        bail!("this program was built without llama.cpp: set [llm] base_url to a server that answers")
    }
}
