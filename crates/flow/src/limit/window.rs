//! The samples between two changes of a limit.

use std::time::Duration;

use tokio::time::Instant;

use super::Sample;

/// Samples that a limit is judged by: as many as Netflix's smallest window.
const SAMPLES: usize = 10;

/// Requests that were sent since the limit last changed: only they tell what the limit now in force does.
#[derive(Debug, Default)]
pub(super) struct Window {
    since: Option<Instant>,
    latencies: [Duration; SAMPLES],
    count: usize,
    peak: usize,
}

impl Window {
    /// Begins anew: a full window takes no more.
    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self { since: Some(now), ..Self::default() };
    }

    /// Whether a request sent at `began` belongs to it.
    pub(super) fn counts(&self, began: Instant) -> bool {
        self.since.is_none_or(|since| began >= since)
    }

    pub(super) fn push(&mut self, sample: Sample) {
        if self.counts(sample.began)
            && let Some(latency) = self.latencies.get_mut(self.count)
        {
            *latency = sample.latency;
            self.count += 1;
            self.peak = self.peak.max(sample.in_flight);
        }
    }

    /// Once the window is full.
    pub(super) fn median(&self) -> Option<Duration> {
        let mut sorted = self.latencies;
        (self.count == SAMPLES).then(|| *sorted.select_nth_unstable(SAMPLES / 2).1)
    }

    /// The most requests in flight.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }
}
