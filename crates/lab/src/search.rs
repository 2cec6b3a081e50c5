//! The search for better settings when each measurement is slow and noisy.
//!
//! It is Bayesian optimisation (Jones, Schonlau & Welch 1998) in batches. The points of the first batch are drawn at random. Then a
//! model of the measurements proposes new points whose cost may be the lowest (the lower confidence bound of Cox & John 1992). In
//! the end the best points are measured again, chosen by the same bound, so that the last measurements go to the points that are
//! hard to tell apart. Candidates for new points are bred as in a genetic algorithm: by steps from good points, by combining good
//! changes, and at random.
//!
//! The model includes a drift of the machine, so that points which were measured first are not favoured on a machine that gets
//! slower during the search.
//!
//! The search does nothing by itself: ask it for a point with [`Iterator::next`], measure it, and
//! [`tell`](Search::tell) it the cost.

mod space;
mod surrogate;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::iter;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

pub use self::space::{Knob, Point, Space, Value};
use self::surrogate::{Measurement, Surrogate};

/// Share of the budget that is measured before the model is used. The optima of the tests are found as well with 0.15 to 0.25.
const FIRST: f64 = 0.2;
/// Share of the budget for repeated measurements in the end; 0.2 to 0.3 do equally well.
const LAST: f64 = 0.2;
/// Share of the budget that is measured before the model is fitted again.
const BATCH: f64 = 0.03;
/// Standard deviations by which the lower confidence bound lies below the guess. With 2 the optima of the tests are found as well,
/// but those of larger spaces are not.
const OPTIMISM: f64 = 3.0;
/// Best points from which new ones are bred.
const PARENTS: usize = 8;
/// Random candidates for each batch.
const DRAWS: usize = 200;

/// Why a search cannot start.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum SearchError {
    /// A knob has no values to choose from.
    #[error("the knob `{0}` has no values: give it at least one, or leave it out")]
    NoValues(String),
    /// The start has too few or too many indices.
    #[error("the start has {given} values for {knobs} knobs: give one index for each knob")]
    StartLength {
        /// Number of indices given.
        given: usize,
        /// Number of knobs of the space.
        knobs: usize,
    },
    /// The start is outside the space.
    #[error("the start's value {index} of the knob `{knob}` does not exist: it has {values}, counted from 0")]
    StartIndex {
        /// The name of the knob whose index is wrong.
        knob: String,
        /// The index that was given, counted from 0.
        index: usize,
        /// Number of values of the knob.
        values: usize,
    },
}

/// A running search; an iterator over the points to measure.
///
/// Tell it the cost of a point before you ask for the next one. A point without a cost counts as failed.
#[derive(Debug)]
pub struct Search {
    space: Space,
    start: Point,
    rng: SmallRng,
    /// Number of measurements in all.
    budget: usize,
    /// The points that were given out, with their costs.
    measured: Vec<Measurement>,
    /// The points that will be given out next.
    queue: VecDeque<Point>,
}

