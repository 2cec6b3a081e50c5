//! The plan of a load test: how many calls there are over time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::LoadError;

/// Time in seconds in which the first calls of a spike, and those that each step of a stress test adds, are begun: about that from
/// one question of a caller to its next, so that the load grows evenly.
const RAMP_S: f64 = 10.0;
/// Default for the 95th percentile of turn latency, in milliseconds, above which a level is broken.
const LIMIT_MS: f64 = 2_000.0;
/// Default for the share of failed turns and calls above which a level is broken.
const ERROR_LIMIT: f64 = 0.02;
/// Default length of a window in seconds.
const WINDOW_S: f64 = 5.0;
/// Most calls in a plan. No machine can hold as many connections open, so a greater number is a typing error.
const MAX_CALLS: usize = 50_000;
/// Most steps of a stress test.
const MAX_STEPS: usize = 1_000;

/// The kinds of load tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The same number of calls all the time.
    Sustained,
    /// Suddenly many more calls, then as many as before.
    Spike,
    /// More and more calls until the server breaks.
    Stress,
}

/// The kinds of phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// The number of calls changes.
    Ramp,
    /// The number of calls stays the same, and the server is judged.
    Level,
    /// The number of calls stays the same until the server keeps up again, or the phase is over.
    Recovery,
}

/// A part of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The kind of the phase.
    pub kind: PhaseKind,
    /// Calls at the beginning of the phase.
    pub from: usize,
    /// Calls at the end of the phase.
    pub to: usize,
    /// Length of the phase in seconds.
    pub duration_s: f64,
}

/// The numbers of calls over time, how often each of them speaks, and what counts as broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The kind of the test. A stress test skips the levels above the first broken one.
    pub kind: Kind,
    /// The phases, one after the other.
    pub phases: Vec<Phase>,
    /// Time in seconds from one question of a caller to its next. A caller that still waits for a reply then, or hears one, asks
    /// later.
    pub period_s: f64,
    /// A level is broken when the 95th percentile of its turns' latency exceeds this.
    pub limit_ms: f64,
    /// A level is broken when more than this share of its turns and calls failed.
    pub error_limit: f64,
    /// The share of replies that callers interrupt.
    pub interruptions: f64,
    /// Length in seconds of the windows for which figures are reported.
    pub window_s: f64,
    /// Seed of the choice which question is asked and which reply is interrupted.
    pub seed: u64,
}

impl Plan {
    /// `calls` callers, of whom each asks a question every `period_s` seconds, for `duration` once all are connected.
    pub fn sustained(calls: usize, period_s: f64, duration: Duration) -> Self {
        let phases = vec![ramp(0, calls, period_s), level(calls, duration)];
        Self::of(Kind::Sustained, phases, period_s)
    }

    /// `from` callers become `to` within `ramp_up`, stay for `hold`, and are `from` again at once. `hold` is also how long
    /// `from` callers are watched before, and at most how long they are watched afterwards. Each asks a question every
    /// `period_s` seconds.
    pub fn spike(from: usize, to: usize, ramp_up: Duration, hold: Duration, period_s: f64) -> Self {
        let phases = vec![
            ramp(0, from, RAMP_S),
            level(from, hold),
            ramp(from, to, ramp_up.as_secs_f64()),
            level(to, hold),
            recovery(from, hold),
        ];
        Self::of(Kind::Spike, phases, period_s)
    }

    /// `start` callers, then `step` more after each `step_duration` up to `max`. After the first broken level, or the last one,
    /// there are `start` callers until the server keeps up again, at most for three steps. Each asks a question every `period_s`
    /// seconds.
    pub fn stress(start: usize, step: usize, step_duration: Duration, max: usize, period_s: f64) -> Self {
        let mut phases = Vec::new();
        let mut before = 0;
        for calls in (start..=max).step_by(step.max(1)).take(MAX_STEPS) {
            phases.push(ramp(before, calls, RAMP_S));
            phases.push(level(calls, step_duration));
            before = calls;
        }
        phases.push(recovery(start, step_duration * 3));
        Self::of(Kind::Stress, phases, period_s)
    }

    fn of(kind: Kind, phases: Vec<Phase>, period_s: f64) -> Self {
        Self {
            kind,
            phases,
            period_s,
            limit_ms: LIMIT_MS,
            error_limit: ERROR_LIMIT,
            interruptions: 0.0,
            window_s: WINDOW_S,
            seed: 1,
        }
    }

