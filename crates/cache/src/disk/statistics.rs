//! The measurements of the layer on disk.

use std::sync::atomic::{AtomicU64, Ordering};

use antiphon_core::measure::{Counter, Stage};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Statistics {
    pub(super) get: Stage,
    pub(super) write: Stage,
    /// Entries that were written.
    pub(super) written: Count,
    /// Entries that were not written because there was no room in the queue or the disk did not take them.
    pub(super) dropped: Count,
    /// Entries that were read and found damaged.
    pub(super) damaged: Count,
    pub(super) evicted: Count,
    pub(super) expired: Count,
    /// How often the database could not be used.
    pub(super) failures: Count,
    /// The bytes of the file that are in use.
    pub(super) used_bytes: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

/// Times a step until it is dropped: when the step is done or given up.
pub(super) struct Timed<'a> {
    stage: &'a Stage,
    began: Instant,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            get: Stage::new("get"),
            write: Stage::new("write"),
            written: Count::default(),
            dropped: Count::default(),
            damaged: Count::default(),
            evicted: Count::default(),
            expired: Count::default(),
            failures: Count::default(),
            used_bytes: AtomicU64::default(),
        }
    }
}

impl Statistics {
    pub(super) fn counters(&self) -> Vec<Counter> {
        let all = [
            ("written", &self.written),
            ("dropped", &self.dropped),
            ("damaged", &self.damaged),
            ("evicted", &self.evicted),
            ("expired", &self.expired),
            ("failures", &self.failures),
        ];
        all.into_iter().map(|(name, count)| Counter::new(name, count.now())).collect()
    }
}

impl Count {
    pub(super) fn add(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<'a> Timed<'a> {
    pub(super) fn new(stage: &'a Stage) -> Self {
        Self { stage, began: Instant::now() }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.stage.record(self.began.elapsed());
    }
}
