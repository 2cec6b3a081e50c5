//! Identifiers that are unique over time and across servers.

use std::num::{NonZeroU64, NonZeroU128};

use antiphon_core::CallId;
use antiphon_core::trace::TraceContext;
use rand::Rng;

/// Appends 20 random letters and digits to `prefix`. They hold 103 bits, so that the result can be neither repeated
/// nor guessed.
pub fn unique(prefix: &str) -> String {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rng = rand::rng();
    let mut id = String::with_capacity(prefix.len() + 20);
    id.push_str(prefix);
    id.extend((0..20).map(|_| ALPHABET[rng.random_range(0..ALPHABET.len())] as char));
    id
}

/// The id of a new call.
pub fn new_call() -> CallId {
    CallId::new(unique("call_"))
}

/// The span of a new call, in the caller's trace or in a new one.
pub fn new_span(parent: Option<TraceContext>) -> TraceContext {
    let mut rng = rand::rng();
    let (trace_id, span_id): (NonZeroU128, NonZeroU64) = (rng.random(), rng.random());
    parent.map_or(TraceContext { trace_id, span_id, sampled: true }, |parent| parent.child(span_id))
}
