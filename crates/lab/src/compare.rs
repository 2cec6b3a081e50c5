//! Decides whether a candidate is slower than a baseline.
//!
//! Both run in turns, round by round. The two sides are compared within each round only, so that a machine which slowly gets
//! hotter or busier does not look like a change of the program. The bootstrap first draws whole rounds and then samples within
//! them, as Kalibera & Jones (2013) advise for measurements that repeat at two levels.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::statistics::{Interval, bootstrap, mann_whitney, median, resampled_ratio};

/// With fewer rounds it is not known how much rounds differ.
const FEWEST_ROUNDS: usize = 3;
/// Bootstrap resamples: enough that the ends of the interval differ from seed to seed by far less than its width.
const RESAMPLES: usize = 2000;
/// The p-value of the rank test must be below this before a difference counts as a change.
const SIGNIFICANCE: f64 = 0.01;
/// Seed of the bootstrap. It is fixed, so that the same samples always get the same verdict.
const SEED: u64 = 1;

/// One round of interleaved measurements, in ms; lower is better.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Round {
    /// Samples of the program before the change.
    pub baseline: Vec<f64>,
    /// Samples of the program after the change.
    pub candidate: Vec<f64>,
}

/// The result of all rounds together.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Comparison {
    /// Median of all baseline samples.
    pub baseline_ms: f64,
    /// Median of all candidate samples.
    pub candidate_ms: f64,
    /// Candidate over baseline: the median of the rounds' ratios of medians.
    pub ratio: f64,
    /// Lower end of the ratio's 95 % interval.
    pub low: f64,
    /// Upper end of the ratio's 95 % interval.
    pub high: f64,
    /// Two-sided Mann-Whitney test of the samples, each divided by its round's median.
    pub p_value: f64,
    /// Number of rounds compared.
    pub rounds: usize,
}

/// The decision on a comparison.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The candidate is slower by more than the gate allows.
    Regression,
    /// The candidate is faster by more than the gate.
    Improvement,
    /// The samples show neither.
    NoChange,
}

/// Compares candidate with baseline.
///
/// `None` with fewer than three rounds, or when a round lacks samples of a side or has one that is not a
/// positive, finite number.
pub fn compare(rounds: &[Round]) -> Option<Comparison> {
    if rounds.len() < FEWEST_ROUNDS || !rounds.iter().all(Round::is_usable) {
        return None;
    }
    let ratios: Vec<f64> = rounds.iter().filter_map(Round::ratio).collect();
    let Interval { low, high } = bootstrap(RESAMPLES, SEED, |rng| {
        let ratios: Vec<f64> = rounds
            .iter()
            .filter_map(|_| {
                let round = &rounds[rng.random_range(0..rounds.len())];
                resampled_ratio(&round.baseline, &round.candidate, rng)
            })
            .collect();
        median(&ratios)
    })?;

    let (mut baseline, mut candidate) = (Vec::new(), Vec::new());
    for round in rounds {
        let level = median(&[round.baseline.as_slice(), &round.candidate].concat())?;
        baseline.extend(round.baseline.iter().map(|ms| ms / level));
        candidate.extend(round.candidate.iter().map(|ms| ms / level));
    }

    let median_of =
        |side: fn(&Round) -> &Vec<f64>| median(&rounds.iter().flat_map(side).copied().collect::<Vec<_>>());
    Some(Comparison {
        baseline_ms: median_of(|round| &round.baseline)?,
        candidate_ms: median_of(|round| &round.candidate)?,
        ratio: median(&ratios)?,
        low,
        high,
        p_value: mann_whitney(&baseline, &candidate)?.p_value,
        rounds: rounds.len(),
    })
}

impl Round {
    fn is_usable(&self) -> bool {
        [&self.baseline, &self.candidate]
            .into_iter()
            .all(|samples| !samples.is_empty() && samples.iter().all(|&ms| ms.is_finite() && ms > 0.0))
    }

    fn ratio(&self) -> Option<f64> {
        Some(median(&self.candidate)? / median(&self.baseline)?)
    }
}

