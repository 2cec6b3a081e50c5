//! The counters of a cache.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of one cache, since the start.
#[derive(Debug, Default)]
pub(super) struct CacheStatistics {
    hits: AtomicU64,
    /// The hits that were found in a layer and not in memory.
    below: AtomicU64,
    misses: AtomicU64,
    stored: AtomicU64,
    expired: AtomicU64,
    saved_us: AtomicU64,
    prefetched: AtomicU64,
    prefetched_used: AtomicU64,
}

/// The values of the counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered from the cache.
    pub hits: u64,
    /// The part of them that was found on disk or in Redis.
    pub below: u64,
    /// Requests that were not answered from the cache.
    pub misses: u64,
    /// Entries put into the cache.
    pub stored: u64,
    /// Entries removed because they had expired.
    pub expired: u64,
    /// How long the entries that were hit had taken to make.
    pub saved: Duration,
    /// Entries made before anybody asked, by warm-up or prefetching.
    pub prefetched: u64,
    /// The part of them that somebody asked for.
    pub prefetched_used: u64,
}

impl CacheStatistics {
    /// What has been counted up to now.
    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            hits: read(&self.hits),
            below: read(&self.below),
            misses: read(&self.misses),
            stored: read(&self.stored),
            expired: read(&self.expired),
            saved: Duration::from_micros(read(&self.saved_us)),
            prefetched: read(&self.prefetched),
            prefetched_used: read(&self.prefetched_used),
        }
    }

    /// A request was answered, by an entry that had taken `saved` to make.
    pub(super) fn hit(&self, saved: Duration) {
        add(&self.hits, 1);
        add(&self.saved_us, saved.as_micros() as u64);
    }

    /// The last hit was found in a layer.
    pub(super) fn below(&self) {
        add(&self.below, 1);
    }

    pub(super) fn miss(&self) {
        add(&self.misses, 1);
    }

    pub(super) fn stored(&self, prefetched: bool) {
        add(&self.stored, 1);
        add(&self.prefetched, u64::from(prefetched));
    }

    pub(super) fn prefetched_used(&self) {
        add(&self.prefetched_used, 1);
    }

    pub(super) fn expired(&self, entries: u64) {
        add(&self.expired, entries);
    }
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}
