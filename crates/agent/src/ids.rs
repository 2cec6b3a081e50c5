//! Identities unique in time and between servers.

use std::num::{NonZeroU64, NonZeroU128};

use antiphon_core::CallId;
use antiphon_core::trace::TraceContext;
use rand::Rng;

/// `prefix` and 20 letters and digits: 103 bits, as unguessable as it is unique.
pub fn unique(prefix: &str) -> String {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rng = rand::rng();
    let mut id = String::with_capacity(prefix.len() + 20);
    id.push_str(prefix);
    id.extend((0..20).map(|_| ALPHABET[rng.random_range(0..ALPHABET.len())] as char));
    id
}

/// The name of a new call.
pub fn new_call() -> CallId {
    CallId::new(unique("call_"))
}

/// The span of a new call, within the caller's trace or one of its own.
pub fn new_span(parent: Option<TraceContext>) -> TraceContext {
    let mut rng = rand::rng();
    let (trace_id, span_id): (NonZeroU128, NonZeroU64) = (rng.random(), rng.random());
    parent.map_or(TraceContext { trace_id, span_id, sampled: true }, |parent| parent.child(span_id))
}
