//! The search for better settings, where each measurement is slow and noisy.
//!
//! Bayesian optimisation (Jones, Schonlau & Welch 1998) in batches. The first batch is drawn. Then new points are
//! measured whose cost may be the lowest, by a model of what was measured (the lower confidence bound of Cox &
//! John 1992). In the end the best are measured again, by the same bound: the last measurements go to the points
//! that are hard to tell apart. New points are bred as in a genetic algorithm: steps from good points, good
//! changes combined, and random ones.
//!
//! The model knows that machines drift: one which gets slower during the search does not favour what was
//! measured first.
//!
//! The search does nothing by itself: ask it for a point with [`Iterator::next`], measure it, and
//! [`tell`](Search::tell) what it cost.

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

/// The share of the budget that is spent before anything is guessed. The tests' surfaces are found as well with 0.15 to
/// 0.25.
const FIRST: f64 = 0.2;
/// The share that goes to repeats in the end; 0.2 to 0.3 do equally well.
const LAST: f64 = 0.2;
/// The share that is spent between one look at the model and the next.
const BATCH: f64 = 0.03;
/// A cost may be so many standard deviations under its guess. With 2 the tests' surfaces are found as well, larger
/// spaces are not.
const OPTIMISM: f64 = 3.0;
/// Points that have offspring.
const PARENTS: usize = 8;
/// Random points looked at for each batch.
const DRAWS: usize = 200;

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

/// A running search; an iterator over the points to measure.
///
/// What a point cost is told before the next one is asked for. One that is never told counts as failed.
#[derive(Debug)]
pub struct Search {
    space: Space,
    start: Point,
    rng: SmallRng,
    /// Measurements in all.
    budget: usize,
    /// What was asked for.
    measured: Vec<Measurement>,
    /// What will be asked for next.
    queue: VecDeque<Point>,
}

impl Search {
    /// A search of `space` from `start`, today's settings, with `budget` measurements.
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

    /// Takes what the point last asked for cost: greater than 0, lower is better. Anything else, and infinity, is a
    /// failure.
    pub fn tell(&mut self, cost: f64) {
        if let Some(last) = self.measured.last_mut() {
            last.cost = if cost > 0.0 { cost } else { f64::INFINITY };
        }
    }

    /// The best point so far and its guessed cost in relation to the start's: 0.8 is a fifth cheaper. A start that
    /// failed counts as the worst that did not.
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

    /// Chooses what to measure next.
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

    /// The start, changes of one knob, and as many random points.
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

    /// Steps from the best points, and pairs of them put together.
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

    /// What `better` changed of the start, and what `worse` changed where `better` changed nothing.
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

/// The lowest first; equal points stand side by side.
fn sorted<P: Ord>(points: Vec<P>, by: impl Fn(&P) -> f64) -> Vec<P> {
    let mut points: Vec<(f64, P)> = points.into_iter().map(|point| (by(&point), point)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    points.into_iter().map(|(_, point)| point).collect()
}
