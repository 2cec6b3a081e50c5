//! Estimates the cost of settings that were not measured from those that were.
//!
//! The model is a Gaussian process (Rasmussen & Williams 2006, algorithm 2.1), which geostatistics calls kriging, over the
//! logarithm of the cost. A measurement is the sum of four parts: what near points have in common, what belongs to the point
//! alone, the drift of the machine, and noise. Only the shares of these parts are assumed; the size of the whole is estimated.
//! The searches of the tests end as well with each share halved or doubled.

use super::{Point, Space};

/// Distance, in steps of a number, at which the correlation of two points has fallen to 1/e.
const REACH: f64 = 5.0;
/// Share of the variance between points that belongs to a point alone.
const OWN: f64 = 0.1;
/// Variance of repeated measurements, as a share of that between points.
const NOISE: f64 = 0.05;
/// Variance of the machine's drift over the whole search, as a share of that between points.
const DRIFT: f64 = 0.05;

/// A point, when it was measured, and its cost.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    /// The point that was measured.
    pub(super) point: Point,
    /// When it was measured, as a share of the search, 0 to 1.
    pub(super) at: f64,
    /// The cost; infinite when the measurement failed.
    pub(super) cost: f64,
}

/// The estimated cost of a point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    /// The logarithm of the cost.
    pub(super) mean: f64,
    /// The mean's standard deviation.
    pub(super) deviation: f64,
}

/// The Gaussian process, conditioned on the measurements.
pub(super) struct Surrogate<'a> {
    space: &'a Space,
    measured: &'a [Measurement],
    /// The Cholesky factor of the measurements' covariance.
    factor: Vec<Vec<f64>>,
    mean: f64,
    variance: f64,
    /// The measurements minus the mean, divided by the factor.
    residuals: Vec<f64>,
}

impl<'a> Surrogate<'a> {
    /// Fits the model. A failed measurement counts as the worst one that did not fail; `None` when all failed.
    pub(super) fn fit(space: &'a Space, measured: &'a [Measurement]) -> Option<Self> {
        let finite = measured.iter().map(|one| one.cost).filter(|cost| cost.is_finite());
        let worst = finite.max_by(f64::total_cmp)?;
        let costs: Vec<f64> = measured.iter().map(|one| one.cost.min(worst).ln()).collect();

        let mut factor: Vec<Vec<f64>> = Vec::with_capacity(measured.len());
        for (n, one) in measured.iter().enumerate() {
            let covariances = measured[..n].iter().map(|other| {
                let drift = DRIFT * (-(one.at - other.at).abs()).exp();
                correlation(space, &one.point, &other.point) + drift
            });
            let mut row = divided(&factor, covariances.collect());
            // The noise keeps the argument of the root well above 0.
            row.push((1.0 + DRIFT + NOISE - dot(&row, &row)).sqrt());
            factor.push(row);
        }

        let ones = divided(&factor, vec![1.0; costs.len()]);
        let costs = divided(&factor, costs);
        let mean = dot(&ones, &costs) / dot(&ones, &ones);
        let residuals: Vec<f64> = costs.iter().zip(&ones).map(|(cost, one)| cost - mean * one).collect();
        let variance = dot(&residuals, &residuals) / residuals.len() as f64;
        Some(Self { space, measured, factor, mean, variance, residuals })
    }

    /// Estimates a point's cost on a machine that does not drift.
    pub(super) fn guess(&self, point: &Point) -> Guess {
        let near = self.measured.iter().map(|one| correlation(self.space, point, &one.point));
        let near = divided(&self.factor, near.collect());
        let unknown = (1.0 - dot(&near, &near)).max(0.0);
        Guess { mean: self.mean + dot(&near, &self.residuals), deviation: (self.variance * unknown).sqrt() }
    }
}

fn correlation(space: &Space, a: &Point, b: &Point) -> f64 {
    let own = if a == b { OWN } else { 0.0 };
    (1.0 - OWN) * (-space.distance(a, b) / REACH).exp() + own
}

/// Divides `values` by the triangular factor, by forward substitution.
fn divided(factor: &[Vec<f64>], mut values: Vec<f64>) -> Vec<f64> {
    for (n, row) in factor.iter().enumerate() {
        values[n] = (values[n] - dot(&row[..n], &values)) / row[n];
    }
    values
}

/// The dot product, over the length of the shorter one.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
