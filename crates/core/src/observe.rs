//! Measuring: everything that is counted or timed passes through one trait.

use std::sync::Arc;

use crate::measure::account::Account;
use crate::trace::TraceContext;
use crate::{CallId, Event};

/// A call that begins.
#[derive(Clone, Debug)]
pub struct CallStart {
    /// Its name.
    pub id: CallId,
    /// The transport's name.
    pub transport: &'static str,
    /// What it will have used.
    pub account: Arc<Account>,
    /// Its span.
    pub trace: TraceContext,
    /// The span of whoever called, if it told.
    pub parent: Option<TraceContext>,
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
/// use antiphon_core::{CallId, CallOutcome, CallStart, Event, Observer, RequestOutcome};
///
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl Observer for Failures {
///     fn call_started(&self, _call: &CallStart) {}
///
///     fn event(&self, _call: &CallId, _event: &Event) {}
///
///     fn call_ended(&self, _call: &CallId, _transport: &'static str, _outcome: CallOutcome) {}
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
    /// A call began.
    fn call_started(&self, call: &CallStart);

    /// Something happened in a call.
    fn event(&self, call: &CallId, event: &Event);

    /// The call is over.
    fn call_ended(&self, call: &CallId, transport: &'static str, outcome: CallOutcome);

    /// A request to an engine ended.
    fn request_ended(&self, engine: &'static str, outcome: RequestOutcome);
}

/// How a request to an engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestOutcome {
    /// It was answered.
    Ok,
    /// It failed.
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

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// Either side hung up.
    Completed,
    /// The connection was lost, or the client read too slowly.
    Lost,
    /// The server is stopping.
    Drained,
}

impl CallOutcome {
    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Lost => "lost",
            Self::Drained => "drained",
        }
    }
}
