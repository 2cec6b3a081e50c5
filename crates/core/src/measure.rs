//! Measuring: what the parts of the system time, count and let be tuned, so that every table, page and search shows
//! whatever is built, by itself.

pub mod account;
mod histogram;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use histogram::{Histogram, Snapshot};

/// A part of the system that can be looked at.
///
/// # Example
///
/// A queue that shows its length and lets its bound be set while it is used:
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use antiphon_core::measure::{Component, Level, Tunable};
///
/// struct Queue {
///     length: AtomicUsize,
///     bound: AtomicUsize,
/// }
///
/// impl Component for Queue {
///     fn name(&self) -> &'static str {
///         "queue"
///     }
///
///     fn levels(&self) -> Vec<Level> {
///         let length = self.length.load(Ordering::Relaxed) as f64;
///         vec![Level::new("length", length, "jobs").with_limit(self.bound.load(Ordering::Relaxed) as f64)]
///     }
///
///     fn tunables(&self) -> Vec<Tunable> {
///         let bound = self.bound.load(Ordering::Relaxed) as f64;
///         vec![Tunable::new("bound", "queue.bound", bound, 1.0..=1_024.0, "jobs").live()]
///     }
///
///     fn set(&self, tunable: &str, value: f64) -> bool {
///         if tunable != "bound" {
///             return false;
///         }
///         self.bound.store(value as usize, Ordering::Relaxed);
///         true
///     }
/// }
///
/// let queue = Queue { length: AtomicUsize::new(3), bound: AtomicUsize::new(8) };
/// assert!(queue.set("bound", 16.0) && !queue.set("length", 16.0));
/// assert_eq!(queue.levels()[0].limit, Some(16.0));
/// ```
pub trait Component: Send + Sync {
    /// In tables and on pages: `vad`, `stt`, `pool`.
    fn name(&self) -> &'static str;

    /// Its timed steps, with how long they took and how often they failed.
    fn stages(&self) -> Vec<&Stage> {
        Vec::new()
    }

    /// What it counts, now.
    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }

    /// What of it rises and falls, now.
    fn levels(&self) -> Vec<Level> {
        Vec::new()
    }

    /// What of it Prometheus knows by names of its own, now; all of one name stand together.
    fn gauges(&self) -> Vec<Gauge> {
        Vec::new()
    }

    /// For how long the audio of a call that waits longest has waited, now. People hear when it is late, whatever engines there are.
    fn frame_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// For how long the request of a live turn that waits longest has waited, now.
    fn live_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// For how long the oldest request has waited beyond what may pass, of those for which nobody waits in silence, now.
    fn backlog(&self) -> Duration {
        Duration::ZERO
    }

    /// What of it can be set.
    fn tunables(&self) -> Vec<Tunable> {
        Vec::new()
    }

    /// Sets a tunable that is `live`, to a value within its range; false when there is no such tunable.
    fn set(&self, _tunable: &str, _value: f64) -> bool {
        false
    }
}

/// A step that is timed.
#[derive(Debug)]
pub struct Stage {
    name: &'static str,
    spans: Histogram,
    errors: AtomicU64,
}

impl Stage {
    /// A step that has not happened yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, spans: Histogram::default(), errors: AtomicU64::new(0) }
    }

    /// Its name within its component.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// It took this long.
    pub fn record(&self, span: Duration) {
        self.spans.record(span);
    }

    /// Counts one failure.
    pub fn fail(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it failed.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// How long it took, so far.
    pub fn spans(&self) -> &Histogram {
        &self.spans
    }
}

/// Something counted: it only grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Its name within its component.
    pub name: Cow<'static, str>,
    /// How much was counted until now.
    pub value: u64,
}

impl Counter {
    /// A counter with its present value.
    pub fn new(name: impl Into<Cow<'static, str>>, value: u64) -> Self {
        Self { name: name.into(), value }
    }
}

/// Something that rises and falls: a queue, a state, a share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Its name within its component.
    pub name: Cow<'static, str>,
    /// How high it stands now.
    pub value: f64,
    /// What it cannot exceed.
    pub limit: Option<f64>,
    /// What is counted, such as `jobs`, `bytes` or `calls`.
    pub unit: Cow<'static, str>,
}

impl Level {
    /// A level with its present value, which nothing limits.
    pub fn new(name: impl Into<Cow<'static, str>>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, limit: None, unit: unit.into() }
    }

    /// With what it cannot exceed, if there is a limit.
    #[must_use]
    pub fn with_limit(self, limit: impl Into<Option<f64>>) -> Self {
        Self { limit: limit.into(), ..self }
    }
}

/// One line of a Prometheus metric: of a counter, if the name ends in `_total`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    /// The metric's full name, such as `antiphon_breaker_state`.
    pub name: &'static str,
    /// What the metric tells.
    pub help: &'static str,
    /// The names and values of the labels, which tell lines of the same metric apart.
    pub labels: Vec<(&'static str, String)>,
    /// The present value of this line.
    pub value: f64,
}

/// Something that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tunable {
    /// Its name within its component.
    pub name: Cow<'static, str>,
    /// The key of the configuration that sets it: `section.key`.
    pub key: Cow<'static, str>,
    /// The value in force.
    pub value: f64,
    /// The least that makes sense; multiples of it are tried, and always valid.
    pub min: f64,
    /// The most; a multiple of the least.
    pub max: f64,
    /// The unit of the values, such as `ms`, `threads` or `tokens`.
    pub unit: Cow<'static, str>,
    /// Whether it may be set while calls are held.
    pub live: bool,
}

impl Tunable {
    /// A tunable that is set in the configuration alone, with its present value and the range of what makes sense.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        key: impl Into<Cow<'static, str>>,
        value: f64,
        range: RangeInclusive<f64>,
        unit: &'static str,
    ) -> Self {
        let (min, max) = range.into_inner();
        Self { name: name.into(), key: key.into(), value, min, max, unit: unit.into(), live: false }
    }

    /// The same, which may be set while calls are held.
    #[must_use]
    pub fn live(self) -> Self {
        Self { live: true, ..self }
    }
}
