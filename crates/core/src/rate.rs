//! What a remote engine says of how much more it will take.

use std::sync::Mutex;
use std::time::Duration;

use crate::lock;

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
#[derive(Debug, Default)]
pub struct RateLimits(Mutex<Option<RateLimit>>);

impl RateLimits {
    /// The latest answer said this.
    pub fn tell(&self, limit: RateLimit) {
        *lock(&self.0) = Some(limit);
    }

    /// What was told since this was last asked.
    pub fn take(&self) -> Option<RateLimit> {
        lock(&self.0).take()
    }
}
