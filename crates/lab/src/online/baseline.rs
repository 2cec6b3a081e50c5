//! The baseline of the tuner: the latest windows at the present values.

use std::collections::VecDeque;

use super::Observation;
use crate::statistics::{mann_whitney, mean, median};

/// Windows in the baseline: six minutes in windows of 30 s.
const RECENT: usize = 12;
/// Fewest windows that make a baseline.
const FEWEST: usize = 8;
/// The medians of the older and the newer half must differ by more than this share to count as a drift.
const DRIFT: f64 = 0.1;
/// The p-value of the rank test must be below this for a drift.
const DRIFT_SIGNIFICANCE: f64 = 0.05;

/// The latest windows that count, at the present values of all knobs.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    recent: VecDeque<Observation>,
}

impl Baseline {
    /// Adds a window that counts.
    pub(super) fn note(&mut self, window: &Observation) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(*window);
    }

    /// Whether there are enough windows.
    pub(super) fn is_known(&self) -> bool {
        self.recent.len() >= FEWEST
    }

    /// The median of the windows' p95, in ms.
    pub(super) fn p95_ms(&self) -> Option<f64> {
        median(&self.latencies())
    }

    /// The mean share of turns that failed.
    pub(super) fn error_rate(&self) -> Option<f64> {
        mean(&self.recent.iter().map(|window| window.error_rate).collect::<Vec<_>>())
    }

    /// Whether latency changes without any change of a setting: the older and the newer half of the windows differ.
    pub(super) fn drifts(&self) -> bool {
        let latencies = self.latencies();
        let (older, newer) = latencies.split_at(latencies.len() / 2);
        let (Some(before), Some(now), Some(test)) =
            (median(older), median(newer), mann_whitney(older, newer))
        else {
            return false;
        };
        (now / before).ln().abs() > DRIFT.ln_1p() && test.p_value < DRIFT_SIGNIFICANCE
    }

    fn latencies(&self) -> Vec<f64> {
        self.recent.iter().map(|window| window.p95_ms).collect()
    }
}

impl<'a> FromIterator<&'a Observation> for Baseline {
    fn from_iter<T: IntoIterator<Item = &'a Observation>>(windows: T) -> Self {
        let mut baseline = Self::default();
        windows.into_iter().for_each(|window| baseline.note(window));
        baseline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(latencies: impl IntoIterator<Item = f64>) -> Baseline {
        let windows: Vec<_> =
            latencies.into_iter().map(|p95_ms| Observation { p95_ms, ..Observation::default() }).collect();
        windows.iter().collect()
    }

    #[test]
    fn a_rise_is_a_drift_and_a_wobble_is_none() {
        assert!(baseline((0..12).map(|i| 100.0 + 5.0 * f64::from(i))).drifts());
        assert!(baseline((0..12).map(|i| 200.0 - 5.0 * f64::from(i))).drifts());
        assert!(!baseline((0..12).map(|i| 100.0 + f64::from(i))).drifts());
        assert!(!baseline((0..12).map(|i| 100.0 + 40.0 * f64::from(i % 2))).drifts());
        assert!(!baseline([]).drifts());
    }

    #[test]
    fn only_the_latest_windows_count() {
        let baseline = baseline((0..100).map(f64::from));
        assert_eq!(baseline.p95_ms(), Some(93.5));
        assert!(baseline.is_known());
    }
}
