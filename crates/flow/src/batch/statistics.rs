//! What a batcher has done.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Gauge, Level, Stage, Tunable};

use super::{Limits, MAX_BATCH};

/// The measurements of a batcher. All names begin with the operation's, because there may be several batchers.
pub struct BatchStatistics {
    operation: &'static str,
    /// From arrival until its batch started, by item; fails when the queue is full.
    pub(super) wait: Stage,
    waiting: AtomicUsize,
    max_waiting: usize,
    max_batch: AtomicUsize,
    most: usize,
    items: AtomicU64,
    shared: AtomicU64,
    cancelled: AtomicU64,
    /// The number of batches of each size, from size 1 on.
    sizes: [AtomicU64; MAX_BATCH],
}

impl BatchStatistics {
    pub(super) fn new(operation: &'static str, limits: Limits) -> Self {
        let most = limits.max_batch.clamp(1, MAX_BATCH);
        Self {
            operation,
            wait: Stage::new(operation),
            waiting: AtomicUsize::new(0),
            max_waiting: limits.max_waiting,
            max_batch: AtomicUsize::new(most),
            most,
            items: AtomicU64::new(0),
            shared: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            sizes: [const { AtomicU64::new(0) }; MAX_BATCH],
        }
    }

    /// The name of the operation whose batches are counted, such as `embed`.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Batches started so far, by size from 1 to [`MAX_BATCH`].
    pub fn sizes(&self) -> [u64; MAX_BATCH] {
        self.sizes.each_ref().map(|size| size.load(Ordering::Relaxed))
    }

    pub(super) fn max_batch(&self) -> usize {
        self.max_batch.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self, items: usize) {
        self.waiting.store(items, Ordering::Relaxed);
    }

    pub(super) fn entered(&self, shared: bool) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.shared.fetch_add(shared.into(), Ordering::Relaxed);
    }

    pub(super) fn started(&self, waited: &[Duration]) {
        for wait in waited {
            self.wait.record(*wait);
        }
        if let Some(size) = waited.len().checked_sub(1).and_then(|at| self.sizes.get(at)) {
            size.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }
}

impl Component for BatchStatistics {
    fn name(&self) -> &'static str {
        "batch"
    }

    /// One stage, named after the operation: how long its items waited for their batch.
    fn stages(&self) -> Vec<&Stage> {
        vec![&self.wait]
    }

    fn counters(&self) -> Vec<Counter> {
        let name = self.operation;
        let count = |what, value| Counter::new(format!("{name} {what}"), value);
        vec![
            count("items", self.items.load(Ordering::Relaxed)),
            count("calls", self.sizes().iter().sum()),
            count("shared", self.shared.load(Ordering::Relaxed)),
            count("cancelled", self.cancelled.load(Ordering::Relaxed)),
        ]
    }

    fn levels(&self) -> Vec<Level> {
        vec![
            Level::new(
                format!("{} waiting", self.operation),
                self.waiting.load(Ordering::Relaxed) as f64,
                "items",
            )
            .with_limit(self.max_waiting as f64),
        ]
    }

    fn gauges(&self) -> Vec<Gauge> {
        const HELP: &str = "Items in a batch, since the beginning";
        let sizes = self.sizes();
        let (batches, items) = sizes
            .iter()
            .zip(1..)
            .fold((0, 0), |(batches, items), (count, size)| (batches + count, items + count * size));
        let at = |share: f64| {
            let wanted = (batches as f64 * share).ceil().max(1.0);
            let mut seen = 0;
            let reached = |count: &u64| {
                seen += count;
                seen as f64 >= wanted
            };
            sizes.iter().position(reached).map_or(0, |at| at + 1)
        };
        let gauge = |name, help, value, quantile: Option<&str>| {
            let mut labels = vec![("operation", self.operation.to_owned())];
            labels.extend(quantile.map(|quantile| ("quantile", quantile.to_owned())));
            Gauge { name, help, labels, value }
        };
        vec![
            gauge("antiphon_batch_size", HELP, at(0.5) as f64, Some("0.5")),
            gauge("antiphon_batch_size", HELP, at(0.95) as f64, Some("0.95")),
            gauge("antiphon_batch_size_count", "Batches", batches as f64, None),
            gauge("antiphon_batch_size_sum", "Items in all batches", items as f64, None),
        ]
    }

    fn tunables(&self) -> Vec<Tunable> {
        vec![
            Tunable::new(
                self.tunable(),
                format!("{}.max_batch", self.operation),
                self.max_batch() as f64,
                1.0..=self.most as f64,
                "items",
            )
            .live(),
        ]
    }

    fn set(&self, tunable: &str, value: f64) -> bool {
        let known = tunable == self.tunable() && (1.0..=self.most as f64).contains(&value);
        if known {
            self.max_batch.store(value as usize, Ordering::Relaxed);
        }
        known
    }
}

impl BatchStatistics {
    fn tunable(&self) -> String {
        format!("{} max_batch", self.operation)
    }
}
