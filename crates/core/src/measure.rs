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
pub trait Component: Send + Sync {
    /// In tables and on pages: `vad`, `stt`, `pool`.
    fn name(&self) -> &'static str;

    /// What it times.
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

    /// It failed.
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
    /// The present value.
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
    /// The present value.
    pub value: f64,
    /// What it cannot exceed.
    pub limit: Option<f64>,
    /// `jobs`, `bytes`, `calls`.
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
    /// Such as `antiphon_breaker_state`.
    pub name: &'static str,
    /// What the metric tells.
    pub help: &'static str,
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The present value.
    pub value: f64,
}

/// Something that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tunable {
    /// Its name within its component.
    pub name: Cow<'static, str>,
    /// The key of the configuration that sets it: `section.key`.
    pub key: Cow<'static, str>,
    /// The present value.
    pub value: f64,
    /// The least that makes sense; multiples of it are tried, and always valid.
    pub min: f64,
    /// The most; a multiple of the least.
    pub max: f64,
    /// `ms`, `threads`, `tokens`.
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
