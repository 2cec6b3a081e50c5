//! The search for better settings, where each measurement is slow and noisy.
//!
//! Successive halving (Jamieson & Talwalkar 2016), the inner loop of Hyperband (Li et al. 2018): many points
//! are measured once, the best of them again, and so on, so that most measurements go to the points that are
//! hard to tell apart. Between the rungs the search also breeds, as a genetic algorithm does: good changes
//! are combined and steps are taken from good points, those first that are expected to be the cheapest.
//!
//! Today's settings are measured in every rung, and costs count only in relation to theirs, so that a
//! machine which gets slower during the search does not favour what was measured first.
//!
//! The search does nothing by itself: ask it for a trial with [`Iterator::next`], measure, and
//! [`tell`](Search::tell) it the costs.

mod space;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::{iter, mem};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

pub use self::space::{Knob, Point, Space, Value};
use crate::statistics::median;

/// The share of the budget that each rung but the last may spend; the last takes what is left. The first is
/// the greatest, since where it finds nothing good there is nothing to improve.
const SHARES: [f64; 4] = [0.34, 0.16, 0.16, 0.16];
/// One in this many points has offspring, and one in this many of the next rung is an old one
/// (Hyperband's eta).
const KEPT: usize = 3;
/// Random draws for each place of a rung until new points count as not to be found.
const DRAWS: usize = 10;
/// A point that failed counts as this many times the start when its neighbours' costs are guessed.
const FAILED: f64 = 10.0;

/// Why a search cannot start.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum SearchError {
    /// A knob has nothing to choose from.
    #[error("the knob `{0}` has no values: give it at least one, or leave it out")]
    NoValues(String),
    /// The start has too few or too many indices.
    #[error("the start has {given} values for {knobs} knobs: give one index for each knob")]
    StartLength {
        /// Indices given.
        given: usize,
        /// Knobs of the space.
        knobs: usize,
    },
    /// The start is outside the space.
    #[error("the start's value {index} of the knob `{knob}` does not exist: it has {values}, counted from 0")]
    StartIndex {
        /// The knob's name.
        knob: String,
        /// The index given.
        index: usize,
        /// Values the knob has.
        values: usize,
    },
}

/// A point to measure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trial {
    /// The point.
    pub point: Point,
    /// How often.
    pub repeats: usize,
}

/// A running search; an iterator over the trials to make.
///
/// A trial is told before the next one is asked for. One that is never told counts as failed.
#[derive(Debug)]
pub struct Search {
    space: Space,
    start: Point,
    rng: SmallRng,
    /// Measurements in all.
    budget: usize,
    /// Measurements not yet given to a rung.
    left: usize,
    /// Rungs begun.
    rungs: usize,
    /// Trials of the present rung still to be made.
    queue: VecDeque<Trial>,
    /// Costs told in the present rung.
    costs: BTreeMap<Point, Vec<f64>>,
    /// Costs of finished rungs over the start's median in the same rung.
    ratios: BTreeMap<Point, Vec<f64>>,
    /// Points of the last finished rung, the best first.
    ranking: Vec<Point>,
}

impl Search {
    /// A search of `space` from `start`, today's settings, with `budget` single measurements.
    ///
    /// Equal seeds and costs give equal searches.
    ///
    /// # Errors
    ///
    /// When a knob has no values or `start` is not a point of `space`.
    pub fn new(space: Space, start: Point, budget: usize, seed: u64) -> Result<Self, SearchError> {
        if let Some(knob) = space.knobs.iter().find(|knob| knob.values.is_empty()) {
            return Err(SearchError::NoValues(knob.name.clone()));
        }
        if start.len() != space.knobs.len() {
            return Err(SearchError::StartLength { given: start.len(), knobs: space.knobs.len() });
        }
        if let Some((knob, &index)) =
            space.knobs.iter().zip(&start).find(|(knob, index)| **index >= knob.values.len())
        {
            let (knob, values) = (knob.name.clone(), knob.values.len());
            return Err(SearchError::StartIndex { knob, index, values });
        }
        Ok(Self {
            space,
            start,
            rng: SmallRng::seed_from_u64(seed),
            budget,
            left: budget,
            rungs: 0,
            queue: VecDeque::new(),
            costs: BTreeMap::new(),
            ratios: BTreeMap::new(),
            ranking: Vec::new(),
        })
    }

    /// Takes the costs of a trial, lower is better.
    ///
    /// Costs are greater than 0. A failed measurement costs [`f64::INFINITY`]; NaN counts as failed, and so
    /// does a trial without costs. Points that were not asked for in this rung are ignored.
    pub fn tell(&mut self, point: &Point, costs: &[f64]) {
        if let Some(told) = self.costs.get_mut(point) {
            told.extend(costs.iter().map(|&cost| if cost.is_nan() { f64::INFINITY } else { cost }));
        }
    }

    /// The best point so far and its median cost in relation to the start's: 0.8 is a fifth cheaper. Where the
    /// start itself failed, the cost is in relation to the median of all points measured with it.
    ///
    /// Chosen among the points of the last finished rung, by all their measurements; `None` before the first
    /// rung is finished or when all points failed. The last rung is finished when [`Iterator::next`] has
    /// returned `None`.
    pub fn best(&self) -> Option<(&Point, f64)> {
        let best = self.ranking.first()?;
        let ratio = self.score(best);
        ratio.is_finite().then_some((best, ratio))
    }