    /// Fails when a number of the plan is out of range.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        let spans = [("period_s", self.period_s), ("limit_ms", self.limit_ms), ("window_s", self.window_s)];
        let shares = [("interruptions", self.interruptions), ("error_limit", self.error_limit)];
        for (name, value) in spans {
            if !(0.01..1e6).contains(&value) {
                return Err(LoadError::Plan(format!("{name} is {value}; give 0.01 to 1000000")));
            }
        }
        for (name, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(LoadError::Plan(format!("{name} is {value}; give a share of 0 to 1")));
            }
        }
        for (n, phase) in self.phases.iter().enumerate() {
            let n = n + 1;
            if !(0.0..1e6).contains(&phase.duration_s) {
                let message = format!("phase {n} lasts {} s; give 0 to 1000000", phase.duration_s);
                return Err(LoadError::Plan(message));
            }
            let calls = phase.from.max(phase.to);
            if calls > MAX_CALLS {
                return Err(LoadError::Plan(format!(
                    "phase {n} has {calls} calls; give {MAX_CALLS} at most"
                )));
            }
        }
        if self.phases.iter().all(|phase| phase.to == 0) {
            return Err(LoadError::Plan("it has no calls; give at least one".to_owned()));
        }
        Ok(())
    }
}

impl Phase {
    /// Length of the phase.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_s)
    }

    /// The number of calls at a time after the beginning of the phase.
    pub(super) fn calls_at(&self, elapsed: Duration) -> usize {
        let share = (elapsed.as_secs_f64() / self.duration_s.max(f64::MIN_POSITIVE)).min(1.0);
        (self.from as f64 + (self.to as f64 - self.from as f64) * share).round() as usize
    }
}

fn ramp(from: usize, to: usize, duration_s: f64) -> Phase {
    Phase { kind: PhaseKind::Ramp, from, to, duration_s }
}

fn level(calls: usize, duration: Duration) -> Phase {
    Phase { kind: PhaseKind::Level, from: calls, to: calls, duration_s: duration.as_secs_f64() }
}

fn recovery(calls: usize, duration: Duration) -> Phase {
    Phase { kind: PhaseKind::Recovery, ..level(calls, duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn shape(plan: &Plan) -> Vec<(PhaseKind, usize, usize, f64)> {
        plan.phases.iter().map(|p| (p.kind, p.from, p.to, p.duration_s)).collect()
    }

    #[test]
    fn a_sustained_load_begins_evenly_within_one_period() {
        let plan = Plan::sustained(100, 8.0, MINUTE);
        assert_eq!(plan.period_s, 8.0);
        assert_eq!(shape(&plan), [(PhaseKind::Ramp, 0, 100, 8.0), (PhaseKind::Level, 100, 100, 60.0)]);
    }

    #[test]
    fn a_spike_comes_and_goes() {
        let plan = Plan::spike(10, 200, Duration::from_secs(2), MINUTE, 8.0);
        let calls: Vec<_> = shape(&plan).iter().map(|p| (p.1, p.2)).collect();
        assert_eq!(calls, [(0, 10), (10, 10), (10, 200), (200, 200), (10, 10)]);
        let ramp = &plan.phases[2];
        let at = |s: f64| ramp.calls_at(Duration::from_secs_f64(s));
        assert_eq!((at(0.0), at(1.0), at(2.0), at(9.0)), (10, 105, 200, 200));
    }

    #[test]
    fn stress_climbs_in_steps_and_falls_back() {
        let plan = Plan::stress(50, 25, MINUTE, 110, 8.0);
        let levels: Vec<_> =
            plan.phases.iter().filter(|p| p.kind == PhaseKind::Level).map(|p| p.to).collect();
        assert_eq!(levels, [50, 75, 100]);
        let last = plan.phases.last().expect("phases");
        assert_eq!((last.kind, last.to), (PhaseKind::Recovery, 50));
        assert!(plan.check().is_ok());
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let base = Plan::sustained(10, 8.0, MINUTE);
        let cases = [
            (Plan::sustained(10, 0.0, MINUTE), "period_s"),
            (Plan::sustained(10, f64::NAN, MINUTE), "period_s"),
            (Plan { limit_ms: f64::NAN, ..base.clone() }, "limit_ms"),
            (Plan { interruptions: 2.0, ..base.clone() }, "interruptions"),
            (Plan { phases: Vec::new(), ..base.clone() }, "no calls"),
            (Plan { phases: vec![level(60_000, MINUTE)], ..base }, "60000 calls"),
        ];
        for (plan, word) in cases {
            let error = plan.check().expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
