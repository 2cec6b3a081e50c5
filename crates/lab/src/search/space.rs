//! The space that is searched: knobs, their values, and the points that they span.

use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};

/// Distance between two texts, in steps of a number. The optima of the tests are found as well with 2.
const OTHER_TEXT: f64 = 3.0;

/// A value that a setting can have.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number, whose neighbours are the nearest other numbers.
    Number(f64),
    /// Any other value, by its name.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// A setting and the values it may take.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Knob {
    /// Name of the setting.
    pub name: String,
    /// Its values. Numbers are in order, because near ones are assumed to act alike.
    pub values: Vec<Value>,
}

/// One choice of settings: for each knob, the index of its value.
pub type Point = Vec<usize>;

/// All choices of settings.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Space {
    /// The settings to choose, each with the values it can have.
    pub knobs: Vec<Knob>,
}

impl Space {
    /// The number of points; [`usize::MAX`] when there are more.
    pub fn size(&self) -> usize {
        self.knobs.iter().fold(1, |size, knob| size.saturating_mul(knob.values.len()))
    }

    /// All points; the last knob changes fastest.
    pub fn all(&self) -> impl Iterator<Item = Point> + '_ {
        (0..self.size()).map(|number| {
            let mut rest = number;
            let mut point: Point = self
                .knobs
                .iter()
                .rev()
                .map(|knob| {
                    let index = rest % knob.values.len();
                    rest /= knob.values.len();
                    index
                })
                .collect();
            point.reverse();
            point
        })
    }

    /// A random point, each as likely as any other; `None` when a knob has no values.
    pub fn random(&self, rng: &mut impl Rng) -> Option<Point> {
        self.knobs
            .iter()
            .map(|knob| (!knob.values.is_empty()).then(|| rng.random_range(0..knob.values.len())))
            .collect()
    }

    /// The points that differ from `point` in one knob.
    pub(super) fn changes(&self, point: &Point) -> Vec<Point> {
        let mut changes = Vec::new();
        for (knob, of) in self.knobs.iter().enumerate() {
            for index in (0..of.values.len()).filter(|&index| index != point[knob]) {
                let mut change = point.clone();
                change[knob] = index;
                changes.push(change);
            }
        }
        changes
    }

    /// The changes of `point` by one step: to the next greater or smaller number, or to any other text.
    pub(super) fn steps(&self, point: &Point) -> Vec<Point> {
        let mut changes = self.changes(point);
        changes.retain(|change| {
            self.knobs.iter().zip(change).zip(point).all(|((knob, &to), &from)| {
                to.abs_diff(from) <= 1 || matches!(knob.values[to], Value::Text(_))
            })
        });
        changes
    }

    /// How differently two points are expected to act, in steps of a number. See [`OTHER_TEXT`].
    pub(super) fn distance(&self, a: &Point, b: &Point) -> f64 {
        let distances = self.knobs.iter().zip(a).zip(b).map(|((knob, &a), &b)| match knob.values[a] {
            Value::Number(_) => a.abs_diff(b) as f64,
            Value::Text(_) => {
                if a == b {
                    0.0
                } else {
                    OTHER_TEXT
                }
            }
        });
        distances.sum()
    }
}
