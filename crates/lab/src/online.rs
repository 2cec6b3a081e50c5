//! The online tuner: it adjusts live settings of a serving server, and undoes what hurts.
//!
//! One setting moves at a time, one step in one direction. Windows of the present value and of the trial
//! value take turns (A B B A A B B A ...), so that each pair of neighbours sees the same load and a steady
//! rise or fall of it cancels out. A step is kept when the pairs say so and undone else; a window that is
//! plainly bad ends the trial by itself. Directions that did not help are tried ever more rarely.
//!
//! The tuner has no clock and does nothing by itself: [`observe`](Tuner::observe) it a window, some 30 s of
//! serving, and apply the change it answers with before the next one begins.

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

/// Windows with fewer turns do not count: their 95th percentile is the slowest turn alone.
const FEWEST_TURNS: u64 = 20;
/// Loads of two windows that differ by a greater share of the heavier one cannot be compared.
const LOAD_TOLERANCE: f64 = 1.0 / 3.0;
/// Windows that a direction rests after it was first undone: 20 minutes of 30 s.
const FIRST_REST: u64 = 40;
/// The rest doubles this often: to about a day, so that no setting is given up for good.
const MOST_DOUBLINGS: u32 = 6;
/// Decisions that are remembered.
const LOG_LIMIT: usize = 256;

/// A live tunable of the server: [`antiphon_core::measure::Tunable`] with `live` set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Knob {
    /// The component it belongs to.
    pub component: String,
    /// Its name within the component.
    pub name: String,
    /// Its present value.
    pub value: f64,
    /// The least value it may take.
    pub min: f64,
    /// The greatest value it may take.
    pub max: f64,
}

/// What happened in the last window.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Observation {
    /// Turns answered.
    pub turns: u64,
    /// The 95th percentile of the turns' latency, in ms.
    pub p95_ms: f64,
    /// The share of turns that failed, 0 to 1.
    pub error_rate: f64,
    /// Mean CPU use, in cores. It decides nothing, but decisions tell it.
    pub cpu_cores: f64,
    /// Mean number of calls held: the load.
    pub calls: f64,
}

/// A value to set at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The component of the knob.
    pub component: String,
    /// The knob's name.
    pub name: String,
    /// The value to set, within the knob's range.
    pub value: f64,
    /// The reason, for a log.
    pub why: String,
}

/// The end of a trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// The component of the knob.
    pub component: String,
    /// The knob's name.
    pub name: String,
    /// The value before the trial.
    pub from: f64,
    /// The value on trial.
    pub to: f64,
    /// Whether the trial value stays; else it was undone.
    pub kept: bool,
    /// The reason.
    pub why: String,
    /// Median over the trial's windows at `from` of their p95, in ms.
    pub baseline_p95_ms: Option<f64>,
    /// Median over the trial's windows at `to` of their p95, in ms.
    pub trial_p95_ms: Option<f64>,
    /// Median CPU use at `from`, in cores.
    pub baseline_cpu_cores: Option<f64>,
    /// Median CPU use at `to`, in cores.
    pub trial_cpu_cores: Option<f64>,
    /// Windows that the trial took, those that did not count included.
    pub windows: u64,
}

/// Tunes the live settings of one server.
#[derive(Debug)]
pub struct Tuner {
    knobs: Vec<Knob>,
    /// Two for each knob, in its order: up and down.
    moves: Vec<Move>,
    /// The move that is considered first.
    next: usize,
    baseline: Baseline,
    trial: Option<(usize, Trial)>,
    /// Windows observed so far: the tuner's time.
    windows: u64,
    log: VecDeque<Decision>,
}

/// One direction of one knob, and how long it is left alone.
#[derive(Debug)]
struct Move {
    knob: usize,
    direction: Direction,
    ready_at: u64,
    /// How often it was undone since it last helped.
    undone: u32,
}

impl Tuner {
    /// A tuner of these knobs, which have the values they say.
    ///
    /// A knob stays as it is when its value lies outside its range or one of its numbers is not finite. A
    /// knob takes whole numbers unless its value or an end of its range has a fraction.
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

    /// Takes note of the window that just ended, and tells what to change before the next one.
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

    /// The latest decisions, oldest first; at most 256.
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

    /// Draws the consequences of a trial; the value that stays, and why.
    fn end(&mut self, at: usize, trial: &Trial, judgement: Judgement) -> (f64, String) {
        let Judgement { verdict, why } = judgement;
        let kept = verdict == Verdict::Better;
        let knob = &mut self.knobs[self.moves[at].knob];
        if kept {
            knob.value = trial.to;
            self.baseline = trial.candidate.iter().collect();
            self.moves[at].undone = 0;
            // What made it better makes it worse when taken back.
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

    /// Leaves the direction alone for a while, and for twice as long the next time.
    fn back_off(&mut self, now: u64) {
        self.ready_at = now + (FIRST_REST << self.undone);
        self.undone = (self.undone + 1).min(MOST_DOUBLINGS);
    }
}

impl Observation {
    /// Whether the window says anything about latency.
    fn counts(&self) -> bool {
        let sound = |number: f64| number.is_finite() && number >= 0.0;
        self.turns >= FEWEST_TURNS
            && self.p95_ms > 0.0
            && [self.p95_ms, self.error_rate, self.cpu_cores, self.calls].into_iter().all(sound)
    }

    /// Whether both windows had about the same load.
    fn is_comparable(&self, other: &Self) -> bool {
        (self.calls - other.calls).abs() <= LOAD_TOLERANCE * self.calls.max(other.calls)
    }
}
