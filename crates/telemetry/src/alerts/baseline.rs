//! What a stage took when all was well.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_core::measure::Snapshot;

use super::MIN_SPANS;
use crate::monitor::percentile_ms;

/// A baseline is made of such stretches, so that one bad minute is a small part of it.
const STRETCH: Duration = Duration::from_mins(10);
/// Stretches a baseline is made of: a day.
const STRETCHES: usize = 144;
/// Before that there is no baseline: an hour.
const MIN_STRETCHES: usize = 6;

/// The 95th percentiles of a stage when all was well, in milliseconds.
#[derive(Default)]
pub(super) struct Baseline {
    stretches: VecDeque<f64>,
    present: Snapshot,
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

    /// The middle of the stretches': one that was slow unnoticed does not move it.
    pub(super) fn p95_ms(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.stretches.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        (sorted.len() >= MIN_STRETCHES).then(|| sorted[sorted.len() / 2])
    }
}
