//! The interface of language models.

use serde::Serialize;

use crate::chat::{ChatRequest, FinishReason, Tool, Usage};
use crate::{BoxStream, Result};

/// A piece of a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatDelta {
    /// What follows was answered before: the first piece of such a completion.
    FromCache(CacheHit),
    /// The text to append to what came before.
    Text(String),
    /// More of a tool call. `id` and `name` are given once, in the first piece of each `index`.
    ToolCall {
        /// Which of the calls in this completion.
        index: usize,
        /// Unique within the conversation.
        id: Option<String>,
        /// The name of the tool that is called.
        name: Option<String>,
        /// More of the JSON arguments.
        arguments: String,
    },
    /// The end; always the last piece of a completion that did not fail.
    Done {
        /// Why the model wrote no more.
        finish: FinishReason,
        /// What it used, zero where the engine does not say.
        usage: Usage,
    },
}

/// Why an answer given before may answer this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheHit {
    /// The same was asked.
    Exact,
    /// The same was asked in other words.
    Semantic,
}

/// What describes a language model; it stays the same. Decorators pass on that of the engine they wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LlmCard<'a> {
    /// The engine's name, for logs and metrics.
    pub name: &'static str,
    /// The default model's name.
    pub model: &'a str,
}

/// A language model shared by all calls.
///
/// # Example
///
/// A model that repeats the last message:
///
/// ```
/// use antiphon_core::{BoxStream, ChatDelta, ChatRequest, FinishReason, Llm, LlmCard, Result, Usage};
/// use futures_util::{StreamExt, stream};
///
/// struct Echo;
///
/// impl Llm for Echo {
///     fn card(&self) -> LlmCard<'_> {
///         LlmCard { name: "echo", model: "echo-1" }
///     }
///
///     fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
///         let last = request.messages.last().map(|message| message.content.clone());
///         let text = ChatDelta::Text(last.unwrap_or_default());
///         let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
///         stream::iter([Ok(text), Ok(done)]).boxed()
///     }
/// }
///
/// assert_eq!(Echo.card().model, "echo-1");
/// ```
pub trait Llm: Send + Sync {
    /// The engine's name and model.
    fn card(&self) -> LlmCard<'_>;

    /// Answers a conversation. Dropping the stream cancels the work.
    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>>;

    /// A request that begins like this one will follow soon: an engine with a prompt cache may read it in
    /// advance. Returns at once.
    fn prepare(&self, _request: &ChatRequest) {}

    /// Whether calls of these tools can be held to their schemas; an error says which schema is at fault. Asked before a session
    /// takes the tools, so that nobody learns of it in the middle of a call.
    fn check_tools(&self, _tools: &[Tool]) -> Result<()> {
        Ok(())
    }
}