impl Comparison {
    /// Judges the comparison by a gate, a share of the baseline: 0.10 lets slowdowns of up to 10 % pass.
    ///
    /// A regression needs three conditions. The ratio itself is beyond the gate: so small changes pass, however certain they
    /// are. The whole interval is beyond half of the gate: this keeps out noise that happens to be large, while an interval that
    /// had to lie beyond the whole gate would miss real changes just above it. And the rank test finds the samples different.
    /// An improvement is the same with the roles swapped.
    pub fn verdict(&self, gate: f64) -> Verdict {
        let (limit, surely) = (1.0 + gate, 1.0 + gate / 2.0);
        if self.p_value >= SIGNIFICANCE {
            Verdict::NoChange
        } else if self.ratio > limit && self.low > surely {
            Verdict::Regression
        } else if self.ratio < limit.recip() && self.high < surely.recip() {
            Verdict::Improvement
        } else {
            Verdict::NoChange
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const GATE: f64 = 0.10;

    /// A machine as it is: log-normal noise, a slow drift of +-10 % over the run, now and then a threefold
    /// outlier. The baseline always runs first, so drift within a round is not cancelled.
    fn rounds(slowdown: f64, noise: f64, seed: u64) -> Vec<Round> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let phase: f64 = rng.random();
        let samples_in_all = 10.0 * 60.0;
        let mut taken = 0.0;
        let mut sample = |level: f64| {
            taken += 1.0;
            let drift = 1.0 + 0.1 * (TAU * (phase + taken / samples_in_all)).sin();
            let outlier = if rng.random::<f64>() < 0.03 { 3.0 } else { 1.0 };
            let normal = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * (TAU * rng.random::<f64>()).cos();
            level * drift * outlier * (noise * normal).exp()
        };
        (0..10)
            .map(|_| Round {
                baseline: (0..30).map(|_| sample(100.0)).collect(),
                candidate: (0..30).map(|_| sample(100.0 * slowdown)).collect(),
            })
            .collect()
    }

    fn verdicts(slowdown: f64, wanted: Verdict) -> usize {
        (0..20)
            .filter(|&seed| {
                let noise = 0.05 + 0.05 * seed as f64 / 19.0;
                compare(&rounds(slowdown, noise, seed)).unwrap().verdict(GATE) == wanted
            })
            .count()
    }

    #[test]
    fn a_slowdown_of_15_percent_is_always_caught() {
        assert_eq!(verdicts(1.15, Verdict::Regression), 20);
    }

    #[test]
    fn a_slowdown_of_2_percent_never_is_and_none_neither() {
        assert_eq!(verdicts(1.02, Verdict::NoChange), 20);
        assert_eq!(verdicts(1.0, Verdict::NoChange), 20);
    }

    #[test]
    fn a_speedup_is_an_improvement() {
        assert_eq!(verdicts(1.0 / 1.15, Verdict::Improvement), 20);
        assert_eq!(verdicts(0.98, Verdict::NoChange), 20);
    }

    #[test]
    fn the_interval_holds_the_true_ratio() {
        let held = (0..100)
            .filter(|&seed| {
                let comparison = compare(&rounds(1.15, 0.08, seed)).unwrap();
                comparison.low <= 1.15 && 1.15 <= comparison.high
            })
            .count();
        assert!(held >= 90, "{held} of 100");
    }

    #[test]
    fn a_machine_that_doubles_its_speed_half_way_changes_nothing() {
        let mut rounds = rounds(1.0, 0.05, 4);
        for round in &mut rounds[5..] {
            round.baseline.iter_mut().chain(&mut round.candidate).for_each(|ms| *ms /= 2.0);
        }
        let comparison = compare(&rounds).unwrap();
        assert!((comparison.ratio - 1.0).abs() < 0.04, "{comparison:?}");
        assert_eq!(comparison.verdict(GATE), Verdict::NoChange);
    }

    #[test]
    fn too_little_or_bad_data_is_no_comparison() {
        let good = Round { baseline: vec![1.0], candidate: vec![1.0] };
        assert!(compare(&[good.clone(), good.clone()]).is_none());
        assert!(compare(&[good.clone(), good.clone(), Round::default()]).is_none());
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            let bad = Round { baseline: vec![1.0, bad], candidate: vec![1.0] };
            assert!(compare(&[good.clone(), good.clone(), bad]).is_none());
        }
        assert_eq!(compare(&[good.clone(), good.clone(), good]).unwrap().ratio, 1.0);
    }

    #[test]
    fn a_comparison_survives_json() {
        let comparison = compare(&rounds(1.15, 0.08, 1)).unwrap();
        let json = serde_json::to_string(&comparison).unwrap();
        let read: Comparison = serde_json::from_str(&json).unwrap();
        assert_eq!(read.verdict(GATE), Verdict::Regression);
        assert!((read.ratio - comparison.ratio).abs() < 1e-12 && read.rounds == 10);
    }
}
