//! How many requests one engine is given at a time, found from how long it takes until it answers.
//!
//! The method is Gradient2 of Netflix's concurrency-limits (<https://github.com/Netflix/concurrency-limits>): the limit
//! is scaled by how the latency now compares to what is usual, and grows while there is no difference. It differs in
//! three points. What is usual is learnt only while little is in flight, since an average over all requests takes a
//! lasting overload for normal. Latencies are compared by their medians, since one long prompt moves a mean. And
//! requests that the engine refuses shrink the limit as lost packets shrink TCP's window.

mod window;

use std::time::Duration;

use antiphon_core::{Error, ErrorKind, RateLimit};
use tokio::time::Instant;

use window::{Medians, Window};

/// Where the limit begins: low, so that what is first learnt as usual is no overload.
const INITIAL: f64 = 8.0;
/// So many times the usual latency is still no sign of a queue. Netflix allows 1.5, of means, to engines whose
/// latency varies less with load.
const TOLERANCE: f64 = 1.3;
/// No window shrinks the limit by more than this; as in Gradient2.
const MIN_GRADIENT: f64 = 0.5;
/// What the limit grows by in a window, times its root: about the queue that keeps an engine busy although requests
/// come at random.
const GROWTH: f64 = 0.5;
/// The share of the limit that must be in use before it grows: more than what the least urgent requests may fill, so
/// that those do not raise the limit and thereby their own part of the engine.
const FULL: f64 = 0.8;
/// Below this share in use, latency is not the limit's doing and it does not shrink; as in Gradient2.
const USED: f64 = 0.5;
/// At up to this share in use latency is the engine's own, without a queue.
const IDLE: f64 = 0.25;
/// By how much one sample moves what is usual: some fifty samples follow an engine that became three times slower.
const STEP: f64 = 0.02;
/// What a refused or unanswered request leaves of the limit: TCP CUBIC's factor (RFC 9438).
const DECREASE: f64 = 0.7;
/// No engine is left alone for longer because of what it said: it may say nonsense.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// Between what the limit may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitBounds {
    /// At least one request.
    pub min: usize,
    /// The most the engine could conceivably take.
    pub max: usize,
}

impl LimitBounds {
    /// For engines that see to it themselves.
    pub const UNLIMITED: Self = Self { min: 65_536, max: 65_536 };
}

impl Default for LimitBounds {
    fn default() -> Self {
        Self { min: 2, max: 256 }
    }
}

/// One request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was sent.
    pub began: Instant,
    /// Until the first useful piece of the answer.
    pub latency: Duration,
    /// How many were in flight when it was sent, itself included.
    pub in_flight: usize,
}

/// The limit of one engine. It reads no clock.
#[derive(Debug)]
pub struct Limit {
    bounds: LimitBounds,
    value: f64,
    /// The usual latency in seconds, of an engine with little to do.
    usual: Option<f64>,
    window: Window,
    /// The engine said to send nothing until then.
    pause: Option<Instant>,
    budget: Option<Budget>,
}

/// What the engine said that it will still take.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u64,
    whole: u64,
    until: Instant,
}

impl Limit {
    /// A limit that nothing is known of yet.
    pub fn new(bounds: LimitBounds) -> Self {
        let min = bounds.min.max(1);
        let bounds = LimitBounds { min, max: bounds.max.max(min) };
        let value = INITIAL.clamp(bounds.min as f64, bounds.max as f64);
        Self { bounds, value, usual: None, window: Window::default(), pause: None, budget: None }
    }

    /// How many requests may be in flight.
    pub fn now(&self) -> usize {
        self.value as usize
    }

    /// Until when no request may be sent that may use only `share` (0 to 1) of what the engine takes; `None` if one may
    /// be sent now. How many are in flight is not looked at.
    pub fn closed_until(&self, share: f64, now: Instant) -> Option<Instant> {
        let pause = self.pause.filter(|until| now < *until);
        let spent = |budget: &&Budget| budget.left as f64 <= (1.0 - share) * budget.whole as f64;
        let budget =
            self.budget.as_ref().filter(spent).map(|budget| budget.until).filter(|until| now < *until);
        pause.max(budget)
    }

    /// A request is being sent.
    pub fn sent(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.left = budget.left.saturating_sub(1);
        }
    }

    /// A request was answered.
    pub fn answered(&mut self, sample: Sample) {
        let idle = sample.in_flight as f64 <= (IDLE * self.value).max(self.bounds.min as f64);
        let latency = sample.latency.as_secs_f64();
        if idle || self.usual.is_none() {
            self.learn(latency);
        }
        if let Some(medians) = self.window.push(sample) {
            self.adapt(medians);
            self.window.restart(sample.began + sample.latency);
        }
    }

    /// A request failed: whether that shrinks the limit or pauses the engine is seen from the error.
    pub fn failed(&mut self, error: &Error, began: Instant, now: Instant) {
        if !matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Unavailable) {
            return;
        }
        if let Some(wait) = error.retry_after() {
            self.pause = self.pause.max(Some(now + wait.min(MAX_PAUSE)));
        }
        // Requests that were sent together fail together: they shrink it once.
        if self.window.counts(began) {
            self.set(self.value * DECREASE);
            self.window.restart(now);
        }
    }

    /// The engine said how much more it will take.
    pub fn told(&mut self, limit: RateLimit, now: Instant) {
        let whole = limit.limit.unwrap_or(limit.remaining);
        let until = now + limit.reset.min(MAX_PAUSE);
        self.budget = Some(Budget { left: limit.remaining, whole, until });
    }

    /// A step towards the sample: what is learnt so is the median (Ma, Muthukrishnan and Sandler, Frugal Streaming,
    /// 2013).
    fn learn(&mut self, latency: f64) {
        self.usual = Some(match self.usual {
            None => latency,
            Some(usual) if latency > usual => usual * (1.0 + STEP),
            Some(usual) => usual * (1.0 - STEP),
        });
    }

    /// A window is full.
    fn adapt(&mut self, medians: Medians) {
        let Some(mut usual) = self.usual else { return };
        let in_use = medians.in_flight as f64 / self.now() as f64;
        if in_use < USED {
            return;
        }
        let median = medians.latency.as_secs_f64();
        // The engine has become faster than what is known of it, even with the queue that the limit tolerates.
        if median * TOLERANCE < usual {
            usual = median / TOLERANCE;
            self.usual = Some(usual);
        }
        let gradient = (TOLERANCE * usual / median.max(f64::MIN_POSITIVE)).clamp(MIN_GRADIENT, 1.0);
        let next = self.value * gradient + GROWTH * self.value.sqrt();
        if next < self.value || in_use >= FULL {
            self.set(next);
        }
    }

    fn set(&mut self, value: f64) {
        self.value = value.clamp(self.bounds.min as f64, self.bounds.max as f64);
    }
}

#[cfg(test)]
mod tests;
