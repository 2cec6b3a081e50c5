//! How long a stage usually takes.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_core::measure::Snapshot;

use super::MIN_SPANS;
use crate::monitor::percentile_ms;

/// Length of the stretches that a baseline consists of: long enough that one bad minute is a small part.
const STRETCH: Duration = Duration::from_mins(10);
/// Stretches in a baseline: together a day.
const STRETCHES: usize = 144;
/// Stretches before there is a baseline at all: an hour.
const MIN_STRETCHES: usize = 6;

/// The 95th percentiles of a stage in the last stretches in which it was not slow.
#[derive(Default)]
pub(super) struct Baseline {
    /// One 95th percentile for each stretch, in milliseconds, the latest last.
    stretches: VecDeque<f64>,
    /// The spans of the stretch that is not complete yet.
    present: Snapshot,
    /// How long that stretch has lasted.
    length: Duration,
}

impl Baseline {
    pub(super) fn learn(&mut self, spans: &Snapshot, length: Duration) {
        self.present.merge(spans);
        self.length += length;
        if self.length >= STRETCH && self.present.count() >= MIN_SPANS {
            if self.stretches.len() == STRETCHES {
                self.stretches.pop_front();
            }
            self.stretches.push_back(percentile_ms(&self.present, 0.95));
            self.present = Snapshot::default();
            self.length = Duration::ZERO;
        }
    }

    /// The median of the stretches, in milliseconds. A stretch that was slow without being noticed hardly moves it.
    pub(super) fn p95_ms(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.stretches.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        (sorted.len() >= MIN_STRETCHES).then(|| sorted[sorted.len() / 2])
    }
}
