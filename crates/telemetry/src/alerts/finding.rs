//! What the last window shows of each stage and level, and the thresholds for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use antiphon_core::measure::Component;

use super::baseline::Baseline;
use super::{MIN_SPANS, Rule};
use crate::history::{Key, Period, Spans};
use crate::monitor::percentile_ms;

/// A stage is slow when its 95th percentile exceeds this many times its baseline.
const SLOWER: f64 = 1.5;
/// It must also exceed the baseline by this many milliseconds, because a doubled millisecond hurts nobody.
const SLOWER_MS: f64 = 20.0;
/// A slow stage counts as recovered below this many times its baseline.
const WELL_AGAIN: f64 = 1.2;
/// Share of failed requests at which an alert fires, and share below which the stage counts as recovered.
const ERRORS: (f64, f64) = (0.05, 0.02);
/// Share of its limit at which a level's alert fires, and share below which the level counts as recovered.
const QUEUE: (f64, f64) = (0.8, 0.5);
/// State changes of a breaker within the window at which an alert fires, and number below which the breaker counts
/// as recovered.
const FLAPS: (f64, f64) = (4.0, 1.0);

/// What one window shows of one stage or level.
pub(super) struct Finding {
    pub(super) rule: Rule,
    pub(super) key: Key,
    pub(super) value: f64,
    pub(super) threshold: f64,
    /// An alert is resolved once the value stays below this.
    pub(super) well: f64,
    pub(super) unit: &'static str,
    pub(super) message: String,
}

/// The error rate of every stage, and its 95th percentile if it has a baseline.
pub(super) fn slow_and_failing(
    recent: &VecDeque<Period>,
    baselines: &BTreeMap<Key, Baseline>,
) -> Vec<Finding> {
    let Some(whole) = Period::merged(recent) else { return Vec::new() };
    let mut findings = Vec::new();
    for (key, Spans { spans, errors }) in whole.stages {
        // Some components time a failed request, others do not: the larger count is the number of requests.
        let all = spans.count().max(errors);
        if all >= MIN_SPANS {
            let share = errors as f64 / all as f64;
            findings.push(Finding {
                rule: Rule::Errors,
                message: format!("{key}: {errors} of {all} failed in the last minutes"),
                value: share,
                threshold: ERRORS.0,
                well: ERRORS.1,
                unit: "share",
                key: key.clone(),
            });
        }
        let Some(baseline) = baselines.get(&key).and_then(Baseline::p95_ms) else { continue };
        if spans.count() >= MIN_SPANS {
            let value = percentile_ms(&spans, 0.95);
            findings.push(Finding {
                rule: Rule::Latency,
                message: format!(
                    "{key}: p95 is {value:.0} ms, {:.1} times its baseline of {baseline:.0} ms",
                    value / baseline.max(0.001)
                ),
                value,
                threshold: (baseline * SLOWER).max(baseline + SLOWER_MS),
                well: (baseline * WELL_AGAIN).max(baseline + SLOWER_MS / 2.0),
                unit: "ms",
                key,
            });
        }
    }
    findings
}

/// Whether a level may reach its limit without anything being wrong: the CPU, the places at an engine, the threads of
/// a pool.
fn may_be_full(key: &Key) -> bool {
    let (component, name) = (key.component.as_ref(), key.name.as_ref());
    (component, name) == ("process", "cpu")
        || (component == "placement" && name.ends_with("busy"))
        || (component == "scheduler" && name.ends_with("in flight"))
}

/// How often each breaker changed its state in the window.
pub(super) fn flapping(recent: &VecDeque<Period>) -> Vec<Finding> {
    let mut changes: BTreeMap<&Key, (f64, f64)> = BTreeMap::new();
    for period in recent {
        for (key, value) in period.levels.iter().filter(|(key, _)| key.component == "breaker") {
            let (count, before) = changes.entry(key).or_insert((0.0, *value));
            *count += f64::from(u8::from(*before != *value));
            *before = *value;
        }
    }
    let finding = |(key, (count, _)): (&Key, (f64, f64))| Finding {
        rule: Rule::Breaker,
        message: format!("{key}: changed {count} times in the last minutes"),
        value: count,
        threshold: FLAPS.0,
        well: FLAPS.1,
        unit: "changes",
        key: key.clone(),
    };
    changes.into_iter().map(finding).collect()
}

/// How full every level with a limit is.
pub(super) fn filling(period: &Period, components: &[Arc<dyn Component>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for component in components {
        for level in component.levels() {
            let Some(limit) = level.limit.filter(|limit| *limit > 0.0) else { continue };
            let key = Key::new(component.name(), level.name);
            if may_be_full(&key) {
                continue;
            }
            let Some(value) = period.levels.get(&key) else { continue };
            findings.push(Finding {
                rule: Rule::Queue,
                message: format!("{key}: {value:.0} of {limit:.0} {}", level.unit),
                value: value / limit,
                threshold: QUEUE.0,
                well: QUEUE.1,
                unit: "share",
                key,
            });
        }
    }
    findings
}
