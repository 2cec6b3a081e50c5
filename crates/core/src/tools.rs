//! Tools that the server runs itself when the language model calls them.

use crate::chat::{Tool, ToolCall};
use crate::control::CallControl;
use crate::id::CallId;
use crate::{BoxFuture, Identity, Result};

/// What an agent may call and the server runs. One set an agent; shared by its calls.
///
/// # Example
///
/// A tool that tells whether a shop is open, and refuses what it does not know:
///
/// ```
/// use antiphon_core::{AgentId, BoxFuture, CallId, Error, ErrorKind, Identity, Result, Share, TenantId};
/// use antiphon_core::{Tool, ToolAnswer, ToolCall, ToolCaller, Tools};
/// use futures_util::FutureExt;
///
/// struct Shop {
///     open: bool,
/// }
///
/// impl Tools for Shop {
///     fn list(&self) -> Vec<Tool> {
///         vec![Tool {
///             name: "is_open".to_owned(),
///             description: "Tells whether the shop is open now.".to_owned(),
///             parameters: serde_json::json!({ "type": "object", "properties": {} }),
///         }]
///     }
///
///     fn run(&self, _: &ToolCaller, call: ToolCall) -> BoxFuture<'static, Result<ToolAnswer>> {
///         let answer = match call.name.as_str() {
///             "is_open" => Ok(ToolAnswer::text(format!(r#"{{"open": {}}}"#, self.open))),
///             other => Err(Error::new(ErrorKind::Invalid, format!("there is no tool {other}"))),
///         };
///         async move { answer }.boxed()
///     }
/// }
///
/// let identity = Identity {
///     tenant: TenantId::only(),
///     agent: AgentId::only(),
///     person: None,
///     share: Share::Server,
/// };
/// let caller = ToolCaller { call: CallId::new("call-1"), identity };
/// let call = ToolCall { id: "1".to_owned(), name: "is_open".to_owned(), arguments: "{}".to_owned() };
/// let answer = Shop { open: true }.run(&caller, call).now_or_never();
/// assert_eq!(answer, Some(Ok(ToolAnswer::text(r#"{"open": true}"#))));
/// ```
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
    /// The call in which the model asked for the tool.
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
