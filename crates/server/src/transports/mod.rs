//! The transports: one file or folder for each protocol by which calls come in. See `spec.rs` for what all of them obey.

pub(crate) mod file;
pub(crate) mod microphone;
pub(crate) mod realtime;
mod socket;
#[cfg(test)]
mod spec;
pub(crate) mod talk;
pub(crate) mod telephony;
pub(crate) mod turns;

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