    /// A point's median cost in relation to the start's.
    fn score(&self, point: &Point) -> f64 {
        self.ratios.get(point).and_then(|ratios| median(ratios)).unwrap_or(f64::INFINITY)
    }

    /// Takes in the costs of the present rung and ranks its points.
    fn finish_rung(&mut self) {
        let costs = mem::take(&mut self.costs);
        let usable = |costs: &[f64]| median(costs).filter(|cost| cost.is_finite() && *cost > 0.0);
        let unit = costs.get(&self.start).and_then(|costs| usable(costs)).or_else(|| {
            let finite: Vec<f64> =
                costs.values().flatten().copied().filter(|cost| cost.is_finite()).collect();
            usable(&finite)
        });
        let unit = unit.unwrap_or(1.0);
        let mut ranking: Vec<Point> = costs.keys().cloned().collect();
        for (point, costs) in costs {
            let failed = costs.is_empty().then_some(f64::INFINITY);
            let ratios = costs.into_iter().chain(failed).map(|cost| cost / unit);
            self.ratios.entry(point).or_default().extend(ratios);
        }
        ranking.sort_by(|a, b| self.score(a).total_cmp(&self.score(b)));
        self.ranking = ranking;
    }

    /// Chooses the points of the next rung.
    fn begin_rung(&mut self) {
        // The last rung has about as many repeats as points.
        let share = SHARES.get(self.rungs);
        let places = share.map_or(self.left / self.left.isqrt().max(1), |share| {
            ((share * self.budget as f64) as usize).max(2).min(self.left)
        });
        self.rungs += 1;
        if places == 0 {
            return;
        }

        let mut rung = vec![self.start.clone()];
        let mut add = |places: usize, point: Point| {
            if rung.len() < places && !rung.contains(&point) {
                rung.push(point);
            }
        };
        let kept = if share.is_some() { places.div_ceil(KEPT) } else { places };
        self.ranking.iter().for_each(|point| add(kept, point.clone()));
        if share.is_some() {
            let new = if self.ranking.is_empty() { self.first_points(places / 2) } else { self.offspring() };
            let random =
                iter::repeat_with(|| self.space.random(&mut self.rng)).take(DRAWS * places).flatten();
            for point in new.into_iter().chain(random) {
                if !self.ratios.contains_key(&point) {
                    add(places, point);
                }
            }
        }

        let repeats = if share.is_some() { 1 } else { self.left / rung.len() };
        self.left -= rung.len() * repeats;
        self.costs = rung.iter().map(|point| (point.clone(), Vec::new())).collect();
        self.queue = rung.into_iter().map(|point| Trial { point, repeats }).collect();
    }

    /// Changes of one knob, all if `limit` allows it.
    fn first_points(&mut self, limit: usize) -> Vec<Point> {
        let mut changes = self.space.changes(&self.start);
        changes.shuffle(&mut self.rng);
        changes.truncate(limit);
        changes
    }

    /// New points made of the best third: all their changes together, pairs of them put together, and single
    /// steps from each. Those that should be the cheapest come first.
    fn offspring(&mut self) -> Vec<Point> {
        let parents = &self.ranking[..self.ranking.len().div_ceil(KEPT)];
        let together = parents.iter().cloned().reduce(|together, parent| self.combined(&together, &parent));
        let mut points: Vec<Point> = together.into_iter().collect();
        for (rank, parent) in parents.iter().enumerate() {
            points.extend(parents[..rank].iter().map(|better| self.combined(better, parent)));
            points.extend(self.space.steps(parent));
        }
        points.shuffle(&mut self.rng);
        let mut guessed: Vec<(f64, Point)> =
            points.into_iter().map(|point| (self.guess(&point), point)).collect();
        guessed.sort_by(|a, b| a.0.total_cmp(&b.0));
        guessed.into_iter().map(|(_, point)| point).collect()
    }

    /// The expected logarithm of a point's cost: the mean of the measured points', near ones first
    /// (Nadaraya 1964 and Watson 1964).
    fn guess(&self, point: &Point) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (measured, ratios) in &self.ratios {
            let weight = (-self.space.distance(point, measured)).exp() * (ratios.len() as f64).sqrt();
            sum += weight * self.score(measured).min(FAILED).ln();
            weights += weight;
        }
        sum / weights
    }

    /// What `better` changed of the start, and what `worse` changed where `better` changed nothing.
    fn combined(&self, better: &Point, worse: &Point) -> Point {
        self.start
            .iter()
            .zip(better.iter().zip(worse))
            .map(|(start, (better, worse))| if better == start { *worse } else { *better })
            .collect()
    }
}

impl Iterator for Search {
    type Item = Trial;

    fn next(&mut self) -> Option<Trial> {
        while self.queue.is_empty() {
            if !self.costs.is_empty() {
                self.finish_rung();
            }
            if self.rungs > SHARES.len() {
                return None;
            }
            self.begin_rung();
        }
        self.queue.pop_front()
    }
}
