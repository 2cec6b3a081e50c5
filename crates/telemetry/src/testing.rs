//! What several tests need.

use antiphon_core::measure::account::Account;
use antiphon_core::trace::TraceContext;
use antiphon_core::{CallId, CallStart};

/// A call that nobody traces.
pub(crate) fn call(id: &str, transport: &'static str) -> CallStart {
    let trace: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
    CallStart { id: CallId::new(id), transport, account: Account::open(), trace, parent: None }
}
