//! Any server with OpenAI's chat completions API.

mod calls;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use antiphon_core::settings::Check;
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Llm, LlmCard, RateLimits, Result};
use futures_util::{StreamExt, stream};

use super::server::{Auth, Vendor, with_key};
use crate::remote::chat::completion;
use crate::remote::{ApiKey, Bounds, Remote};

/// The values of `reasoning_effort` that OpenAI takes; only Groq takes `default`.
const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max", "default"];

antiphon_core::settings! {
    /// OpenAI's language models, and servers like it.
    pub struct OpenAiChatSettings {
        /// On Azure's older paths, with deployments in them: the version of its interface.
        api_version: Option<String> = None, example("\"2024-10-21\""), own(), formerly_above();
        /// How long a reasoning model may think. What it thinks counts as written, and nobody hears it. When not set: as
        /// the model likes. Which values there are depends on the model.
        reasoning_effort: Option<String> = None, check(Check::OneOf(EFFORTS)), example("\"low\"");
    }
}

/// Where the server is and what to ask it for.
#[derive(Clone, Debug)]
pub struct OpenAiOptions {
    /// Up to and with `/v1`; with `api_version` up to and with `/openai`.
    pub base_url: String,
    /// The model's name there; with `api_version` the deployment's.
    pub model: String,
    /// The key, if the server wants one.
    pub api_key: Option<ApiKey>,
    /// How the key is sent; `None`: as the host wants it, see [`Auth`].
    pub auth: Option<Auth>,
    /// Whether to hint at the prompt cache by a hash of the instructions; `None`: only where the host is
    /// `api.openai.com`, as others may refuse what they do not know.
    pub prompt_cache_key: Option<bool>,
    /// What can be set of it alone.
    pub settings: OpenAiChatSettings,
    /// How long it may take.
    pub bounds: Bounds,
    /// Told what the server says of how much more it will take.
    pub limits: Arc<RateLimits>,
}

impl OpenAiOptions {
    /// A server and a model, all else as usual.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            api_key: None,
            auth: None,
            prompt_cache_key: None,
            settings: OpenAiChatSettings::default(),
            bounds: Bounds::default(),
            limits: Arc::default(),
        }
    }
}

/// A language model behind this API.
pub struct OpenAiChat {
    remote: Remote,
    options: OpenAiOptions,
    style: wire::Style,
}

impl OpenAiChat {
    /// Makes the client. The first request connects.
    pub fn new(options: OpenAiOptions) -> Result<Self> {
        let vendor = Vendor::of(&options.base_url);
        let remote = Remote::new(&options.base_url, "the language model's server", "[llm]")?
            .with_bounds(options.bounds)
            .with_limits(Arc::clone(&options.limits));
        let auth = options.auth.unwrap_or_else(|| vendor.auth());
        let remote = with_key(remote, auth, options.api_key.as_ref())?;
        let style = wire::Style::new(vendor, &options);
        Ok(Self { remote, options, style })
    }

    /// Asks the server for its models, to test whether it can be reached and accepts the key.
    pub async fn probe(&self) -> Result<()> {
        self.remote.send(self.remote.get(&self.versioned("/models"))).await.map(drop)
    }

    fn versioned(&self, path: &str) -> String {
        match &self.options.settings.api_version {
            Some(version) => format!("{path}?api-version={version}"),
            None => path.to_owned(),
        }
    }

    fn begin(&self, request: &ChatRequest) -> Result<BoxStream<'static, Result<ChatDelta>>> {
        let model = request.model.as_deref().unwrap_or(&self.options.model);
        let path = match &self.options.settings.api_version {
            Some(_) => format!("/deployments/{}/chat/completions", self.remote.in_path(model)?),
            None => "/chat/completions".to_owned(),
        };
        let body = wire::request(model, request, &self.style);
        let post = self.remote.post(&self.versioned(&path)).json(&body);
        Ok(completion(&self.remote, post, request, wire::Completions::default()))
    }
}

/// A reader for one completion.
#[cfg(any(test, fuzzing))]
pub(crate) fn dialect() -> impl crate::remote::chat::Dialect {
    wire::Completions::default()
}

impl Llm for OpenAiChat {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "openai", model: &self.options.model }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        self.begin(&request).unwrap_or_else(|error| stream::once(async { Err(error) }).boxed())
    }
}
