//! The online tuner: it adjusts live settings of a running server, and undoes changes that do not help.
//!
//! One setting changes at a time, by one step in one direction. Windows with the present value (A) and with the trial value (B)
//! take turns in the order A B B A A B B A ..., so that each pair of neighbours sees the same load, and a steady rise or fall of
//! the load cancels out. A step is kept if the pairs show that it helps, and undone otherwise. A single window that is clearly
//! bad ends the trial. Directions that did not help are tried more and more rarely.
//!
//! The tuner has no clock and does nothing by itself: pass each window, some 30 s of serving, to [`observe`](Tuner::observe), and
//! apply the change that it returns before the next window begins.

mod baseline;
mod signed_rank;
mod step;
mod trial;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use self::baseline::Baseline;
use self::step::Direction;
use self::trial::{Judgement, Trial, Verdict};
use crate::statistics::median;

/// Windows with fewer turns do not count, because their 95th percentile would be the slowest turn alone.
const FEWEST_TURNS: u64 = 20;
/// Two windows are not compared if their loads differ by more than this share of the heavier one.
const LOAD_TOLERANCE: f64 = 1.0 / 3.0;
/// Windows for which a direction rests after it was undone for the first time: 20 minutes in windows of 30 s.
const FIRST_REST: u64 = 40;
/// How often the rest doubles at most. It grows to about a day, so that no setting is given up for good.
const MOST_DOUBLINGS: u32 = 6;
/// Decisions that are kept in the log.
const LOG_LIMIT: usize = 256;

/// A live tunable of the server: [`antiphon_core::measure::Tunable`] with `live` set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Knob {
    /// The component it belongs to.
    pub component: String,
    /// Its name within the component.
    pub name: String,
    /// The value in force.
    pub value: f64,
    /// The least value it may take.
    pub min: f64,
    /// The greatest value it may take.
    pub max: f64,
}

/// The measurements of one window.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Observation {
    /// Turns that were answered in the window.
    pub turns: u64,
    /// The 95th percentile of the turns' latency, in ms.
    pub p95_ms: f64,
    /// The share of turns that failed, 0 to 1.
    pub error_rate: f64,
    /// Mean CPU use, in cores. It decides nothing, but appears in the decisions.
    pub cpu_cores: f64,
    /// Mean number of calls held: the load.
    pub calls: f64,
}

/// A value to set now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The component of the knob.
    pub component: String,
    /// The name of the knob within its component.
    pub name: String,
    /// The value to set, within the knob's range.
    pub value: f64,
    /// The reason, for a log.
    pub why: String,
}

/// The result of a trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// The component of the knob.
    pub component: String,
    /// The name of the knob within its component.
    pub name: String,
    /// The value before the trial.
    pub from: f64,
    /// The value on trial.
    pub to: f64,
    /// Whether the trial value stays; otherwise it was undone.
    pub kept: bool,
    /// The reason, for a log.
    pub why: String,
    /// Median over the trial's windows at `from` of their p95, in ms.
    pub baseline_p95_ms: Option<f64>,
    /// Median over the trial's windows at `to` of their p95, in ms.
    pub trial_p95_ms: Option<f64>,
    /// Median CPU use at `from`, in cores.
    pub baseline_cpu_cores: Option<f64>,
    /// Median CPU use at `to`, in cores.
    pub trial_cpu_cores: Option<f64>,
    /// Windows that the trial took, including those that did not count.
    pub windows: u64,
}

/// Tunes the live settings of one server.
#[derive(Debug)]
pub struct Tuner {
    knobs: Vec<Knob>,
    /// Two for each knob, in the order of the knobs: up and down.
    moves: Vec<Move>,
    /// Index of the move that is considered next.
    next: usize,
    baseline: Baseline,
    /// The running trial, with the index of its move.
    trial: Option<(usize, Trial)>,
    /// Windows observed so far. They are the tuner's clock.
    windows: u64,
    log: VecDeque<Decision>,
}

/// One direction of one knob, and how long it rests.
#[derive(Debug)]
struct Move {
    knob: usize,
    direction: Direction,
    /// The window from which on it may be tried again.
    ready_at: u64,
    /// How often it was undone since it last helped.
    undone: u32,
}

impl Tuner {
    /// A tuner of these knobs, which are set to their `value` now.
    ///
    /// A knob is never changed if its value lies outside its range or if one of its numbers is not finite. A knob takes whole
    /// numbers only, unless its value or an end of its range has a fraction.
    pub fn new(knobs: Vec<Knob>) -> Self {
        let moves = (0..knobs.len())
            .flat_map(|knob| [Direction::Up, Direction::Down].map(|direction| Move::new(knob, direction)))
            .collect();
        Self {
            knobs,
            moves,
            next: 0,
            baseline: Baseline::default(),
            trial: None,
            windows: 0,
            log: VecDeque::new(),
        }
    }

