//! The measurements of an operation of the pool.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_core::measure::account::Worker;
use antiphon_core::measure::{Component, Counter, Stage};

/// The counters and timings of an operation.
pub(super) struct Activity {
    name: &'static str,
    pub(super) worker: Worker,
    /// Time from the request until a thread takes the job.
    pub(super) wait: Stage,
    /// Duration of a batch.
    run: Stage,
    jobs: AtomicU64,
    batches: AtomicU64,
    /// Jobs in the largest batch.
    largest: AtomicUsize,
}

impl Activity {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            worker: Worker::new(name),
            wait: Stage::new("wait"),
            run: Stage::new("run"),
            jobs: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            largest: AtomicUsize::new(0),
        }
    }

    /// A batch was run.
    pub(super) fn ran(&self, jobs: usize, span: Duration, worked: bool) {
        self.jobs.fetch_add(jobs as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(jobs, Ordering::Relaxed);
        self.run.record(span);
        if !worked {
            self.run.fail();
        }
    }
}

impl Component for Activity {
    fn name(&self) -> &'static str {
        self.name
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.wait, &self.run]
    }

    fn counters(&self) -> Vec<Counter> {
        vec![
            Counter::new("jobs", self.jobs.load(Ordering::Relaxed)),
            Counter::new("batches", self.batches.load(Ordering::Relaxed)),
            Counter::new("largest_batch", self.largest.load(Ordering::Relaxed) as u64),
        ]
    }
}
