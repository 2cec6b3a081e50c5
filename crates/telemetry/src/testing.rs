//! Helpers that several tests share.

use antiphon_core::measure::{Component, Level, Stage};
use antiphon_core::trace::TraceContext;
use antiphon_core::{AgentId, CallId, CallStart, Identity, Share, TenantId};

/// The start of a call that has no parent trace.
pub(crate) fn call(id: &str, transport: &'static str) -> CallStart {
    let trace: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
    CallStart::new(CallId::new(id), nobody(), transport, trace)
}

/// The identity of a caller of whom nothing is known.
pub(crate) fn nobody() -> Identity {
    Identity { tenant: TenantId::only(), agent: AgentId::only(), person: None, share: Share::Server }
}

/// A component with one stage and one level.
pub(crate) struct Part(pub(crate) Stage);

impl Part {
    pub(crate) fn new() -> Self {
        Self(Stage::new("step"))
    }
}

impl Component for Part {
    fn name(&self) -> &'static str {
        "part"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.0]
    }

    fn levels(&self) -> Vec<Level> {
        vec![Level::new("queue", 3.0, "jobs").with_limit(10.0)]
    }
}
