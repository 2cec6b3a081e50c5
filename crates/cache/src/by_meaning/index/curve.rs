//! How likely the reply of an entry is right, by similarity.
//!
//! One logistic curve `P(right) = 1 / (1 + exp(-(a + b x)))` is fitted to all entries' observations by penalised maximum
//! likelihood (Newton's method); with `gamma` and `t` of the paper, `b = gamma` and `a = -gamma t`. The inverse of the
//! Hessian is the parameters' covariance (Laplace's approximation), from which comes a lower confidence bound on the
//! curve. Which observations there are depends on the similarity, of which the curve is a function, and on how far an
//! entry is trusted: distrusted ones are explored more, which makes the curve pessimistic, never the reverse.

use std::collections::VecDeque;

use super::binomial::{OUTSIDE, upper};

/// The most observations that the curve is fitted to: enough for a confidence bound of 1 % where all are right (300, by the rule
/// of three), and so few that a fit takes 0.1 ms.
pub(super) const CAPACITY: usize = 2048;
/// Similarities are counted from here, in steps of `UNIT`.
const ORIGIN: f64 = 0.9;
const UNIT: f64 = 0.05;
/// The prior: at a similarity of 0.9 a reply is as often right as wrong, and a step up makes it likelier to be right. Its
/// deviations are so wide that a few dozen observations outweigh it.
const PRIOR_MEAN: [f64; 2] = [0.0, 0.5];
const PRIOR_DEVIATION: [f64; 2] = [2.0, 0.5];
/// The quantile of the normal distribution with which the curve is above its lower bound 19 times of 20.
const ONE_SIDED_95: f64 = 1.645;
/// The standard deviation of the log odds between entries: the odds of one are 4.5 times those of an average one. It is assumed,
/// and on the wide side, so that one wrong reply makes an entry distrusted.
const ENTRY_DEVIATION: f64 = 1.5;
/// The most steps of Newton's method, which converges in three or four from the last fit.
const MAX_STEPS: usize = 25;
/// The most halvings of one step; a shorter one would change nothing.
const MAX_HALVINGS: i32 = 20;
/// A fit has converged when a step is shorter than this, far below the parameters' deviations.
const CONVERGED: f64 = 1e-4;
/// A step shorter than this is taken without a check: it always improves the likelihood.
const SHORT_STEP: f64 = 0.5;
/// The grid on which an entry's offset from the curve is integrated:
/// points to each side of zero, and their distance in deviations.
const GRID_HALF: i32 = 8;
const GRID_STEP: f64 = 0.5;

/// What was found out when the reply of an entry was compared with a new one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observation {
    pub(super) similarity: f32,
    /// Whether the entry's reply would have been right.
    pub(super) correct: bool,
}

/// The curve of all entries.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    seen: VecDeque<Observation>,
    parameters: [f64; 2],
    /// The symmetric covariance matrix: both variances with the covariance between them.
    covariance: [f64; 3],
}

impl Default for Curve {
    fn default() -> Self {
        let [a, b] = PRIOR_DEVIATION;
        Self { seen: VecDeque::new(), parameters: PRIOR_MEAN, covariance: [a * a, 0.0, b * b] }
    }
}

impl Curve {
    /// The curve of these observations.
    pub(super) fn fitted(seen: impl IntoIterator<Item = Observation>) -> Self {
        let mut curve = Self { seen: seen.into_iter().collect(), ..Self::default() };
        curve.fit();
        curve
    }

    /// The observations it is fitted to, the oldest first.
    pub(super) fn seen(&self) -> impl ExactSizeIterator<Item = &Observation> {
        self.seen.iter()
    }

    pub(super) fn learn(&mut self, observation: Observation) {
        if self.seen.len() == CAPACITY {
            self.seen.pop_front();
        }
        self.seen.push_back(observation);
        self.fit();
    }

    /// An upper bound on the probability that the reply is wrong, given the observations of its entry: by the curve, or by
    /// the entry's own observations once they alone show a lower one.
    pub(super) fn risk(&self, similarity: f32, own: &[Observation]) -> f64 {
        if !similarity.is_finite() {
            return 1.0;
        }
        let x = position(similarity);
        let [variance, covariance, slope_variance] = self.covariance;
        let deviation = (variance + 2.0 * x * covariance + x * x * slope_variance).max(0.0).sqrt();
        let odds = self.log_odds(x);
        let risk = logistic(-(odds - ONE_SIDED_95 * deviation));
        if own.is_empty() {
            risk
        } else {
            (risk * self.own_factor(odds, own)).min(own_bound(similarity, own))
        }
    }

