//! How likely the reply of an entry is right, by similarity.
//!
//! One logistic curve `P(right) = 1 / (1 + exp(-(a + b x)))` is fitted to all entries' observations by penalised maximum
//! likelihood (Newton's method); with `gamma` and `t` of the paper, `b = gamma` and `a = -gamma t`. The inverse of the
//! Hessian is the parameters' covariance (Laplace's approximation), from which comes a lower confidence bound on the
//! curve. Which observations there are depends on the similarity, of which the curve is a function, and on how far an
//! entry is trusted: distrusted ones are explored more, which makes the curve pessimistic, never the reverse.

use std::collections::VecDeque;

use super::binomial::{OUTSIDE, upper};

/// Observations that the curve is fitted to; then the oldest goes. Enough for a confidence bound of 1 % where all are
/// right (300, by the rule of three), and so few that a fit takes 0.1 ms.
pub(super) const CAPACITY: usize = 2048;
/// Similarities are counted from here, in steps of `UNIT`.
const ORIGIN: f64 = 0.9;
const UNIT: f64 = 0.05;
/// What is believed before anything was seen: at a similarity of 0.9 a reply is as often right as wrong, and a step up
/// makes it likelier. Deviations as wide as to be forgotten after a few dozen observations.
const PRIOR_MEAN: [f64; 2] = [0.0, 0.5];
const PRIOR_DEVIATION: [f64; 2] = [2.0, 0.5];
/// Of the normal distribution: the curve is above its bound 19 times of 20.
const ONE_SIDED_95: f64 = 1.645;
/// Entries differ in their log odds by so much (one deviation): the odds of one are 4.5 times those of another that is
/// average. Assumed, and on the wide side, so that one wrong reply makes an entry distrusted.
const ENTRY_DEVIATION: f64 = 1.5;
/// Newton's method converges in three or four steps from the last fit.
const MAX_STEPS: usize = 25;
/// Of one step; what is shorter changes nothing.
const MAX_HALVINGS: i32 = 20;

/// An explored question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observation {
    pub(super) similarity: f32,
    /// The entry's reply would have been right.
    pub(super) correct: bool,
}

/// The curve of all entries.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    seen: VecDeque<Observation>,
    parameters: [f64; 2],
    /// Symmetric: the variances and, between them, the covariance.
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

    /// An upper bound on the probability that the reply is wrong, given what was seen of its entry: by the curve, or by
    /// the entry's own observations once they alone show less.
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

    /// How many times as likely a wrong reply is of this entry as of one of which nothing was seen: Bayes' rule on its
    /// offset from the curve, on a grid. At least once: entries that were right a few times may have been lucky, so that
    /// if entries differ less than assumed this would trust them too much.
    fn own_factor(&self, odds: f64, own: &[Observation]) -> f64 {
        const HALF: i32 = 8;
        const STEP: f64 = 0.5;
        let (mut prior, mut posterior) = ([0.0; 2], [0.0; 2]);
        for point in -HALF..=HALF {
            let deviations = f64::from(point) * STEP;
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
        // What is too unlikely for a float says nothing: that entry is explored.
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

    /// Finds the likeliest parameters, from the last ones.
    fn fit(&mut self) {
        /// Far below the parameters' deviations.
        const CLOSE: f64 = 1e-4;
        for _ in 0..MAX_STEPS {
            let (gradient, [a, b, d]) = self.derivatives();
            let determinant = a * d - b * b;
            self.covariance = [d / determinant, -b / determinant, a / determinant];
            let [variance, covariance, slope_variance] = self.covariance;
            let step = [
                variance * gradient[0] + covariance * gradient[1],
                covariance * gradient[0] + slope_variance * gradient[1],
            ];
            if step.iter().all(|step| step.abs() < CLOSE) {
                break;
            }
            let Some(better) = self.likelier(step) else { break };
            self.parameters = better;
        }
    }

    /// The parameters after the step, which is halved until it makes them likelier; a short one always does.
    fn likelier(&self, step: [f64; 2]) -> Option<[f64; 2]> {
        const SHORT: f64 = 0.5;
        let ahead = |scale: f64| [self.parameters[0] + scale * step[0], self.parameters[1] + scale * step[1]];
        if step.iter().all(|step| step.abs() < SHORT) {
            return Some(ahead(1.0));
        }
        let now = self.log_likelihood(self.parameters);
        let scales = (0..MAX_HALVINGS).map(|halvings| 0.5_f64.powi(halvings));
        scales.map(ahead).find(|parameters| self.log_likelihood(*parameters) > now)
    }

    /// Penalised.
    fn log_likelihood(&self, parameters: [f64; 2]) -> f64 {
        let penalty = |n: usize| ((parameters[n] - PRIOR_MEAN[n]) / PRIOR_DEVIATION[n]).powi(2) / 2.0;
        let of = |seen: &Observation| {
            let odds = parameters[0] + parameters[1] * position(seen.similarity);
            log_logistic(if seen.correct { odds } else { -odds })
        };
        self.seen.iter().map(of).sum::<f64>() - penalty(0) - penalty(1)
    }

    /// Of the penalised log likelihood: the gradient, and the Hessian with its sign changed.
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

/// What an entry's own observations show without any curve, if a reply to a nearer question is not wrong more often.
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

/// Of any size without overflow.
fn log_logistic(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}
