//! Measures the error that is really made, by audits.

use std::collections::VecDeque;

use super::binomial::{OUTSIDE, lower, upper};

/// How many of the latest audits count: enough to tell 1 % from 2 %.
pub(super) const WINDOW: usize = 1000;
/// The numbers of newest audits that are also considered by themselves, to notice a change soon.
const NEWEST: [usize; 5] = [10, 30, 100, 300, WINDOW];
/// The probability of error of each of these tests: there are several, so each must be wrong more rarely.
const OUTSIDE_STOP: f64 = 0.01;
/// The number of questions after which the earlier ones count half.
const HALVED: f64 = 2000.0;
/// The count begins as if this many questions had been asked and all served, so that the first limit is the strictest.
const BEGINNING: f64 = 20.0;

/// The error of the replies that would be served, as measured by audits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorEstimate {
    /// Replies that were compared.
    pub audited: u32,
    /// How many of them were wrong.
    pub wrong: u32,
    /// With a confidence of 95 % no more than this share of what would be served is wrong (Clopper and Pearson).
    pub upper_95: f64,
}

/// Recent audits, and whether they allow serving.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Audit {
    /// Whether each audited reply was right, the oldest first.
    outcomes: VecDeque<bool>,
    halted: bool,
}

impl Audit {
    /// The audits of an earlier process.
    pub(super) fn restored(outcomes: impl IntoIterator<Item = bool>, halted: bool) -> Self {
        Self { outcomes: outcomes.into_iter().collect(), halted }
    }

    pub(super) fn outcomes(&self) -> impl ExactSizeIterator<Item = bool> {
        self.outcomes.iter().copied()
    }

    pub(super) fn halted(&self) -> bool {
        self.halted
    }

    /// Adds the outcome of an audit; replies may be wrong with probability `limit`. Serving stops when the error is almost
    /// certainly above that, and starts again when audits after that show it below.
    pub(super) fn add(&mut self, correct: bool, limit: f64) {
        if self.outcomes.len() == WINDOW {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(correct);
        if self.halted {
            self.halted = self.estimate().upper_95 > limit;
        } else if NEWEST.into_iter().any(|newest| self.is_broken(newest, limit)) {
            self.halted = true;
            self.outcomes.clear();
        }
    }

    fn is_broken(&self, newest: usize, limit: f64) -> bool {
        let audited = newest.min(self.outcomes.len());
        lower(self.wrong(newest), audited as u32, OUTSIDE_STOP) > limit
    }

    pub(super) fn estimate(&self) -> ErrorEstimate {
        let (audited, wrong) = (self.outcomes.len() as u32, self.wrong(WINDOW));
        ErrorEstimate { audited, wrong, upper_95: upper(wrong, audited, OUTSIDE) }
    }

    fn wrong(&self, newest: usize) -> u32 {
        self.outcomes.iter().rev().take(newest).filter(|correct| !**correct).count() as u32
    }
}

/// The share of recent questions that were served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    served: f64,
    asked: f64,
}

impl Default for Share {
    fn default() -> Self {
        Self { served: BEGINNING, asked: BEGINNING }
    }
}

impl Share {
    /// Counts questions; beyond a limit all counts are halved, so that recent questions weigh more.
    pub(super) fn asked(&mut self, questions: u64) {
        self.asked += questions as f64;
        if self.asked > HALVED {
            self.asked /= 2.0;
            self.served /= 2.0;
        }
    }

    /// Counts one of them as served.
    pub(super) fn served(&mut self) {
        self.served += 1.0;
    }

    pub(super) fn share(&self) -> f64 {
        (self.served / self.asked).clamp(f64::MIN_POSITIVE, 1.0)
    }
}
