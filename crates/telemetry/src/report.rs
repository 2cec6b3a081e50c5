//! Reports for people and programs, made from periods.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use antiphon_core::measure::{Component, Counter, Level, Snapshot, Tunable};
use serde::{Deserialize, Serialize};

use crate::history::{Key, Period, Spans};
use crate::monitor::{millis, percentile_ms};

/// The measurements of components in a window of time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Length of the window in seconds; it ends now.
    pub window_s: f64,
    /// The components that were asked for.
    pub components: Vec<ComponentReport>,
}

/// The measurements of one component.
#[derive(Debug, Serialize, Deserialize)]
pub struct ComponentReport {
    /// The component's name, such as `vad` or `pool`.
    pub name: Cow<'static, str>,
    /// The steps that it times.
    pub stages: Vec<StageReport>,
    /// Its counters since the server started.
    pub counters: Vec<Counter>,
    /// What rises and falls in it, with the present values.
    pub levels: Vec<Level>,
    /// Its settings that can be tuned.
    pub tunables: Vec<Tunable>,
}

/// The spans of one stage in the window.
#[derive(Debug, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage's name within its component.
    pub name: Cow<'static, str>,
    /// How often it ran.
    pub count: u64,
    /// How often it failed.
    pub errors: u64,
    /// The median in milliseconds.
    pub p50_ms: f64,
    /// The 95th percentile in milliseconds.
    pub p95_ms: f64,
    /// The 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// The longest span in milliseconds.
    pub max_ms: f64,
    /// The mean in milliseconds.
    pub mean_ms: f64,
    /// The 95th percentile of each period of the window, the latest last; null where the stage did not run.
    pub p95_history_ms: Vec<Option<f64>>,
}

impl Report {
    /// A report of these components in these periods; only of the one called `component`, if that is given.
    pub fn new(components: &[Arc<dyn Component>], periods: &[Arc<Period>], component: Option<&str>) -> Self {
        let whole = Period::merged(periods.iter().map(Arc::as_ref)).unwrap_or_default();
        let nothing = Snapshot::default();
        let stage = |key: Key| {
            let found = whole.stages.get(&key);
            let (spans, errors) = found.map_or((&nothing, 0), |found| (&found.spans, found.errors));
            let history = periods.iter().map(|period| {
                let spans = &period.stages.get(&key)?.spans;
                (spans.count() > 0).then(|| percentile_ms(spans, 0.95))
            });
            StageReport {
                count: spans.count(),
                errors,
                p50_ms: percentile_ms(spans, 0.5),
                p95_ms: percentile_ms(spans, 0.95),
                p99_ms: percentile_ms(spans, 0.99),
                max_ms: millis(spans.max()),
                mean_ms: millis(spans.mean()),
                p95_history_ms: history.collect(),
                name: key.name,
            }
        };
        let wanted = components.iter().filter(|part| component.is_none_or(|name| name == part.name()));
        let report = |part: &Arc<dyn Component>| ComponentReport {
            name: part.name().into(),
            stages: part.stages().iter().map(|s| stage(Key::new(part.name(), s.name()))).collect(),
            counters: part.counters(),
            levels: part.levels(),
            tunables: part.tunables(),
        };
        Self { window_s: whole.length.as_secs_f64(), components: wanted.map(report).collect() }
    }
}

/// Stages and levels over time, for charts. All vectors are as long as `at`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Series {
    /// Mean distance between two points, in seconds.
    pub step_s: f64,
    /// Where each point begins, in seconds since 1970.
    pub at: Vec<u64>,
    /// The stages that ran at least once.
    pub stages: Vec<StageSeries>,
    /// The levels whose value is known in at least one of the points.
    pub levels: Vec<LevelSeries>,
}

/// A stage over time; null where it did not run.
#[derive(Debug, Serialize, Deserialize)]
pub struct StageSeries {
    /// The name of the component that has the stage.
    pub component: Cow<'static, str>,
    /// The stage's name within the component.
    pub stage: Cow<'static, str>,
    /// How often it ran.
    pub count: Vec<u64>,
    /// How often it failed.
    pub errors: Vec<u64>,
    /// The median of each point, in milliseconds.
    pub p50_ms: Vec<Option<f64>>,
    /// The 95th percentile of each point, in milliseconds.
    pub p95_ms: Vec<Option<f64>>,
    /// The 99th percentile of each point, in milliseconds.
    pub p99_ms: Vec<Option<f64>>,
}

