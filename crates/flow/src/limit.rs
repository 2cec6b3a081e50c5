//! How many requests one engine is given at a time, found from how long it takes until it answers.
//!
//! The method is Gradient2 of Netflix's concurrency-limits (<https://github.com/Netflix/concurrency-limits>): the limit
//! is scaled by the ratio of the usual latency to the present one, and grows while they are equal. It differs in
//! three points. The usual latency is learned only while little is in flight, since an average over all requests takes a
//! lasting overload for normal. Latencies are compared by their medians, since one long prompt moves a mean. And
//! requests that the engine refuses shrink the limit, as lost packets shrink TCP's window.

mod window;

use std::time::Duration;

use antiphon_core::{Error, ErrorKind, RateLimit};
use tokio::time::Instant;

use window::{Medians, Window};

/// The limit at the beginning: low, so that what is first learned as usual is no overload.
const INITIAL: f64 = 8.0;
/// Up to this multiple of the usual latency there is no sign of a queue. Netflix allows 1.5 times the mean, for engines whose
/// latency varies less with load.
const TOLERANCE: f64 = 1.3;
/// No window shrinks the limit by more than this; as in Gradient2.
const MIN_GRADIENT: f64 = 0.5;
/// How much the limit grows in a window, as a multiple of its square root: about the queue that keeps an engine busy although
/// requests come at random.
const GROWTH: f64 = 0.5;
/// The share of the limit that must be in use before it grows: more than what the least urgent requests may fill, so
/// that those do not raise the limit and thereby their own part of the engine.
const FULL: f64 = 0.8;
/// Below this share in use, a high latency is not caused by the limit, which then does not shrink; as in Gradient2.
const USED: f64 = 0.5;
/// Up to this share in use, latency is the engine's own, without a queue.
const IDLE: f64 = 0.25;
/// By how much one sample moves the usual latency: it takes some fifty samples to follow an engine
/// that became three times slower.
const STEP: f64 = 0.02;
/// The factor by which a refused or unanswered request shrinks the limit: TCP CUBIC's (RFC 9438).
const DECREASE: f64 = 0.7;
/// The longest pause that an engine may ask for, in case it asks for something absurd.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// The range within which the limit may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitBounds {
    /// At least one request.
    pub min: usize,
    /// The most the engine could conceivably take.
    pub max: usize,
}

impl LimitBounds {
    /// For engines that limit themselves.
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
    /// The time until the first useful piece of the answer.
    pub latency: Duration,
    /// How many were in flight when it was sent, itself included.
    pub in_flight: usize,
}

/// The limit of one engine. It reads no clock: time is an argument.
#[derive(Debug)]
pub struct Limit {
    bounds: LimitBounds,
    value: f64,
    /// The usual latency while the engine has little to do, in seconds.
    usual: Option<f64>,
    window: Window,
    /// Until when the engine asked to be sent nothing.
    pause: Option<Instant>,
    budget: Option<Budget>,
}

/// How many more requests the engine said it will take.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u64,
    whole: u64,
    until: Instant,
}

impl Limit {
    /// The initial limit of an engine of which nothing is known.
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

    /// Until when no request may be sent of a priority that may use only `share` (0 to 1) of the engine's budget; `None` if one
    /// may be sent now. How many are in flight is not considered.
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

    /// A request failed. The error decides whether that shrinks the limit or pauses the engine.
    pub fn failed(&mut self, error: &Error, began: Instant, now: Instant) {
        if !matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Unavailable) {
            return;
        }
        if let Some(wait) = error.retry_after() {
            self.pause = self.pause.max(Some(now + wait.min(MAX_PAUSE)));
        }
        // Requests that were sent together fail together: they shrink the limit once.
        if self.window.counts(began) {
            self.set(self.value * DECREASE);
            self.window.restart(now);
        }
    }

    /// The engine said how many more requests it will take.
    pub fn told(&mut self, limit: RateLimit, now: Instant) {
        let whole = limit.limit.unwrap_or(limit.remaining);
        let until = now + limit.reset.min(MAX_PAUSE);
        self.budget = Some(Budget { left: limit.remaining, whole, until });
    }

    /// Moves the usual latency a step towards the sample. It converges to the median (Ma, Muthukrishnan and Sandler, Frugal
    /// Streaming, 2013).
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
        // The engine has become faster than it was, even with the queue that the limit tolerates.
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
