//! Finds the change points in a benchmark's history: the runs from which on it was slower or faster.
//!
//! E-divisive means (Matteson & James 2014, "A nonparametric approach for multiple change point analysis"),
//! which MongoDB runs over its own benchmarks (Daly et al. 2020). A segment is split where the energy
//! distance between its two parts is greatest, if shuffled copies of it rarely split as well; then both
//! parts are searched again. It assumes no distribution, so outliers and two-humped noise do not mislead it.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::statistics::median;

/// Fewest values that make a level of their own, so that a lone outlier is none.
const SHORTEST_SEGMENT: usize = 3;
/// Shuffled copies of a segment that a split is compared with.
const PERMUTATIONS: usize = 999;
/// Splits that are as likely by chance as this are rejected. It is strict, because a project watches many histories for years.
const SIGNIFICANCE: f64 = 0.005;
/// Seed of the shuffles. It is fixed, so that the same history always has the same change points.
const SEED: u64 = 1;

/// A place where the level of a series changes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ChangePoint {
    /// Index of the first value at the new level.
    pub at: usize,
    /// Median from the previous change point (or the start) up to here.
    pub before: f64,
    /// Median from here up to the next change point (or the end).
    pub after: f64,
    /// How often a shuffled series would split as clearly.
    pub p_value: f64,
}

/// The places where the level of `series` (oldest value first) changes, in order.
///
/// Values that are not finite are gaps in the history and left out. A short series has no change points:
/// with fewer than about ten values no split can be told from chance. The time taken grows with the square
/// of the length: thousands of values are fine, a million is not.
pub fn change_points(series: &[f64]) -> Vec<ChangePoint> {
    let (indices, values): (Vec<usize>, Vec<f64>) =
        series.iter().copied().enumerate().filter(|(_, value)| value.is_finite()).unzip();
    let mut splits = Vec::new();
    divide(&values, 0, &mut SmallRng::seed_from_u64(SEED), &mut splits);

    let mut bounds: Vec<usize> = splits.iter().map(|split| split.0).collect();
    bounds.insert(0, 0);
    bounds.push(values.len());
    bounds
        .windows(3)
        .zip(splits)
        .filter_map(|(bound, (at, p_value))| {
            Some(ChangePoint {
                at: indices[at],
                before: median(&values[bound[0]..at])?,
                after: median(&values[at..bound[2]])?,
                p_value,
            })
        })
        .collect()
}

/// Adds the splits of a segment that begins at `offset`, from left to right.
fn divide(segment: &[f64], offset: usize, rng: &mut impl Rng, splits: &mut Vec<(usize, f64)>) {
    let Some((at, strength)) = best_split(segment) else { return };
    let Some(p_value) = p_value(segment, strength, rng) else { return };
    divide(&segment[..at], offset, rng, splits);
    splits.push((offset + at, p_value));
    divide(&segment[at..], offset + at, rng, splits);
}

/// The split with the greatest scaled energy distance between its parts, and that distance:
/// Q = nm/(n+m) (2 E|X-Y| - E|X-X'| - E|Y-Y'|).
fn best_split(segment: &[f64]) -> Option<(usize, f64)> {
    let total = segment.len();
    let distances = |from: f64, to: &[f64]| to.iter().map(|value| (value - from).abs()).sum::<f64>();
    let (mut across, mut in_left) = (0.0, 0.0);
    let mut in_right: f64 = (0..total).map(|i| distances(segment[i], &segment[i + 1..])).sum();
    let mut best = None;
    // In each step one value moves from the right part to the left part.
    for at in 1..total {
        let (left, value, right) = (&segment[..at - 1], segment[at - 1], &segment[at..]);
        let (to_left, to_right) = (distances(value, left), distances(value, right));
        across += to_right - to_left;
        in_left += to_left;
        in_right -= to_right;

        if at < SHORTEST_SEGMENT || right.len() < SHORTEST_SEGMENT {
            continue;
        }
        let (n, m) = (at as f64, right.len() as f64);
        let mean_in = |sum: f64, size: f64| 2.0 * sum / (size * (size - 1.0));
        let strength =
            n * m / (n + m) * (2.0 * across / (n * m) - mean_in(in_left, n) - mean_in(in_right, m));
        if best.is_none_or(|(_, strongest)| strength > strongest) {
            best = Some((at, strength));
        }
    }
    best
}

/// The share of shuffled segments that split as strongly; `None` as soon as it cannot be significant any more.
fn p_value(segment: &[f64], strength: f64, rng: &mut impl Rng) -> Option<f64> {
    let share = |as_strong: usize| (as_strong + 1) as f64 / (PERMUTATIONS + 1) as f64;
    let mut shuffled = segment.to_vec();
    let mut as_strong = 0;
    for _ in 0..PERMUTATIONS {
        shuffled.shuffle(rng);
        if best_split(&shuffled).is_some_and(|(_, by_chance)| by_chance >= strength) {
            as_strong += 1;
        }
        if share(as_strong) >= SIGNIFICANCE {
            return None;
        }
    }
    Some(share(as_strong))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels of 30 values each, with noise of +-4 % and an outlier now and then.
    fn history(levels: &[f64], seed: u64) -> Vec<f64> {
        let mut rng = SmallRng::seed_from_u64(seed);
        levels
            .iter()
            .flat_map(|&level| [level; 30])
            .map(|level| {
                let outlier = if rng.random::<f64>() < 0.02 { 1.5 } else { 1.0 };
                level * outlier * rng.random_range(0.96..1.04)
            })
            .collect()
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        for seed in 0..20 {
            let found = change_points(&history(&[100.0, 110.0], seed));
            assert_eq!(found.len(), 1, "seed {seed}: {found:?}");
            assert!(found[0].at.abs_diff(30) <= 1, "seed {seed}: {found:?}");
            assert!((found[0].before - 100.0).abs() < 3.0 && (found[0].after - 110.0).abs() < 3.0);
            assert!(found[0].p_value < SIGNIFICANCE);
        }
    }

    #[test]
    fn steps_up_and_down_are_both_found() {
        for levels in [[100.0, 115.0, 100.0], [100.0, 90.0, 80.0]] {
            let found = change_points(&history(&levels, 5));
            let places: Vec<usize> = found.iter().map(|point| point.at).collect();
            assert_eq!(places.len(), 2, "{found:?}");
            assert!(places[0].abs_diff(30) <= 1 && places[1].abs_diff(60) <= 1, "{found:?}");
            assert_eq!(found[0].after, found[1].before);
        }
    }

    #[test]
    fn noise_has_none_more_often_than_promised() {
        let alarms: usize = (0..200).map(|seed| change_points(&history(&[100.0; 3], seed)).len()).sum();
        assert!(alarms <= 2, "{alarms}");
    }

    #[test]
    fn a_short_or_flat_series_has_none() {
        for length in 0..8 {
            let step: Vec<f64> = (0..length).map(|i| if i < length / 2 { 1.0 } else { 2.0 }).collect();
            assert_eq!(change_points(&step), []);
        }
        assert_eq!(change_points(&[7.0; 50]), []);
    }

    #[test]
    fn gaps_in_the_history_are_stepped_over() {
        let mut series = history(&[100.0, 120.0], 1);
        series.insert(5, f64::NAN);
        series.insert(10, f64::INFINITY);
        let found = change_points(&series);
        assert_eq!(found.len(), 1);
        assert!(found[0].at.abs_diff(32) <= 1, "{found:?}");
    }
}
