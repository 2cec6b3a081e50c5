//! One trial: a value against the present one, in alternate windows.

use super::baseline::Baseline;
use super::signed_rank::signed_rank;
use super::{FEWEST_TURNS, Observation};
use crate::statistics::median;

/// Pairs of windows after which the trial is judged; the last one is final.
///
/// Eight pairs take eight minutes of 30 s windows. On simulated servers with noise of 10 % nine in ten
/// trials of a step that gains 15 % keep it, half of them at the first look.
const LOOKS: [usize; 3] = [8, 16, 24];
/// The significance that each of three looks needs so that all together err in at most 5 % of trials
/// (Pocock 1977, two-sided).
const SIGNIFICANCE: f64 = 0.0221;
/// A smaller gain of p95 is not worth a change.
const LEAST_GAIN: f64 = 0.03;
/// A trial window this much slower than the baseline ends the trial.
const WORST_LOSS: f64 = 0.25;
/// A trial window with this much more of its turns failed ends the trial.
const WORST_ERRORS: f64 = 0.02;
/// Windows in a row without a pair that end the trial: the server is too idle, its load too uneven, or the
/// trial value keeps turns from being answered.
const PATIENCE: u64 = 6;

/// What came of a trial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The trial value is better.
    Better,
    /// It is not, or it does harm.
    NoBetter,
    /// The windows did not tell.
    Open,
}

/// A verdict and the reason for it.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) why: String,
}

/// A running trial.
#[derive(Debug)]
pub(super) struct Trial {
    /// The present value.
    pub(super) from: f64,
    /// The value on trial.
    pub(super) to: f64,
    /// Windows that count, at the present value.
    pub(super) baseline: Vec<Observation>,
    /// Windows that count, at the trial value; and one that was bad.
    pub(super) candidate: Vec<Observation>,
    /// All windows of the trial.
    pub(super) windows: u64,
    /// The rank test must be this sure.
    significance: f64,
    arm: Arm,
    /// The window that waits for its partner, which runs now.
    first: Option<Observation>,
    /// Of each pair the logarithm of the trial's p95 over the baseline's.
    ratios: Vec<f64>,
    since_pair: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Arm {
    Baseline,
    Candidate,
}

impl Trial {
    /// A trial of `to`, which runs from now on; `first` is the window before, at `from`.
    ///
    /// Each time that the step was `undone` halves the significance. Without that chance would keep a step
    /// that changes nothing, if only it is tried often enough; so all tries together err about as rarely as two.
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

    /// The value that the present window is to have.
    pub(super) fn value(&self) -> f64 {
        match self.arm {
            Arm::Baseline => self.from,
            Arm::Candidate => self.to,
        }
    }

    /// Why the present window has its value, for a log.
    pub(super) fn purpose(&self) -> String {
        let Self { from, to, .. } = self;
        match self.arm {
            Arm::Baseline => format!("to compare {to} with {from}"),
            Arm::Candidate => format!("to try {to} in place of {from}"),
        }
    }

    /// Takes note of the window that just ended; `Some` ends the trial.
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

    /// Completes a pair with the window, or begins one. The next pair begins with the arm that this one
    /// ended with, which makes the order A B B A.
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

    /// Judges the pairs so far; `None` when more of them may tell.
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

/// Why the window, at the trial value, is too bad to go on; `None` when it is not.
///
/// Errors tell even in a window with few turns.
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