    /// Takes the window that has just ended, and returns what to change before the next one.
    pub fn observe(&mut self, observation: &Observation) -> Option<Change> {
        self.windows += 1;
        let Some((at, mut trial)) = self.trial.take() else {
            if observation.counts() {
                self.baseline.note(observation);
                return self.begin(observation);
            }
            return None;
        };
        let before = trial.value();
        let judgement = trial.observe(observation, &mut self.baseline);
        let (value, why) = if let Some(judgement) = judgement {
            self.end(at, &trial, judgement)
        } else {
            let outcome = (trial.value(), trial.purpose());
            self.trial = Some((at, trial));
            outcome
        };
        (value != before).then(|| self.change(at, value, why))
    }

    /// The latest decisions, the oldest first; at most 256.
    pub fn log(&self) -> impl Iterator<Item = &Decision> {
        self.log.iter()
    }

    /// Begins the next trial that is due, with the window that just ended as its first.
    fn begin(&mut self, first: &Observation) -> Option<Change> {
        if !self.baseline.is_known() || self.baseline.drifts() {
            return None;
        }
        let count = self.moves.len();
        let (at, from, to) = (self.next..self.next + count).find_map(|at| {
            let due = &self.moves[at % count];
            let knob = &self.knobs[due.knob];
            let to = (due.ready_at <= self.windows).then(|| knob.stepped(due.direction))??;
            Some((at % count, knob.value, to))
        })?;
        let trial = Trial::new(from, to, self.moves[at].undone, first);
        let change = self.change(at, trial.value(), trial.purpose());
        self.trial = Some((at, trial));
        Some(change)
    }

    /// Ends a trial. Returns the value that stays, and the reason.
    fn end(&mut self, at: usize, trial: &Trial, judgement: Judgement) -> (f64, String) {
        let Judgement { verdict, why } = judgement;
        let kept = verdict == Verdict::Better;
        let knob = &mut self.knobs[self.moves[at].knob];
        if kept {
            knob.value = trial.to;
            self.baseline = trial.candidate.iter().collect();
            self.moves[at].undone = 0;
            // The opposite direction would undo the gain, so it rests.
            self.moves[at ^ 1].back_off(self.windows);
            self.next = at;
        } else {
            match verdict {
                Verdict::Open => self.moves[at].ready_at = self.windows + FIRST_REST,
                Verdict::Better | Verdict::NoBetter => self.moves[at].back_off(self.windows),
            }
            self.next = (at + 1) % self.moves.len();
        }

        let middle = |windows: &[Observation], of: fn(&Observation) -> f64| {
            median(&windows.iter().map(of).collect::<Vec<_>>())
        };
        if self.log.len() == LOG_LIMIT {
            self.log.pop_front();
        }
        self.log.push_back(Decision {
            component: knob.component.clone(),
            name: knob.name.clone(),
            from: trial.from,
            to: trial.to,
            kept,
            why: why.clone(),
            baseline_p95_ms: middle(&trial.baseline, |window| window.p95_ms),
            trial_p95_ms: middle(&trial.candidate, |window| window.p95_ms),
            baseline_cpu_cores: middle(&trial.baseline, |window| window.cpu_cores),
            trial_cpu_cores: middle(&trial.candidate, |window| window.cpu_cores),
            windows: trial.windows,
        });
        (knob.value, why)
    }

    fn change(&self, at: usize, value: f64, why: String) -> Change {
        let knob = &self.knobs[self.moves[at].knob];
        Change { component: knob.component.clone(), name: knob.name.clone(), value, why }
    }
}

impl Move {
    fn new(knob: usize, direction: Direction) -> Self {
        Self { knob, direction, ready_at: 0, undone: 0 }
    }

    /// Lets the direction rest for a while, and twice as long the next time.
    fn back_off(&mut self, now: u64) {
        self.ready_at = now + (FIRST_REST << self.undone);
        self.undone = (self.undone + 1).min(MOST_DOUBLINGS);
    }
}

impl Observation {
    /// Whether the window has enough turns, and sound numbers, to judge latency.
    fn counts(&self) -> bool {
        let sound = |number: f64| number.is_finite() && number >= 0.0;
        self.turns >= FEWEST_TURNS
            && self.p95_ms > 0.0
            && [self.p95_ms, self.error_rate, self.cpu_cores, self.calls].into_iter().all(sound)
    }

    /// Whether the loads of both windows are close enough to compare them.
    fn is_comparable(&self, other: &Self) -> bool {
        (self.calls - other.calls).abs() <= LOAD_TOLERANCE * self.calls.max(other.calls)
    }
}
