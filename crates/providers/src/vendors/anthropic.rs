//! Anthropic's language models: the Messages API (<https://docs.anthropic.com/en/api/messages>).

mod events;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Llm, LlmCard, RateLimits, Result};

use crate::remote::chat::completion;
use crate::remote::{ApiKey, Bounds, Remote};

/// The version of the API.
const VERSION: &str = "2023-06-01";

/// Where the server is and what to ask it for.
#[derive(Clone, Debug)]
pub struct AnthropicOptions {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// The model's name at Anthropic.
    pub model: String,
    /// The key, if the server wants one.
    pub api_key: Option<ApiKey>,
    /// The longest reply in tokens where a request does not say: the API wants to know.
    pub max_tokens: u32,
    /// How long it may take.
    pub bounds: Bounds,
    /// Told what the server says of how much more it will take.
    pub limits: Arc<RateLimits>,
}

impl AnthropicOptions {
    /// Anthropic's own server, all else as usual.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            base_url: "https://api.anthropic.com/v1".to_owned(),
            model: model.into(),
            api_key: None,
            // This is enough for some minutes of speech.
            max_tokens: 1_024,
            bounds: Bounds::default(),
            limits: Arc::default(),
        }
    }
}

/// A language model of Anthropic. Models that support it continue a conversation that ends with the assistant's words.
pub struct AnthropicChat {
    remote: Remote,
    options: AnthropicOptions,
}

impl AnthropicChat {
    /// Makes the client. The first request connects.
    pub fn new(options: AnthropicOptions) -> Result<Self> {
        let mut remote = Remote::new(&options.base_url, "Anthropic's server", "[llm]")?
            .with_bounds(options.bounds)
            .with_limits(Arc::clone(&options.limits))
            .with_header("anthropic-version", VERSION);
        if let Some(key) = &options.api_key {
            remote = remote.with_key("x-api-key", "", key)?;
        }
        Ok(Self { remote, options })
    }

    /// Asks the server for its models, to test whether it can be reached and accepts the key.
    pub async fn probe(&self) -> Result<()> {
        self.remote.send(self.remote.get("/models?limit=1")).await.map(drop)
    }
}

/// A reader for one completion.
#[cfg(any(test, fuzzing))]
pub(crate) fn dialect() -> impl crate::remote::chat::Dialect {
    events::Messages::default()
}

impl Llm for AnthropicChat {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "anthropic", model: &self.options.model }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let body = request::body(&self.options, &request);
        let post = self.remote.post("/messages").json(&body);
        completion(&self.remote, post, &request, events::Messages::default())
    }
}
