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

/// A call and the trace it belongs to.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Its name.
    pub id: CallId,
    /// Its span.
    pub trace: TraceContext,
    /// The span of whoever called, if it told.
    pub parent: Option<TraceContext>,
}

impl CallContext {
    /// A new call, within the caller's trace or one of its own.
    pub fn new(parent: Option<TraceContext>) -> Self {
        let mut rng = rand::rng();
        let (trace_id, span_id): (NonZeroU128, NonZeroU64) = (rng.random(), rng.random());
        let own = TraceContext { trace_id, span_id, sampled: true };
        let trace = parent.map_or(own, |parent| parent.child(span_id));
        Self { id: CallId::new(unique("call_")), trace, parent }
    }
}