impl Search {
    /// A search of `space` that begins at `start`, the present settings, with `budget` measurements.
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
        let rng = SmallRng::seed_from_u64(seed);
        Ok(Self { space, start, rng, budget, measured: Vec::new(), queue: VecDeque::new() })
    }

    /// Takes the cost of the point that was given out last: greater than 0, and lower is better. Any other number, and infinity,
    /// is a failure.
    pub fn tell(&mut self, cost: f64) {
        if let Some(last) = self.measured.last_mut() {
            last.cost = if cost > 0.0 { cost } else { f64::INFINITY };
        }
    }

    /// The best point so far, and its estimated cost as a ratio to that of the start: 0.8 is a fifth cheaper. A start that failed
    /// counts as expensive as the worst point that did not fail.
    ///
    /// `None` when every point failed at least once.
    pub fn best(&self) -> Option<(&Point, f64)> {
        let model = Surrogate::fit(&self.space, &self.measured)?;
        let best = self.ranking(&model).into_iter().next()?;
        Some((best, (model.guess(best).mean - model.guess(&self.start).mean).exp()))
    }

    /// The points that never failed, the best first.
    fn ranking(&self, model: &Surrogate<'_>) -> Vec<&Point> {
        let points = |failed: bool| -> BTreeSet<&Point> {
            let some = self.measured.iter().filter(|one| !failed || one.cost.is_infinite());
            some.map(|one| &one.point).collect()
        };
        let worked = points(false).difference(&points(true)).copied().collect();
        sorted(worked, |point| model.guess(point).mean)
    }

    /// Chooses the points to measure next.
    fn batch(&mut self) -> Vec<Point> {
        if self.measured.is_empty() {
            return self.first_batch();
        }
        let random = self.random();
        let Some(model) = Surrogate::fit(&self.space, &self.measured) else {
            return random.into_iter().take(self.share(BATCH)).collect();
        };
        let mut points = Vec::new();
        if self.budget - self.measured.len() > self.share(LAST) {
            points = self.offspring(&model);
            points.extend(random);
            points.retain(|point| !self.is_measured(point));
        }
        if points.is_empty() {
            points = self.ranking(&model).into_iter().cloned().collect();
        }
        let mut points = sorted(points, |point| {
            let guess = model.guess(point);
            guess.mean - OPTIMISM * guess.deviation
        });
        points.dedup();
        points.truncate(self.share(BATCH));
        points
    }

    /// The start, changes of one knob, and as many random points as changes.
    fn first_batch(&mut self) -> Vec<Point> {
        let places = self.share(FIRST);
        let mut changes = self.space.changes(&self.start);
        changes.shuffle(&mut self.rng);
        changes.truncate(places / 2);
        let mut batch: Vec<Point> = iter::once(self.start.clone()).chain(changes).collect();
        for point in self.random() {
            if batch.len() < places && !batch.contains(&point) {
                batch.push(point);
            }
        }
        batch
    }

    fn random(&mut self) -> Vec<Point> {
        iter::repeat_with(|| self.space.random(&mut self.rng)).take(DRAWS).flatten().collect()
    }

    /// Steps from the best points, and combinations of two of them.
    fn offspring(&self, model: &Surrogate<'_>) -> Vec<Point> {
        let mut parents = self.ranking(model);
        parents.truncate(PARENTS);
        let mut points = Vec::new();
        for (rank, parent) in parents.iter().enumerate() {
            points.extend(self.space.steps(parent));
            points.extend(parents[..rank].iter().map(|better| self.combined(better, parent)));
        }
        points
    }

    /// The changes of `better` against the start, and those of `worse` where `better` changed nothing.
    fn combined(&self, better: &Point, worse: &Point) -> Point {
        self.start
            .iter()
            .zip(better.iter().zip(worse))
            .map(|(start, (better, worse))| if better == start { *worse } else { *better })
            .collect()
    }

    fn is_measured(&self, point: &Point) -> bool {
        self.measured.iter().any(|one| one.point == *point)
    }

    /// A share of the budget; at least one measurement.
    fn share(&self, share: f64) -> usize {
        ((share * self.budget as f64) as usize).max(1)
    }
}

impl Iterator for Search {
    type Item = Point;

    fn next(&mut self) -> Option<Point> {
        if self.measured.len() >= self.budget {
            return None;
        }
        if self.queue.is_empty() {
            self.queue = self.batch().into();
        }
        let point = self.queue.pop_front()?;
        let at = self.measured.len() as f64 / self.budget as f64;
        self.measured.push(Measurement { point: point.clone(), at, cost: f64::INFINITY });
        Some(point)
    }
}

/// The points sorted by a number, the lowest first. Equal points stand side by side.
fn sorted<P: Ord>(points: Vec<P>, by: impl Fn(&P) -> f64) -> Vec<P> {
    let mut points: Vec<(f64, P)> = points.into_iter().map(|point| (by(&point), point)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    points.into_iter().map(|(_, point)| point).collect()
}
