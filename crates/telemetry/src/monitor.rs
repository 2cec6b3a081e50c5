//! What every component times and counts, over the last minutes.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use antiphon_core::measure::{Component, Counter, Snapshot, Tunable};
use serde::{Deserialize, Serialize};

/// How often the state is kept. Percentiles of a window are made of whole such spans.
pub const TICK: Duration = Duration::from_secs(10);
/// States kept: one hour has 360 ticks between them.
const KEPT: usize = 361;

/// All components of one server, and what they were like.
pub struct Monitor {
    components: Vec<Arc<dyn Component>>,
    history: Mutex<History>,
}

/// States by tick, the latest last, never empty: of each stage what it had counted by then. Any two give the window
/// between them.
type History = VecDeque<(Instant, Vec<Snapshot>)>;

/// A report for people and machines.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// What the report covers: the last so many seconds.
    pub window_s: f64,
    /// Those asked for.
    pub components: Vec<ComponentReport>,
}

/// A component.
#[derive(Debug, Serialize, Deserialize)]
pub struct ComponentReport {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it times.
    pub stages: Vec<StageReport>,
    /// What it counts, since the server began.
    pub counters: Vec<Counter>,
    /// What of it can be set.
    pub tunables: Vec<Tunable>,
}

/// A stage.
#[derive(Debug, Serialize, Deserialize)]
pub struct StageReport {
    /// Its name.
    pub name: Cow<'static, str>,
    /// How often.
    pub count: u64,
    /// Failures since the server began.
    pub errors: u64,
    /// The middle one.
    pub p50_ms: f64,
    /// 19 of 20 were no longer.
    pub p95_ms: f64,
    /// 99 of 100 were no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// On average.
    pub mean_ms: f64,
    /// The 95th percentile of each tick of the window, the latest last; null where nothing happened.
    pub p95_history_ms: Vec<Option<f64>>,
}

impl Monitor {
    /// Watches these components.
    pub fn new(components: Vec<Arc<dyn Component>>) -> Self {
        let monitor = Self { components, history: Mutex::default() };
        monitor.tick();
        monitor
    }

    /// Keeps the present state. To be called every [`TICK`].
    pub fn tick(&self) {
        let state = self.state();
        let mut history = self.history();
        if history.len() == KEPT {
            history.pop_front();
        }
        history.push_back((Instant::now(), state));
    }

    /// What happened in the last `window`, or in all that is kept; of one component, or of all.
    pub fn report(&self, window: Option<Duration>, component: Option<&str>) -> Report {
        let history = self.history();
        let last = history.len() - 1;
        let wanted = window.map_or(last, |window| (window.as_secs() / TICK.as_secs()) as usize);
        let from = last - wanted.min(last);
        let (since, before) = &history[from];
        let now = self.state();
        let mut place = 0;
        let mut reports = Vec::new();
        for part in &self.components {
            let stages = part.stages();
            let first = place;
            place += stages.len();
            if component.is_some_and(|wanted| wanted != part.name()) {
                continue;
            }
            let stages = stages.iter().enumerate().map(|(n, stage)| {
                let at = first + n;
                let spans = now[at].since(&before[at]);
                let p95 = |tick: usize| {
                    let spans = history[tick].1[at].since(&history[tick - 1].1[at]);
                    (spans.count() > 0).then(|| millis(spans.percentile(0.95)))
                };
                StageReport {
                    name: stage.name().into(),
                    count: spans.count(),
                    errors: stage.errors(),
                    p50_ms: millis(spans.percentile(0.5)),
                    p95_ms: millis(spans.percentile(0.95)),
                    p99_ms: millis(spans.percentile(0.99)),
                    max_ms: millis(spans.max()),
                    mean_ms: millis(spans.sum()) / spans.count().max(1) as f64,
                    p95_history_ms: (from + 1..=last).map(p95).collect(),
                }
            });
            reports.push(ComponentReport {
                name: part.name().into(),
                stages: stages.collect(),
                counters: part.counters(),
                tunables: part.tunables(),
            });
        }
        Report { window_s: since.elapsed().as_secs_f64(), components: reports }
    }

    /// The components' names.
    pub fn names(&self) -> Vec<&'static str> {
        self.components.iter().map(|component| component.name()).collect()
    }

    fn state(&self) -> Vec<Snapshot> {
        let stages = self.components.iter().flat_map(|component| component.stages());
        stages.map(|stage| stage.spans().snapshot()).collect()
    }

    /// Nothing panics while it holds this lock.
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use antiphon_core::measure::Stage;

    use super::*;

    struct Part(Stage);

    impl Component for Part {
        fn name(&self) -> &'static str {
            "part"
        }

        fn stages(&self) -> Vec<&Stage> {
            vec![&self.0]
        }
    }

    #[test]
    fn a_window_shows_what_happened_in_it() {
        let part = Arc::new(Part(Stage::new("step")));
        let monitor = Monitor::new(vec![part.clone()]);
        let stage = |window: Option<u64>| {
            let report = monitor.report(window.map(Duration::from_secs), Some("part"));
            report
                .components
                .into_iter()
                .next()
                .and_then(|part| part.stages.into_iter().next())
                .expect("a stage")
        };
        for n in 1..=5 {
            part.0.record(Duration::from_millis(n * 10));
            monitor.tick();
        }
        let all = stage(None);
        assert_eq!((all.count, all.max_ms), (5, 50.0));
        assert_eq!(all.p95_history_ms.len(), 5);
        let last = stage(Some(20));
        assert_eq!(last.count, 2, "the last two ticks");
        assert!(last.p50_ms >= 40.0 && last.p50_ms < 41.5, "{last:?}");
        assert_eq!(last.p95_history_ms.len(), 2);
        monitor.tick();
        assert_eq!(stage(Some(10)).p95_history_ms, [None], "nothing happened");
        assert!(monitor.report(None, Some("other")).components.is_empty());
    }

    #[test]
    fn history_is_bounded() {
        let part = Arc::new(Part(Stage::new("step")));
        let monitor = Monitor::new(vec![part.clone()]);
        part.0.record(Duration::from_secs(1));
        for _ in 0..KEPT + 10 {
            monitor.tick();
        }
        assert_eq!(monitor.report(None, None).components[0].stages[0].p95_history_ms.len(), KEPT - 1);
        let hour = monitor.report(Some(Duration::from_hours(1)), None);
        assert_eq!(hour.components[0].stages[0].p95_history_ms.len(), 360, "a whole hour is there");
        assert_eq!(hour.components[0].stages[0].count, 0, "what was before is not");
    }
}
