//! The error that is really made.

use std::collections::VecDeque;

use super::binomial::{OUTSIDE, lower, upper};

/// Audits that count; then the oldest goes. Enough to tell 1 % from 2 %.
pub(super) const WINDOW: usize = 1000;
/// The newest so many are looked at by themselves, to notice a change soon.
const NEWEST: [usize; 5] = [10, 30, 100, 300, WINDOW];
/// Stopping looks several times, so each look is wrong more rarely.
const OUTSIDE_STOP: f64 = 0.01;

/// What audits saw of the replies that would be served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorEstimate {
    /// Replies that were compared.
    pub audited: u32,
    /// Of them, those that were wrong.
    pub wrong: u32,
    /// With a confidence of 95 % no more than this share of what would be served is wrong (Clopper and Pearson).
    pub upper_95: f64,
}

/// Recent audits, and whether they allow serving.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Audit {
    /// Right or wrong, the oldest first.
    outcomes: VecDeque<bool>,
    halted: bool,
}

impl Audit {
    /// What was seen before.
    pub(super) fn restored(outcomes: impl IntoIterator<Item = bool>, halted: bool) -> Self {
        Self { outcomes: outcomes.into_iter().collect(), halted }
    }

    pub(super) fn outcomes(&self) -> impl ExactSizeIterator<Item = bool> {
        self.outcomes.iter().copied()
    }

    pub(super) fn halted(&self) -> bool {
        self.halted
    }

    /// An audit's outcome, while replies may be wrong with probability `limit`. Serving stops where the error is above it
    /// for (nearly) certain, and starts again where audits after that show it below.
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

/// The share of questions that are served, of recent ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    served: f64,
    asked: f64,
}

/// Questions after which those before count half.
const HALVED: f64 = 2000.0;
/// Begins as if so many had been asked and all served, so that the first limit is the strictest.
const BEGINNING: f64 = 20.0;

impl Default for Share {
    fn default() -> Self {
        Self { served: BEGINNING, asked: BEGINNING }
    }
}

impl Share {
    /// So many were asked.
    pub(super) fn asked(&mut self, questions: u64) {
        self.asked += questions as f64;
        if self.asked > HALVED {
            self.asked /= 2.0;
            self.served /= 2.0;
        }
    }

    /// One of them is served.
    pub(super) fn served(&mut self) {
        self.served += 1.0;
    }

    pub(super) fn share(&self) -> f64 {
        (self.served / self.asked).clamp(f64::MIN_POSITIVE, 1.0)
    }
}
