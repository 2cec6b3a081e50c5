//! The measurements of all components over the last hour, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon_core::lock;
use antiphon_core::measure::{Component, Snapshot};

use crate::clock::unix_time;
use crate::history::{Key, Period, Spans};
use crate::timing;

/// Length of a period.
pub const TICK: Duration = Duration::from_secs(10);
/// How many periods are kept: those of one hour.
const KEPT: usize = 360;

/// All components of one server, and what was measured of them.
pub struct Monitor {
    components: Vec<Arc<dyn Component>>,
    state: Mutex<MonitorState>,
}

struct MonitorState {
    /// When the current period began.
    began: Instant,
    /// When the current period began, in seconds since 1970.
    began_at: u64,
    /// What each stage had counted when the current period began.
    before: BTreeMap<Key, Spans>,
    /// The closed periods, the latest last.
    periods: VecDeque<Arc<Period>>,
}

impl Monitor {
    /// Watches these components, and those that [`crate::timing`] creates.
    pub fn new(components: Vec<Arc<dyn Component>>) -> Self {
        let state = MonitorState {
            began: Instant::now(),
            began_at: unix_time().as_secs(),
            before: BTreeMap::new(),
            periods: VecDeque::with_capacity(KEPT),
        };
        let monitor = Self { components, state: Mutex::new(state) };
        let before = monitor.counted();
        lock(&monitor.state).before = before;
        monitor
    }

    /// Closes the current period and returns it. Call it every [`TICK`].
    pub fn tick(&self) -> Arc<Period> {
        let (counted, levels) = (self.counted(), self.levels());
        let mut state = lock(&self.state);
        let period = Arc::new(state.present(&counted, levels));
        state.began = Instant::now();
        state.began_at = unix_time().as_secs();
        state.before = counted;
        if state.periods.len() == KEPT {
            state.periods.pop_front();
        }
        state.periods.push_back(Arc::clone(&period));
        period
    }

    /// The periods of the last `window`, and at the end the current one, which is not closed yet.
    pub fn periods(&self, window: Duration) -> Vec<Arc<Period>> {
        let (counted, levels) = (self.counted(), self.levels());
        let state = lock(&self.state);
        let wanted = (window.as_secs() / TICK.as_secs()) as usize;
        let skipped = state.periods.len().saturating_sub(wanted);
        let mut periods: Vec<Arc<Period>> = state.periods.iter().skip(skipped).cloned().collect();
        periods.push(Arc::new(state.present(&counted, levels)));
        periods
    }

    /// All components: those that were passed to [`Monitor::new`], and those that [`crate::timing`] has created since.
    pub fn components(&self) -> Vec<Arc<dyn Component>> {
        self.components.iter().cloned().chain(timing::components()).collect()
    }

    /// The names of all components.
    pub fn names(&self) -> Vec<&'static str> {
        self.components().iter().map(|component| component.name()).collect()
    }

    /// What every stage has counted since the server started.
    fn counted(&self) -> BTreeMap<Key, Spans> {
        let mut counted = BTreeMap::new();
        for component in self.components() {
            for stage in component.stages() {
                let spans = Spans { spans: stage.spans().snapshot(), errors: stage.errors() };
                counted.insert(Key::new(component.name(), stage.name()), spans);
            }
        }
        counted
    }

    /// The present value of every level.
    fn levels(&self) -> BTreeMap<Key, f64> {
        let mut levels = BTreeMap::new();
        for component in self.components() {
            for level in component.levels() {
                levels.insert(Key::new(component.name(), level.name), level.value);
            }
        }
        levels
    }
}

impl MonitorState {
    /// The period since the last tick, which is not closed yet.
    fn present(&self, counted: &BTreeMap<Key, Spans>, levels: BTreeMap<Key, f64>) -> Period {
        let nothing = Spans::default();
        let stages = counted.iter().filter_map(|(key, now)| {
            let before = self.before.get(key).unwrap_or(&nothing);
            let spans = Spans {
                spans: now.spans.since(&before.spans),
                errors: now.errors.saturating_sub(before.errors),
            };
            (spans.spans.count() > 0 || spans.errors > 0).then(|| (key.clone(), spans))
        });
        Period { at: self.began_at, length: self.began.elapsed(), stages: stages.collect(), levels }
    }
}

/// A percentile of a snapshot in milliseconds, to the microsecond.
pub(crate) fn percentile_ms(spans: &Snapshot, share: f64) -> f64 {
    millis(spans.percentile(share))
}

/// A span in milliseconds, to the microsecond.
pub(crate) fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Part;
    use crate::timing::timing;

    fn monitor() -> (Arc<Part>, Monitor) {
        let part = Arc::new(Part::new());
        (part.clone(), Monitor::new(vec![part]))
    }

    #[test]
    fn a_period_holds_what_happened_in_it() {
        let (part, monitor) = monitor();
        let key = Key::new("part", "step");
        part.0.record(Duration::from_millis(10));
        assert_eq!(monitor.tick().stages[&key].spans.count(), 1);
        part.0.record(Duration::from_millis(20));
        part.0.fail();
        let period = monitor.tick();
        let spans = &period.stages[&key];
        assert_eq!((spans.spans.count(), spans.errors), (1, 1));
        assert!((spans.spans.max().as_secs_f64() - 0.020).abs() < 0.0002);
        assert_eq!(period.levels[&Key::new("part", "queue")], 3.0);
        assert!(monitor.tick().stages.is_empty(), "nothing happened");
        part.0.record(Duration::from_millis(5));
        let periods = monitor.periods(Duration::from_hours(1));
        assert_eq!(periods.len(), 4);
        assert_eq!(periods[3].stages[&key].spans.count(), 1, "the present one counts too");
    }

    #[test]
    fn history_is_bounded() {
        let (_, monitor) = monitor();
        for _ in 0..KEPT + 10 {
            monitor.tick();
        }
        assert_eq!(monitor.periods(Duration::from_hours(2)).len(), KEPT + 1);
        assert_eq!(monitor.periods(Duration::from_secs(20)).len(), 3);
    }

    #[test]
    fn what_is_measured_in_one_line_appears_by_itself() {
        let (_, monitor) = monitor();
        drop(timing("of the library", "step"));
        timing("of the library", "step").end(false);
        let period = monitor.tick();
        let spans: Vec<&Spans> = period
            .stages
            .iter()
            .filter(|(key, _)| key.component == "of the library")
            .map(|(_, s)| s)
            .collect();
        assert_eq!(spans.iter().map(|spans| spans.spans.count()).sum::<u64>(), 2);
        assert_eq!(spans.iter().map(|spans| spans.errors).sum::<u64>(), 1);
        assert!(monitor.names().contains(&"of the library"));
    }
}
