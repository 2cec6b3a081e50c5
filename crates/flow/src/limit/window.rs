//! The samples between two changes of a limit.

use std::time::Duration;

use tokio::time::Instant;

use super::Sample;

/// How many samples a limit is judged by: as many as in Netflix's smallest window.
const SAMPLES: usize = 10;

/// The requests sent since the limit last changed: only they show the effect of the present limit.
#[derive(Debug, Default)]
pub(super) struct Window {
    since: Option<Instant>,
    latencies: [Duration; SAMPLES],
    in_flight: [usize; SAMPLES],
    count: usize,
}

/// The medians of a full window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Medians {
    pub(super) latency: Duration,
    pub(super) in_flight: usize,
}

impl Window {
    /// Begins anew, as a full window takes no more samples.
    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self { since: Some(now), ..Self::default() };
    }

    /// Whether a request sent at `began` belongs to the window.
    pub(super) fn counts(&self, began: Instant) -> bool {
        self.since.is_none_or(|since| began >= since)
    }

    /// Gives the medians once the window is full.
    pub(super) fn push(&mut self, sample: Sample) -> Option<Medians> {
        if self.counts(sample.began) && self.count < SAMPLES {
            self.latencies[self.count] = sample.latency;
            self.in_flight[self.count] = sample.in_flight;
            self.count += 1;
        }
        (self.count == SAMPLES)
            .then(|| Medians { latency: median(self.latencies), in_flight: median(self.in_flight) })
    }
}

fn median<T: Copy + Ord>(mut values: [T; SAMPLES]) -> T {
    *values.select_nth_unstable(SAMPLES / 2).1
}
