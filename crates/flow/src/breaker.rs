//! The circuit breaker of one engine (Nygard, Release It!, 2007): while the engine fails, callers get an error at once, and the
//! engine gets only single requests as probes.

mod circuit;
mod window;

use std::sync::{Arc, Mutex};

use antiphon_core::{Error, Result, lock};
use tokio::time::Instant;

use circuit::Circuit;

/// Whether requests are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All requests are let through.
    Closed,
    /// One request at a time is, to see whether the engine works again.
    HalfOpen,
    /// No request is let through; each fails at once.
    Open,
}

/// A breaker, shared by all who ask one engine. It reads no clock: time is an argument.
pub struct Breaker {
    circuit: Mutex<Circuit>,
}

/// What a breaker has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) opened: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
}

impl Breaker {
    /// A closed breaker; errors name the engine as `target`: "llm openai".
    pub fn new(target: Arc<str>) -> Self {
        Self { circuit: Mutex::new(Circuit::new(target)) }
    }

    /// Lets a request through, or says why it is not.
    ///
    /// # Errors
    /// `Unavailable` while the engine is left alone; `Unauthorized` while it is because it refused the key.
    pub fn allow(self: &Arc<Self>, now: Instant) -> Result<Ticket> {
        let serial = lock(&self.circuit).allow(now)?;
        Ok(Ticket { breaker: Arc::clone(self), serial, reported: false })
    }

    /// The state after the latest request.
    pub fn state(&self) -> BreakerState {
        lock(&self.circuit).state()
    }

    pub(crate) fn counts(&self) -> Counts {
        lock(&self.circuit).counts
    }
}

/// One request that was let through. If it is dropped without an outcome it was cancelled, which says nothing about the engine.
#[must_use = "a ticket that is dropped counts as cancelled"]
pub struct Ticket {
    breaker: Arc<Breaker>,
    serial: u64,
    reported: bool,
}

impl Ticket {
    /// The engine answered, in time.
    pub fn ok(self, now: Instant) {
        self.report(Ok(()), now);
    }

    /// The engine failed, or was too slow. Errors that are the caller's fault say nothing about the engine.
    pub fn failed(self, error: &Error, now: Instant) {
        self.report(Err(error), now);
    }

    /// The ticket itself, or a new one if the breaker has changed its state since: for a request that had to wait
    /// before it could be sent.
    ///
    /// # Errors
    /// As [`Breaker::allow`].
    pub fn renewed(self, now: Instant) -> Result<Self> {
        if lock(&self.breaker.circuit).is_current(self.serial) { Ok(self) } else { self.breaker.allow(now) }
    }

    fn report(mut self, answer: Result<(), &Error>, now: Instant) {
        self.reported = true;
        lock(&self.breaker.circuit).report(self.serial, answer, now);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.reported {
            lock(&self.breaker.circuit).cancel(self.serial);
        }
    }
}

#[cfg(test)]
mod tests;
