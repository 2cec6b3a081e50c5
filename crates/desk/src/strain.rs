//! Strain: whether this machine keeps up with the calls it has.
//!
//! A limit on calls is a guess about calls and machines that nobody has seen yet. What happens now is none: a task that is woken every
//! [`FRAME`] sees how late it is, and as late are the frames of every call, which then wait for voice activity detection; and
//! requests of live turns that wait long for an engine show that the engine has no room. Either refuses newcomers, so that those
//! who are in keep their latency. Gaps in the audio that callers hear are no third sign: those that this machine causes are seen as
//! late frames or waiting requests before, and those of a vendor do not go away when callers are refused.

use std::time::Duration;

/// The audio that telephones send at a time, and how often lateness is measured.
pub const FRAME: Duration = Duration::from_millis(20);
/// For how long a measurement counts: its weight falls to a third in this time.
const MEMORY: Duration = Duration::from_secs(1);
/// With frames so late on average newcomers are refused. A turn passes through about ten tasks from the last frame of speech to the first
/// one of the reply, so it is a tenth of a second later then.
const OVERLOADED: Duration = Duration::from_millis(7);
/// With frames so late on average newcomers are admitted one after another, because it shows only after some seconds what they cost.
const TENSE: Duration = Duration::from_millis(3);
/// The most that one measurement counts. A machine that pauses once, such as a laptop that was closed, is not overloaded.
const LATEST: Duration = Duration::from_millis(60);
/// Newcomers are refused while a request of a live turn has waited so long for an engine. Somebody waits in silence all this time.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// How hard the machine works for its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strain {
    /// There is room for any call.
    #[default]
    Calm,
    /// There is room for one call after another.
    Tense,
    /// Engines have no room for another call.
    EnginesFull,
    /// Frames of calls are late.
    Late,
}

/// Finds the strain from measurements.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// The mean lateness.
    mean: Duration,
    strain: Strain,
}

impl Gauge {
    /// A frame was so `late`, and the request of a live turn that waits longest for an engine has waited for `waits`.
    pub(crate) fn measured(&mut self, late: Duration, waits: Duration) -> Strain {
        let late = late.min(LATEST);
        let old = (-(FRAME + late).as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.mean = self.mean.mul_f64(old) + late.mul_f64(1.0 - old);
        // What has been refused once is admitted again when it is clearly better, and not at each small change.
        let was_late = self.strain == Strain::Late && self.mean > OVERLOADED / 2;
        self.strain = if self.mean > OVERLOADED || was_late {
            Strain::Late
        } else if waits > LONG_WAIT {
            Strain::EnginesFull
        } else if self.mean > TENSE {
            Strain::Tense
        } else {
            Strain::Calm
        };
        self.strain
    }

    /// How late frames are on average.
    pub(crate) fn mean(&self) -> Duration {
        self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gauge: &mut Gauge, frames: usize, late_ms: u64) -> Strain {
        let mut measured = || gauge.measured(Duration::from_millis(late_ms), Duration::ZERO);
        (0..frames).map(|_| measured()).last().unwrap_or_default()
    }

    #[test]
    fn frames_that_are_late_refuse_newcomers_until_it_is_clearly_better() {
        let mut gauge = Gauge::default();
        assert_eq!(after(&mut gauge, 500, 2), Strain::Calm);
        assert_eq!(after(&mut gauge, 500, 5), Strain::Tense);
        assert_eq!(after(&mut gauge, 500, 20), Strain::Late);
        assert_eq!(after(&mut gauge, 500, 5), Strain::Late, "hardly better");
        assert_eq!(after(&mut gauge, 500, 0), Strain::Calm);
    }

    #[test]
    fn one_pause_is_no_overload_and_many_are() {
        let mut gauge = Gauge::default();
        assert!(gauge.measured(Duration::from_mins(1), Duration::ZERO) < Strain::Late);
        assert_eq!(after(&mut gauge, 3, 1_000), Strain::Late);
    }

    #[test]
    fn a_live_turn_that_waits_long_refuses_newcomers() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.measured(Duration::ZERO, LONG_WAIT), Strain::Calm);
        assert_eq!(gauge.measured(Duration::ZERO, LONG_WAIT * 2), Strain::EnginesFull);
        assert_eq!(gauge.measured(Duration::ZERO, Duration::ZERO), Strain::Calm);
    }
}
