//! Measurements, period by period.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use antiphon_core::measure::Snapshot;

/// Names a stage or a level together with its component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The name of the component that measures it.
    pub component: Cow<'static, str>,
    /// The name of the stage or level within the component.
    pub name: Cow<'static, str>,
}

impl Key {
    /// The key of a stage or level of a component.
    pub fn new(component: impl Into<Cow<'static, str>>, name: impl Into<Cow<'static, str>>) -> Self {
        Self { component: component.into(), name: name.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.component, self.name)
    }
}

/// The spans and failures of a stage in a period.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spans {
    /// How long each run of the stage took.
    pub spans: Snapshot,
    /// How often it failed.
    pub errors: u64,
}

impl Spans {
    fn merge(&mut self, other: &Self) {
        self.spans.merge(&other.spans);
        self.errors += other.errors;
    }
}

/// What was measured in a stretch of time. Stages that did not run in it are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Period {
    /// When it began, in seconds since 1970.
    pub at: u64,
    /// How long it lasted.
    pub length: Duration,
    /// The stages that ran.
    pub stages: BTreeMap<Key, Spans>,
    /// The levels, averaged over the period.
    pub levels: BTreeMap<Key, f64>,
}

impl Period {
    /// Merges several periods to one that begins with the first; `None` if there are none.
    pub fn merged<'a>(periods: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut periods = periods.into_iter();
        let mut merged = periods.next()?.clone();
        let mut weights: BTreeMap<Key, f64> =
            merged.levels.keys().map(|key| (key.clone(), merged.length.as_secs_f64())).collect();
        for period in periods {
            for (key, spans) in &period.stages {
                merged.stages.entry(key.clone()).or_default().merge(spans);
            }
            let length = period.length.as_secs_f64();
            for (key, value) in &period.levels {
                let weight = weights.entry(key.clone()).or_default();
                let mean = merged.levels.entry(key.clone()).or_default();
                *weight += length;
                if *weight > 0.0 {
                    *mean += (value - *mean) * length / *weight;
                }
            }
            merged.length += period.length;
        }
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::measure::Histogram;

    use super::*;

    fn period(at: u64, seconds: u64, level: f64, span_ms: u64) -> Period {
        let histogram = Histogram::default();
        histogram.record(Duration::from_millis(span_ms));
        let spans = Spans { spans: histogram.snapshot(), errors: 1 };
        Period {
            at,
            length: Duration::from_secs(seconds),
            stages: [(Key::new("stt", "run"), spans)].into(),
            levels: [(Key::new("process", "cpu"), level)].into(),
        }
    }

    #[test]
    fn merged_periods_add_spans_and_average_levels_by_their_length() {
        let merged = Period::merged([&period(100, 10, 1.0, 20), &period(110, 30, 2.0, 40)]).expect("some");
        assert_eq!((merged.at, merged.length), (100, Duration::from_secs(40)));
        let spans = &merged.stages[&Key::new("stt", "run")];
        assert_eq!((spans.spans.count(), spans.errors), (2, 2));
        assert!((merged.levels[&Key::new("process", "cpu")] - 1.75).abs() < 1e-9);
        assert_eq!(Period::merged([]), None);
    }
}