    /// How many times as likely a wrong reply of this entry is as one of an entry without observations, by Bayes' rule on its
    /// offset from the curve. At least 1: entries that were right a few times may have been lucky, and trusting them more
    /// would be wrong if entries differ less than assumed.
    fn own_factor(&self, odds: f64, own: &[Observation]) -> f64 {
        let (mut prior, mut posterior) = ([0.0; 2], [0.0; 2]);
        for point in -GRID_HALF..=GRID_HALF {
            let deviations = f64::from(point) * GRID_STEP;
            let offset = deviations * ENTRY_DEVIATION;
            let density = (-deviations * deviations / 2.0).exp();
            let likelihood: f64 = own.iter().map(|seen| self.likelihood(*seen, offset)).product();
            let wrong = logistic(-(odds + offset));
            for (sums, weight) in [(&mut prior, density), (&mut posterior, density * likelihood)] {
                sums[0] += weight * wrong;
                sums[1] += weight;
            }
        }
        let factor = (posterior[0] / posterior[1]) / (prior[0] / prior[1]);
        // Where the likelihood underflows nothing is known, so the entry is explored.
        if factor.is_finite() { factor.max(1.0) } else { f64::INFINITY }
    }

    fn likelihood(&self, seen: Observation, offset: f64) -> f64 {
        let odds = self.log_odds(position(seen.similarity)) + offset;
        logistic(if seen.correct { odds } else { -odds })
    }

    fn log_odds(&self, x: f64) -> f64 {
        let [level, slope] = self.parameters;
        level + slope * x
    }

    /// Finds the likeliest parameters, starting from the last ones.
    fn fit(&mut self) {
        for _ in 0..MAX_STEPS {
            let (gradient, [a, b, d]) = self.derivatives();
            let determinant = a * d - b * b;
            self.covariance = [d / determinant, -b / determinant, a / determinant];
            let [variance, covariance, slope_variance] = self.covariance;
            let step = [
                variance * gradient[0] + covariance * gradient[1],
                covariance * gradient[0] + slope_variance * gradient[1],
            ];
            if step.iter().all(|step| step.abs() < CONVERGED) {
                break;
            }
            let Some(better) = self.likelier(step) else { break };
            self.parameters = better;
        }
    }

    /// The parameters after a step, which is halved until it makes them likelier.
    fn likelier(&self, step: [f64; 2]) -> Option<[f64; 2]> {
        let ahead = |scale: f64| [self.parameters[0] + scale * step[0], self.parameters[1] + scale * step[1]];
        if step.iter().all(|step| step.abs() < SHORT_STEP) {
            return Some(ahead(1.0));
        }
        let now = self.log_likelihood(self.parameters);
        let scales = (0..MAX_HALVINGS).map(|halvings| 0.5_f64.powi(halvings));
        scales.map(ahead).find(|parameters| self.log_likelihood(*parameters) > now)
    }

    /// The penalised log likelihood of parameters.
    fn log_likelihood(&self, parameters: [f64; 2]) -> f64 {
        let penalty = |n: usize| ((parameters[n] - PRIOR_MEAN[n]) / PRIOR_DEVIATION[n]).powi(2) / 2.0;
        let of = |seen: &Observation| {
            let odds = parameters[0] + parameters[1] * position(seen.similarity);
            log_logistic(if seen.correct { odds } else { -odds })
        };
        self.seen.iter().map(of).sum::<f64>() - penalty(0) - penalty(1)
    }

    /// The gradient of the penalised log likelihood, and its Hessian with the sign changed.
    fn derivatives(&self) -> ([f64; 2], [f64; 3]) {
        let precision = PRIOR_DEVIATION.map(|deviation| 1.0 / (deviation * deviation));
        let pull = |n: usize| precision[n] * (PRIOR_MEAN[n] - self.parameters[n]);
        let mut gradient = [pull(0), pull(1)];
        let mut hessian = [precision[0], 0.0, precision[1]];
        for seen in &self.seen {
            let x = position(seen.similarity);
            let right = logistic(self.log_odds(x));
            let residual = f64::from(seen.correct) - right;
            let weight = right * (1.0 - right);
            gradient[0] += residual;
            gradient[1] += residual * x;
            hessian[0] += weight;
            hessian[1] += weight * x;
            hessian[2] += weight * x * x;
        }
        (gradient, hessian)
    }
}

/// The bound that an entry's own observations give without any curve, if a reply to a nearer question is not wrong more often.
fn own_bound(similarity: f32, own: &[Observation]) -> f64 {
    let farther = own.iter().filter(|seen| seen.similarity <= similarity);
    let (seen, wrong) =
        farther.fold((0, 0), |(seen, wrong), one| (seen + 1, wrong + u32::from(!one.correct)));
    upper(wrong, seen, OUTSIDE)
}

fn position(similarity: f32) -> f64 {
    (f64::from(similarity) - ORIGIN) / UNIT
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The logarithm of the logistic function, computed without overflow.
fn log_logistic(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}
