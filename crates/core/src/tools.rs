//! Tools that the server runs itself when the language model calls them.

use crate::chat::{Tool, ToolCall};
use crate::control::CallControl;
use crate::id::CallId;
use crate::{BoxFuture, Identity, Result};

/// What an agent may call and the server runs. One set an agent; shared by its calls.
pub trait Tools: Send + Sync {
    /// What the language model is told of them.
    fn list(&self) -> Vec<Tool>;

    /// Runs the tool that `call` names. `caller` says for whom: a tool must not show one person what is another's. An
    /// error is told to the model, which says so or tries something else. Dropping the future stops the work.
    fn run(&self, caller: &ToolCaller, call: ToolCall) -> BoxFuture<'static, Result<ToolAnswer>>;
}

/// In which call a tool is run.
#[derive(Clone, Debug)]
pub struct ToolCaller {
    /// The call.
    pub call: CallId,
    /// Who calls, and whose agent answers.
    pub identity: Identity,
}

/// What a tool gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolAnswer {
    /// What the language model reads, such as JSON.
    pub text: String,
    /// What is done with the call once the reply to the answer has been heard.
    pub control: Option<CallControl>,
}

impl ToolAnswer {
    /// An answer that only tells something.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), control: None }
    }
}
