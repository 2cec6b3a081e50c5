//! One trial: a new value against the present one, in alternating windows.

use super::baseline::Baseline;
use super::signed_rank::signed_rank;
use super::{FEWEST_TURNS, Observation};
use crate::statistics::median;

/// Numbers of pairs after which the trial is judged; after the last one the decision is final.
///
/// Eight pairs take eight minutes with windows of 30 s. On simulated servers with noise of 10 %, nine in ten trials of a step that
/// gains 15 % keep it, half of them at the first look.
const LOOKS: [usize; 3] = [8, 16, 24];
/// Significance level of each of the three looks, with which all of them together err in at most 5 %
/// of trials (Pocock 1977, two-sided).
const SIGNIFICANCE: f64 = 0.0221;
/// A smaller gain in p95 is not worth a change.
const LEAST_GAIN: f64 = 0.03;
/// A trial window whose p95 is slower than the baseline by this share ends the trial.
const WORST_LOSS: f64 = 0.25;
/// A trial window whose error rate is above that of the baseline by this much ends the trial.
const WORST_ERRORS: f64 = 0.02;
/// Windows in a row without a pair after which the trial ends: the server is too idle, its load is too uneven, or the trial value
/// keeps turns from being answered.
const PATIENCE: u64 = 6;

/// The outcome of a trial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The trial value is better.
    Better,
    /// The trial value is not better, or it does harm.
    NoBetter,
    /// The windows do not show whether it is better.
    Open,
}

/// A verdict and the reason for it.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) why: String,
}

/// A trial of a new value, with what was observed before and since.
#[derive(Debug)]
pub(super) struct Trial {
    /// The value that was in force before the trial, which the new one is compared with.
    pub(super) from: f64,
    /// The value on trial.
    pub(super) to: f64,
    /// Windows at the present value that count.
    pub(super) baseline: Vec<Observation>,
    /// Windows at the trial value that count, and the one that ended the trial, if any.
    pub(super) candidate: Vec<Observation>,
    /// All windows of the trial, also those that do not count.
    pub(super) windows: u64,
    /// The p-value of the rank test must be below this.
    significance: f64,
    /// The side that the current window belongs to.
    arm: Arm,
    /// The first window of the pair whose second window is running.
    first: Option<Observation>,
    /// For each pair, the logarithm of the ratio of the trial's p95 to the baseline's.
    ratios: Vec<f64>,
    /// Windows since the latest pair.
    since_pair: u64,
}

/// The two sides of a trial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Arm {
    Baseline,
    Candidate,
}

impl Trial {
    /// A trial of the value `to`, which is set from now on. `first` is the window before, at the value `from`.
    ///
    /// The significance level is halved for each time that the step was `undone`. Otherwise a step that changes nothing would be
    /// kept by chance if only it was tried often enough. So all trials together err about as rarely as two.
    pub(super) fn new(from: f64, to: f64, undone: u32, first: &Observation) -> Self {
        Self {
            from,
            to,
            baseline: vec![*first],
            candidate: Vec::new(),
            windows: 1,
            significance: SIGNIFICANCE / f64::from(undone).exp2(),
            arm: Arm::Candidate,
            first: Some(*first),
            ratios: Vec::new(),
            since_pair: 1,
        }
    }

    /// The value for the current window.
    pub(super) fn value(&self) -> f64 {
        match self.arm {
            Arm::Baseline => self.from,
            Arm::Candidate => self.to,
        }
    }

    /// Why the current window has its value, for the log.
    pub(super) fn purpose(&self) -> String {
        let Self { from, to, .. } = self;
        match self.arm {
            Arm::Baseline => format!("to compare {to} with {from}"),
            Arm::Candidate => format!("to try {to} in place of {from}"),
        }
    }

    /// Takes the window that has just ended; `Some` ends the trial.
    pub(super) fn observe(&mut self, window: &Observation, normal: &mut Baseline) -> Option<Judgement> {
        self.windows += 1;
        self.since_pair += 1;
        if self.arm == Arm::Candidate
            && let Some(why) = harm(window, normal)
        {
            self.candidate.push(*window);
            return Some(Judgement { verdict: Verdict::NoBetter, why });
        }
        if window.counts() {
            self.note(window, normal);
        }
        if self.since_pair == 0 && LOOKS.contains(&self.ratios.len()) {
            return self.judge(normal);
        }
        (self.since_pair >= PATIENCE).then(|| Judgement {
            verdict: Verdict::Open,
            why: format!("{PATIENCE} windows gave no pair: too few turns, or too uneven a load"),
        })
    }

    /// Completes a pair with the window, or begins a new pair. The next pair begins with the side with which this one ended,
    /// which makes the order A B B A.
    fn note(&mut self, window: &Observation, normal: &mut Baseline) {
        match self.arm {
            Arm::Baseline => {
                normal.note(window);
                self.baseline.push(*window);
            }
            Arm::Candidate => self.candidate.push(*window),
        }
        match self.first.take() {
            Some(first) if first.is_comparable(window) => {
                let ratio = (window.p95_ms / first.p95_ms).ln();
                self.ratios.push(if self.arm == Arm::Candidate { ratio } else { -ratio });
                self.since_pair = 0;
            }
            _ => {
                self.first = Some(*window);
                self.arm = match self.arm {
                    Arm::Baseline => Arm::Candidate,
                    Arm::Candidate => Arm::Baseline,
                };
            }
        }
    }

    /// Judges the pairs so far; `None` when more pairs are needed.
    fn judge(&self, normal: &Baseline) -> Option<Judgement> {
        let pairs = self.ratios.len();
        let gain = -median(&self.ratios)?.exp_m1();
        let p_value = signed_rank(&self.ratios);
        let facts = format!("p95 {:+.1} %, p = {p_value:.3}, {pairs} pairs", -100.0 * gain);
        if normal.drifts() {
            Some(Judgement { verdict: Verdict::Open, why: format!("the baseline drifts ({facts})") })
        } else if gain < LEAST_GAIN {
            Some(Judgement { verdict: Verdict::NoBetter, why: format!("not better ({facts})") })
        } else if p_value < self.significance {
            Some(Judgement { verdict: Verdict::Better, why: format!("better ({facts})") })
        } else if LOOKS.iter().all(|&look| look <= pairs) {
            Some(Judgement { verdict: Verdict::NoBetter, why: format!("not surely better ({facts})") })
        } else {
            None
        }
    }
}

/// Why a window at the trial value is too bad to go on; `None` if it is not. Errors count even in a window with few turns.
fn harm(window: &Observation, normal: &Baseline) -> Option<String> {
    let (p95_ms, error_rate) = (normal.p95_ms()?, normal.error_rate()?);
    if window.error_rate > error_rate + WORST_ERRORS {
        let shares = (100.0 * window.error_rate, 100.0 * error_rate);
        Some(format!("{:.1} % of turns failed, {:.1} % before", shares.0, shares.1))
    } else if window.turns >= FEWEST_TURNS && window.p95_ms > (1.0 + WORST_LOSS) * p95_ms {
        Some(format!("p95 rose to {:.0} ms from {p95_ms:.0} ms", window.p95_ms))
    } else {
        None
    }
}
