//! What a cache counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of one cache, since the start.
#[derive(Debug, Default)]
pub(super) struct CacheStatistics {
    hits: AtomicU64,
    /// Of the hits, those found below memory.
    below: AtomicU64,
    misses: AtomicU64,
    stored: AtomicU64,
    expired: AtomicU64,
    saved_us: AtomicU64,
    made_ahead: AtomicU64,
    used_ahead: AtomicU64,
}

/// The counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered.
    pub hits: u64,
    /// Of them, from disk or Redis.
    pub below: u64,
    /// Requests that were not.
    pub misses: u64,
    /// Entries made.
    pub stored: u64,
    /// Entries forgotten because their time was over.
    pub expired: u64,
    /// What hits saved.
    pub saved: Duration,
    /// Entries made before anybody asked.
    pub made_ahead: u64,
    /// Of them, those that somebody asked for.
    pub used_ahead: u64,
}

impl CacheStatistics {
    /// Now.
    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            hits: read(&self.hits),
            below: read(&self.below),
            misses: read(&self.misses),
            stored: read(&self.stored),
            expired: read(&self.expired),
            saved: Duration::from_micros(read(&self.saved_us)),
            made_ahead: read(&self.made_ahead),
            used_ahead: read(&self.used_ahead),
        }
    }

    /// A request was answered, which saved `saved`.
    pub(super) fn hit(&self, saved: Duration) {
        add(&self.hits, 1);
        add(&self.saved_us, saved.as_micros() as u64);
    }

    /// The last hit was found below memory.
    pub(super) fn below(&self) {
        add(&self.below, 1);
    }

    pub(super) fn miss(&self) {
        add(&self.misses, 1);
    }

    pub(super) fn stored(&self, ahead: bool) {
        add(&self.stored, 1);
        add(&self.made_ahead, u64::from(ahead));
    }

    pub(super) fn used_ahead(&self) {
        add(&self.used_ahead, 1);
    }

    pub(super) fn expired(&self, entries: u64) {
        add(&self.expired, entries);
    }
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}
