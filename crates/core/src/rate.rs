//! What a remote engine says of how much more it will take.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

/// As a server told it in the headers of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests that it will still take before `reset`.
    pub remaining: u64,
    /// From the answer until it takes `limit` requests again.
    pub reset: Duration,
    /// Requests that it takes from reset to reset, if it said.
    pub limit: Option<u64>,
}

/// The way from an engine, which reads headers, to whoever lets requests through to it.
#[derive(Default)]
pub struct RateLimits(OnceLock<Listener>);

type Listener = Box<dyn Fn(RateLimit) + Send + Sync>;

impl RateLimits {
    /// From now on `listener` hears what each answer says. There is one listener, the first.
    pub fn listen(&self, listener: impl Fn(RateLimit) + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(listener));
    }

    /// The latest answer said this. Without a listener it is forgotten.
    pub fn tell(&self, limit: RateLimit) {
        if let Some(listener) = self.0.get() {
            listener(limit);
        }
    }
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits").finish_non_exhaustive()
    }
}
