//! The steps in which a knob is changed.

use super::Knob;

/// Smallest step of a knob with fractions, as a share of its range, so that it can get away from zero.
const LEAST_SHARE: f64 = 0.01;

/// The direction of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    /// Towards the knob's greatest value.
    Up,
    /// Towards the knob's least value.
    Down,
}

impl Knob {
    /// The next value in a direction, a factor of 1.5 away. `None` at the end of the range,
    /// or when the knob's numbers are not usable.
    pub(super) fn stepped(&self, direction: Direction) -> Option<f64> {
        let &Self { value, min, max, .. } = self;
        if !(min.is_finite() && max.is_finite() && min <= value && value <= max) {
            return None;
        }
        let away_from_zero = (direction == Direction::Up) == (value >= 0.0);
        let size = if away_from_zero { value.abs() / 2.0 } else { value.abs() / 3.0 };
        let whole = [value, min, max].into_iter().all(|number| number.fract() == 0.0);
        let size = if whole { size.round().max(1.0) } else { size.max(LEAST_SHARE * (max - min)) };
        let stepped = match direction {
            Direction::Up => value + size,
            Direction::Down => value - size,
        };
        let stepped = stepped.clamp(min, max);
        (stepped != value).then_some(stepped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(value: f64, min: f64, max: f64, direction: Direction) -> Vec<f64> {
        let mut knob = Knob { component: "stt".into(), name: "threads".into(), value, min, max };
        std::iter::from_fn(|| {
            knob.value = knob.stepped(direction)?;
            Some(knob.value)
        })
        .take(8)
        .collect()
    }

    #[test]
    fn whole_knobs_stay_whole() {
        assert_eq!(walk(1.0, 0.0, 16.0, Direction::Up), [2.0, 3.0, 5.0, 8.0, 12.0, 16.0]);
        assert_eq!(walk(16.0, 0.0, 16.0, Direction::Down), [11.0, 7.0, 5.0, 3.0, 2.0, 1.0, 0.0]);
    }

    #[test]
    fn fractions_step_by_the_same_factor() {
        assert_eq!(walk(0.5, 0.0, 1.0, Direction::Up), [0.75, 1.0]);
        assert_eq!(walk(2.25, 0.5, 9.0, Direction::Down)[..2], [1.5, 1.0]);
        assert_eq!(walk(0.0, 0.0, 12.5, Direction::Up)[0], 0.125);
    }

    #[test]
    fn values_below_zero_step_towards_and_away_from_it() {
        assert_eq!(walk(-9.0, -20.0, 2.0, Direction::Up), [-6.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0]);
        assert_eq!(walk(-9.0, -20.0, 2.0, Direction::Down), [-14.0, -20.0]);
    }

    #[test]
    fn knobs_that_make_no_sense_do_not_move() {
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        for (value, min, max) in [
            (nan, 0.0, 1.0),
            (1.0, nan, 2.0),
            (1.0, 0.0, infinite),
            (5.0, 0.0, 1.0),
            (1.0, 2.0, 0.0),
            (1.0, 1.0, 1.0),
        ] {
            assert!(walk(value, min, max, Direction::Up).is_empty(), "{value} in {min} to {max}");
            assert!(walk(value, min, max, Direction::Down).is_empty(), "{value} in {min} to {max}");
        }
        assert!(walk(f64::MAX, -f64::MAX, f64::MAX, Direction::Up).is_empty());
        assert_eq!(walk(0.5, -f64::MAX, f64::MAX, Direction::Up), [f64::MAX]);
    }
}
