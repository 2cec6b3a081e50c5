//! Google's language models: the Gemini API (<https://ai.google.dev/api/generate-content>).

mod events;
mod request;
mod schema;
mod signatures;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use antiphon_core::settings::Check;
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Error, Llm, LlmCard, RateLimits, Result};
use futures_util::{StreamExt, stream};

use crate::remote::chat::completion;
use crate::remote::{ApiKey, Bounds, Remote};
use signatures::Signatures;

/// The values of `thinking_level` in Gemini's interface.
const LEVELS: &[&str] = &["minimal", "low", "medium", "high"];

antiphon_core::settings! {
    /// What only Google's Gemini takes.
    pub struct GeminiSettings {
        /// Tokens the model may think before it speaks. They count as written, and nobody hears them. 0 turns thinking off
        /// in models that can do without; -1 leaves it to the model, as when not set. For models up to Gemini 2.5.
        thinking_budget: Option<i32> = None, check(Check::Between(-1.0, 32_768.0)), example("0");
        /// How much the model may think, from Gemini 3 on. It is not set together with `thinking_budget`.
        thinking_level: Option<String> = None, check(Check::OneOf(LEVELS)), example("\"low\"");
    }
}

/// Where the server is and what to ask it for.
#[derive(Clone, Debug)]
pub struct GeminiOptions {
    /// Up to and with the version: `/v1beta`.
    pub base_url: String,
    /// The model's name at Google.
    pub model: String,
    /// The key, if the server wants one.
    pub api_key: Option<ApiKey>,
    /// What can be set of it alone.
    pub settings: GeminiSettings,
    /// How long it may take.
    pub bounds: Bounds,
    /// Told what the server says of how much more it will take.
    pub limits: Arc<RateLimits>,
}

impl GeminiOptions {
    /// Google's own server, all else as usual.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            base_url: "https://generativelanguage.googleapis.com/v1beta".to_owned(),
            model: model.into(),
            api_key: None,
            settings: GeminiSettings::default(),
            bounds: Bounds::default(),
            limits: Arc::default(),
        }
    }
}

/// A language model of Google.
pub struct GeminiChat {
    remote: Remote,
    options: GeminiOptions,
    signatures: Arc<Signatures>,
}

impl GeminiChat {
    /// Makes the client. The first request connects.
    pub fn new(options: GeminiOptions) -> Result<Self> {
        if options.settings.thinking_budget.is_some() && options.settings.thinking_level.is_some() {
            let both = "[llm.gemini] thinking_budget and thinking_level: the API takes one of them";
            return Err(Error::invalid(both));
        }
        let mut remote = Remote::new(&options.base_url, "Google's server", "[llm]")?
            .with_bounds(options.bounds)
            .with_limits(Arc::clone(&options.limits));
        if let Some(key) = &options.api_key {
            remote = remote.with_key("x-goog-api-key", "", key)?;
        }
        remote.in_path(&options.model)?;
        Ok(Self { remote, options, signatures: Arc::default() })
    }

    /// Asks the server for the model, to test whether it can be reached and accepts the key.
    pub async fn probe(&self) -> Result<()> {
        self.remote.send(self.remote.get(&format!("/models/{}", self.options.model))).await.map(drop)
    }

    fn begin(&self, request: &ChatRequest) -> Result<BoxStream<'static, Result<ChatDelta>>> {
        let model = self.remote.in_path(request.model.as_deref().unwrap_or(&self.options.model))?;
        let body = request::body(&self.options, model, request, &self.signatures);
        let path = format!("/models/{model}:streamGenerateContent?alt=sse");
        let post = self.remote.post(&path).json(&body);
        Ok(completion(&self.remote, post, request, events::Contents::new(Arc::clone(&self.signatures))))
    }
}

/// A reader for one completion.
#[cfg(any(test, fuzzing))]
pub(crate) fn dialect() -> impl crate::remote::chat::Dialect {
    events::Contents::new(Arc::default())
}

impl Llm for GeminiChat {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "gemini", model: &self.options.model }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        self.begin(&request).unwrap_or_else(|error| stream::once(async { Err(error) }).boxed())
    }
}
