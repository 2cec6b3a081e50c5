//! Measuring: everything that is counted or timed passes through one trait.

use std::sync::Arc;

use crate::control::CallEnd;
use crate::measure::account::Account;
use crate::trace::TraceContext;
use crate::{CallId, Event, Identity, KeyId};

/// The facts about a call, fixed when it begins: enough to write a call record from. No secret is among them.
#[derive(Clone, Debug)]
pub struct CallStart {
    /// The call's id, which log lines and spans carry as well.
    pub id: CallId,
    /// Who calls, and whose agent answers.
    pub identity: Identity,
    /// The name of the protocol that carries the call, as [`crate::Transport::name`] gives it.
    pub transport: &'static str,
    /// The calling number or address, where it is verified.
    pub from: Option<Arc<str>>,
    /// The number or address that was called.
    pub to: Option<Arc<str>>,
    /// Stands for the key that let the caller in, if there was one.
    pub key_id: Option<KeyId>,
    /// What the call will have used.
    pub account: Arc<Account>,
    /// The span of the whole call; whatever is done for the call happens under it.
    pub trace: TraceContext,
    /// The span of whoever called, if the client named one.
    pub parent: Option<TraceContext>,
}

impl CallStart {
    /// A call of which no more is known than who is who.
    pub fn new(id: CallId, identity: Identity, transport: &'static str, trace: TraceContext) -> Self {
        let account = Account::open();
        Self { id, identity, transport, from: None, to: None, key_id: None, account, trace, parent: None }
    }
}

/// Watches calls and engines. Called on the hot path: must neither block nor allocate much.
///
/// # Example
///
/// An observer that counts failed requests to engines:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use antiphon_core::{CallEnd, CallId, CallStart, Event, Observer, RequestOutcome};
///
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl Observer for Failures {
///     fn call_started(&self, _call: &CallStart) {}
///
///     fn event(&self, _call: &CallId, _event: &Event) {}
///
///     fn call_ended(&self, _call: &CallStart, _end: &CallEnd) {}
///
///     fn request_ended(&self, _engine: &'static str, outcome: RequestOutcome) {
///         if outcome == RequestOutcome::Error {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let failures = Failures::default();
/// failures.request_ended("openai", RequestOutcome::Ok);
/// failures.request_ended("openai", RequestOutcome::Error);
/// assert_eq!(failures.0.load(Ordering::Relaxed), 1);
/// ```
pub trait Observer: Send + Sync {
    /// A call was let in and begins.
    fn call_started(&self, call: &CallStart);

    /// Something happened in a call.
    fn event(&self, call: &CallId, event: &Event);

    /// The call is over.
    fn call_ended(&self, call: &CallStart, end: &CallEnd);

    /// A request to an engine ended.
    fn request_ended(&self, engine: &'static str, outcome: RequestOutcome);
}

/// How a request to an engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestOutcome {
    /// All of the answer was received.
    Ok,
    /// The engine answered with an error, or not in time.
    Error,
    /// Whoever asked went away before the end.
    Cancelled,
}

impl RequestOutcome {
    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}
