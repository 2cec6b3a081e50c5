//! Tunes settings while the server runs: applies what the tuner wants to try, and restores what it wants to undo.

use std::sync::Arc;

use antiphon_core::measure::Component;
use antiphon_lab::online::{Change, Knob, Observation, Tuner};
use antiphon_telemetry::{Key, Period};

/// Periods in one window of the tuner, which are 30 s.
const PERIODS: usize = 3;

/// The tuner of one server.
pub(super) struct Tuning {
    tuner: Tuner,
    window: Vec<Arc<Period>>,
}

impl Tuning {
    /// Tunes everything that may be changed during calls.
    pub(super) fn new(components: &[Arc<dyn Component>]) -> Self {
        let knobs = components.iter().flat_map(|component| {
            let name = component.name();
            component.tunables().into_iter().filter(|tunable| tunable.live).map(move |tunable| Knob {
                component: name.to_owned(),
                name: tunable.name.into_owned(),
                value: tunable.value,
                min: tunable.min,
                max: tunable.max,
            })
        });
        Self { tuner: Tuner::new(knobs.collect()), window: Vec::new() }
    }

    /// Takes in a period that has just ended, and changes settings accordingly.
    pub(super) fn take(&mut self, period: Arc<Period>, components: &[Arc<dyn Component>]) {
        self.window.push(period);
        if self.window.len() < PERIODS {
            return;
        }
        let window = std::mem::take(&mut self.window);
        let Some(window) = Period::merged(window.iter().map(Arc::as_ref)) else { return };
        if let Some(change) = self.tuner.observe(&observation(&window)) {
            set(components, &change);
        }
    }
}

fn observation(window: &Period) -> Observation {
    let level = |component, name| window.levels.get(&Key::new(component, name)).copied().unwrap_or_default();
    let total = window.stages.get(&Key::new("pipeline", "total")).cloned().unwrap_or_default();
    let turns = total.spans.count();
    Observation {
        turns,
        p95_ms: total.spans.percentile(0.95).as_secs_f64() * 1_000.0,
        error_rate: total.errors as f64 / turns.max(total.errors).max(1) as f64,
        cpu_cores: level("process", "cpu"),
        calls: level("calls", "active"),
    }
}

fn set(components: &[Arc<dyn Component>], change: &Change) {
    let Change { component, name, value, why } = change;
    let set = components.iter().any(|one| one.name() == component && one.set(name, *value));
    if set {
        tracing::info!(component, name, value, why, "tuned");
    } else {
        tracing::error!(component, name, value, "a tunable that is declared as live cannot be set");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use antiphon_core::measure::{Histogram, Tunable};
    use antiphon_telemetry::Spans;

    use super::*;

    /// A component that becomes slower as its batch grows.
    struct Batcher(AtomicU64);

    impl Component for Batcher {
        fn name(&self) -> &'static str {
            "batcher"
        }

        fn tunables(&self) -> Vec<Tunable> {
            vec![
                Tunable::new(
                    "max_batch",
                    "x.max_batch",
                    self.0.load(Ordering::Relaxed) as f64,
                    1.0..=64.0,
                    "jobs",
                )
                .live(),
            ]
        }

        fn set(&self, _: &str, value: f64) -> bool {
            self.0.store(value as u64, Ordering::Relaxed);
            true
        }
    }

    #[test]
    fn what_hurts_is_undone_at_once_and_what_helps_is_found() {
        let batcher = Arc::new(Batcher(AtomicU64::new(16)));
        let components: Vec<Arc<dyn Component>> = vec![batcher.clone()];
        let knob = Knob {
            component: "batcher".to_owned(),
            name: "max_batch".to_owned(),
            value: 16.0,
            min: 1.0,
            max: 64.0,
        };
        let mut tuning = Tuning { tuner: Tuner::new(vec![knob]), window: Vec::new() };
        let mut worst_run = 0;
        let mut above = 0;
        for n in 0..3_000_u64 {
            let batch = batcher.0.load(Ordering::Relaxed);
            above = if batch > 16 { above + 1 } else { 0 };
            worst_run = worst_run.max(above);
            let histogram = Histogram::default();
            for turn in 0..30 {
                histogram.record(Duration::from_millis(100 + batch * 20 + (n * 7 + turn * 13) % 11));
            }
            let spans = Spans { spans: histogram.snapshot(), errors: 0 };
            let period = Period {
                at: n * 10,
                length: Duration::from_secs(10),
                stages: [(Key::new("pipeline", "total"), spans)].into(),
                levels: [(Key::new("calls", "active"), 20.0)].into(),
            };
            tuning.take(Arc::new(period), &components);
        }
        assert!(worst_run <= 2 * PERIODS, "a bad change lasted {worst_run} periods");
        assert!(batcher.0.load(Ordering::Relaxed) <= 3, "{}", batcher.0.load(Ordering::Relaxed));
        assert!(tuning.tuner.log().any(|decision| decision.kept));
    }
}
