//! The protocols a call may come in by, one folder each.

pub(crate) mod file;
pub(crate) mod microphone;
pub(crate) mod realtime;
mod socket;
pub(crate) mod talk;
pub(crate) mod turns;
pub(crate) mod twilio;

use antiphon_core::trace::TraceContext;
use antiphon_core::{Caller, PersonId};
use antiphon_desk::Entrant;
use axum::http::HeaderMap;

/// Whoever asked for this WebSocket: the key that let them in, and their place in a trace.
fn caller(transport: &'static str, entrant: &Entrant, headers: &HeaderMap) -> Caller {
    let trace = || headers.get(TraceContext::HEADER)?.to_str().ok()?.trim().parse().ok();
    Caller { key: entrant.key.clone(), trace: trace(), ..Caller::by(transport) }
}

/// The person that a client says it speaks for.
fn person(name: Option<&str>) -> Option<PersonId> {
    name.and_then(PersonId::parse)
}
