//! What settings cost that were not measured, guessed from those that were.
//!
//! A Gaussian process (Rasmussen & Williams 2006, algorithm 2.1), which geostatistics calls kriging, over the
//! logarithm of the cost. A measurement is taken as the sum of what near points have in common, what is the
//! point's alone, the machine's drift, and noise. Only the shares of these are assumed; the size of the whole
//! is estimated. The searches of the tests end as well with each share halved or doubled.

use super::{Point, Space};

/// The distance at which points have 1/e of what near points share, in steps of a number.
const REACH: f64 = 5.0;
/// Of the variance between points, what a point has for itself.
const OWN: f64 = 0.1;
/// The variance of repeated measurements, as a share of that between points.
const NOISE: f64 = 0.05;
/// The variance of the machine's drift over the whole search, as such a share.
const DRIFT: f64 = 0.05;

/// One measurement.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    /// Of what.
    pub(super) point: Point,
    /// When, as a share of the search.
    pub(super) at: f64,
    /// Infinite when it failed.
    pub(super) cost: f64,
}

/// A point's guessed cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    /// The logarithm of the cost.
    pub(super) mean: f64,
    /// The mean's standard deviation.
    pub(super) deviation: f64,
}

/// The process, given the measurements.
pub(super) struct Surrogate<'a> {
    space: &'a Space,
    measured: &'a [Measurement],
    /// The Cholesky factor of the measurements' covariance.
    factor: Vec<Vec<f64>>,
    mean: f64,
    variance: f64,
    /// The measurements less the mean, divided by the factor.
    residuals: Vec<f64>,
}

impl<'a> Surrogate<'a> {
    /// Failed measurements count as the worst that did not; `None` when all failed.
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
            // The noise keeps this well over 0.
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

    /// A point's cost on a machine that does not drift.
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

/// Solves for `values` by forward substitution.
fn divided(factor: &[Vec<f64>], mut values: Vec<f64>) -> Vec<f64> {
    for (n, row) in factor.iter().enumerate() {
        values[n] = (values[n] - dot(&row[..n], &values)) / row[n];
    }
    values
}

/// The sum of the products, as far as the shorter goes.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
