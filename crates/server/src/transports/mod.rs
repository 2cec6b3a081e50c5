//! The transports: one file or folder for each protocol by which calls come in. See `spec.rs` for what all of them obey.

pub(crate) mod file;
pub(crate) mod microphone;
pub(crate) mod realtime;
mod socket;
#[cfg(test)]
mod spec;
pub(crate) mod talk;
pub(crate) mod telephony;
mod timed;
pub(crate) mod turns;

use antiphon_agent::ids::CallContext;
use antiphon_agent::run_call;
use antiphon_core::Transport;
use antiphon_core::call::SessionConfig;
use antiphon_core::trace::TraceContext;
use axum::http::HeaderMap;
use tracing::Instrument;

use self::timed::Timed;
use crate::app::{App, CallGuard};

/// Holds a call that was let in, to its end. Whatever is logged meanwhile carries the call's name.
async fn hold(
    app: &App,
    guard: CallGuard,
    caller: Option<TraceContext>,
    config: SessionConfig,
    transport: impl Transport,
) {
    let context = CallContext::new(caller);
    let trace_id = format!("{:032x}", context.trace.trace_id);
    let span = tracing::info_span!("call", call_id = %context.id, transport = transport.name(), trace_id);
    let (engines, observer) = (app.engines.clone(), app.observer.clone());
    let call = async {
        tracing::info!("call begun");
        let transport = Timed::new(transport, app.pipeline.clone());
        let outcome = run_call(context, engines, config, observer, transport, guard.ending()).await;
        tracing::info!(outcome = outcome.label(), "call over");
    };
    call.instrument(span).await;
}

/// The name of a person as whoever calls gives it, if it can be one.
fn person(name: &str) -> Option<String> {
    /// A telephone number, an e-mail address or an id is shorter.
    const LONGEST: usize = 200;
    let name = name.trim();
    (!name.is_empty() && name.len() <= LONGEST).then(|| name.to_owned())
}

/// The caller's place in a trace, if it tells a valid one.
fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    headers.get(TraceContext::HEADER)?.to_str().ok()?.trim().parse().ok()
}