/// A level over time; null where its value is not known.
#[derive(Debug, Serialize, Deserialize)]
pub struct LevelSeries {
    /// The name of the component that has the level.
    pub component: Cow<'static, str>,
    /// The level's name within the component.
    pub name: Cow<'static, str>,
    /// Its unit; empty when the component does not exist any more.
    pub unit: Cow<'static, str>,
    /// The mean of each point, in the level's unit.
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// Merges the periods to at most `points` points.
    pub fn new(components: &[Arc<dyn Component>], periods: &[Arc<Period>], points: usize) -> Self {
        let each = periods.len().div_ceil(points.max(1)).max(1);
        let merged: Vec<Period> =
            periods.chunks(each).filter_map(|some| Period::merged(some.iter().map(Arc::as_ref))).collect();
        let stages: BTreeSet<&Key> = merged.iter().flat_map(|period| period.stages.keys()).collect();
        let levels: BTreeSet<&Key> = merged.iter().flat_map(|period| period.levels.keys()).collect();
        let units: Vec<(Key, Cow<'static, str>)> = components
            .iter()
            .flat_map(|part| part.levels().into_iter().map(|l| (Key::new(part.name(), l.name), l.unit)))
            .collect();
        let span = merged.iter().map(|period| period.length.as_secs_f64()).sum::<f64>();
        Self {
            step_s: span / merged.len().max(1) as f64,
            at: merged.iter().map(|period| period.at).collect(),
            stages: stages.into_iter().map(|key| StageSeries::new(key, &merged)).collect(),
            levels: levels
                .into_iter()
                .map(|key| LevelSeries {
                    component: key.component.clone(),
                    name: key.name.clone(),
                    unit: units
                        .iter()
                        .find(|(of, _)| of == key)
                        .map(|(_, unit)| unit.clone())
                        .unwrap_or_default(),
                    values: merged.iter().map(|period| period.levels.get(key).copied()).collect(),
                })
                .collect(),
        }
    }
}

impl StageSeries {
    fn new(key: &Key, periods: &[Period]) -> Self {
        let spans: Vec<_> = periods.iter().map(|period| period.stages.get(key)).collect();
        let percentile = |share| {
            let of = |found: Option<&Spans>| {
                let spans = &found?.spans;
                (spans.count() > 0).then(|| percentile_ms(spans, share))
            };
            spans.iter().copied().map(of).collect()
        };
        Self {
            component: key.component.clone(),
            stage: key.name.clone(),
            count: spans.iter().map(|found| found.map_or(0, |found| found.spans.count())).collect(),
            errors: spans.iter().map(|found| found.map_or(0, |found| found.errors)).collect(),
            p50_ms: percentile(0.5),
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Monitor;
    use crate::testing::Part;

    fn six_periods() -> (Vec<Arc<dyn Component>>, Vec<Arc<Period>>) {
        let part = Arc::new(Part::new());
        let monitor = Monitor::new(vec![part.clone()]);
        for n in 1..=5 {
            part.0.record(Duration::from_millis(n * 10));
            monitor.tick();
        }
        (vec![part], monitor.periods(Duration::from_hours(1)))
    }

    #[test]
    fn a_report_covers_its_window() {
        let (components, periods) = six_periods();
        let report = Report::new(&components, &periods, Some("part"));
        let stage = &report.components[0].stages[0];
        assert_eq!(stage.count, 5);
        assert!((stage.max_ms - 50.0).abs() < 0.5, "{stage:?}");
        assert_eq!(stage.p95_history_ms.len(), 6);
        assert_eq!(stage.p95_history_ms[5], None, "nothing has happened since");
        let last = Report::new(&components, &periods[3..], None);
        assert_eq!(last.components[0].stages[0].count, 2);
        assert!(Report::new(&components, &periods, Some("other")).components.is_empty());
    }

    #[test]
    fn a_series_has_at_most_the_points_asked_for() {
        let (components, periods) = six_periods();
        let series = Series::new(&components, &periods, 3);
        assert_eq!(series.at.len(), 3);
        assert_eq!(series.stages[0].count, [2, 2, 1]);
        assert!(series.stages[0].p50_ms[0].is_some_and(|ms| (ms - 10.0).abs() < 0.2));
        assert_eq!(Series::new(&components, &[], 3).at.len(), 0);
    }
}
