//! Alerts: what has become worse than it was, or cannot go on like this.
//!
//! No clock and no I/O: [`Alerts::judge`] is given each period as it closes, and answers what began and what ended.
//! Nothing flaps: a condition must hold for a while before it fires, and be well on the other side for longer before
//! it is over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::measure::{Component, Snapshot};
use serde::{Deserialize, Serialize};

use crate::history::{Key, Period, Spans};
use crate::monitor::percentile_ms;

/// What is judged together: long enough for a percentile to mean something.
const WINDOW: Duration = Duration::from_mins(5);
/// Fewer spans have no percentile worth an alert, and no error rate.
const MIN_SPANS: u64 = 20;
/// A baseline is made of such stretches, so that one bad minute is a small part of it.
const STRETCH: Duration = Duration::from_mins(10);
/// Stretches a baseline is made of: a day.
const BASELINE: usize = 144;
/// Before that there is no baseline: an hour.
const MIN_BASELINE: usize = 6;
/// So many times its baseline is a percentile too long; and so much, because a doubled millisecond hurts nobody.
const SLOWER: f64 = 1.5;
const SLOWER_MS: f64 = 20.0;
/// From here on it is well again.
const SLOW_AGAIN: f64 = 1.2;
/// Share of failures that is too much, and that is well again.
const ERRORS: (f64, f64) = (0.05, 0.02);
/// Share of its limit to which a queue may grow, and where it is well again.
const QUEUE: (f64, f64) = (0.8, 0.5);
/// Changes of a breaker within the window that are too many, and that are well again.
const FLAPS: (f64, f64) = (4.0, 1.0);
/// A condition must hold this long before it fires.
const FIRES_AFTER: Duration = Duration::from_secs(30);
/// And be well this long before it is over.
const ENDS_AFTER: Duration = Duration::from_mins(5);
/// What has been slow for so long is how it is now: the baseline is made anew.
const NEW_NORMAL: Duration = Duration::from_hours(24);
/// Alerts kept, those that are over included.
const KEPT: usize = 200;

/// What kind of alert it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A 95th percentile against its own baseline.
    Latency,
    /// Too many failures.
    Errors,
    /// Something fills up.
    Queue,
    /// A breaker opens and closes.
    Breaker,
}

impl Rule {
    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Queue => "queue",
            Self::Breaker => "breaker",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Latency, Self::Errors, Self::Queue, Self::Breaker];
}

/// Whether it still is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It is.
    Firing,
    /// It is over.
    Resolved,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What kind.
    pub rule: Rule,
    /// Of what: component and stage or level.
    pub subject: String,
    /// Whether it still is so.
    pub state: AlertState,
    /// When it fired, in seconds since 1970.
    pub since: u64,
    /// When it was over.
    pub until: Option<u64>,
    /// Where it stood when this was written.
    pub value: f64,
    /// Where it should have stayed.
    pub threshold: f64,
    /// Of both.
    pub unit: String,
    /// For people.
    pub message: String,
}

/// Judges each period.
#[derive(Default)]
pub struct Alerts {
    recent: VecDeque<Period>,
    baselines: BTreeMap<Key, Baseline>,
    watches: BTreeMap<(Rule, Key), Watch>,
    /// The latest last.
    kept: VecDeque<Alert>,
}

/// The 95th percentiles of a stage when all was well, in milliseconds.
#[derive(Default)]
struct Baseline {
    stretches: VecDeque<f64>,
    present: Snapshot,
    length: Duration,
}

/// A condition over time.
#[derive(Default)]
struct Watch {
    bad_for: Duration,
    well_for: Duration,
    /// Since when it fires.
    since: Option<u64>,
}

/// What was found of one thing in one window.
struct Finding {
    rule: Rule,
    key: Key,
    value: f64,
    threshold: f64,
    /// It is over once the value is below this.
    well: f64,
    unit: &'static str,
    message: String,
}

impl Alerts {
    /// Learns what was normal from what was kept before, the oldest first.
    pub fn learn<'a>(&mut self, periods: impl IntoIterator<Item = &'a Period>) {
        for period in periods {
            self.learn_from(period);
        }
    }

    /// Takes the period that has just ended; `components` tell the limits of their levels. Gives what began to fire and
    /// what is over.
    pub fn judge(&mut self, period: &Period, components: &[Arc<dyn Component>]) -> Vec<Alert> {
        self.recent.push_back(period.clone());
        while self.recent.iter().skip(1).map(|p| p.length).sum::<Duration>() >= WINDOW {
            self.recent.pop_front();
        }
        let now = period.at + period.length.as_secs();
        let mut findings = self.slow_and_failing();
        findings.extend(filling(period, components));
        findings.extend(self.flapping());
        let mut changes = Vec::new();
        // What says nothing any more is well.
        for ((rule, key), watch) in &mut self.watches {
            let heard = findings.iter().any(|finding| finding.rule == *rule && finding.key == *key);
            if !heard && watch.quiet(period.length) {
                changes.extend(end(&mut self.kept, *rule, key, now, "nothing more is heard of it"));
            }
        }
        for finding in findings {
            let watch = self.watches.entry((finding.rule, finding.key.clone())).or_default();
            let bad = finding.value > finding.threshold;
            let well = finding.value < finding.well;
            let normal = watch.since.is_some_and(|since| now - since > NEW_NORMAL.as_secs());
            if normal && finding.rule == Rule::Latency {
                *watch = Watch::default();
                self.baselines.remove(&finding.key);
                changes.extend(end(
                    &mut self.kept,
                    finding.rule,
                    &finding.key,
                    now,
                    "it is taken as normal now",
                ));
            } else if watch.step(bad, well, period.length, now) {
                changes.push(match watch.since {
                    Some(_) => begin(&mut self.kept, &finding, now),
                    None => match end(&mut self.kept, finding.rule, &finding.key, now, &finding.message) {
                        Some(over) => over,
                        None => continue,
                    },
                });
            }
        }
        self.watches.retain(|_, watch| watch.since.is_some() || !watch.bad_for.is_zero());
        self.learn_from(period);
        changes
    }

    /// The latest alerts, the latest first, those that are over included.
    pub fn latest(&self) -> impl Iterator<Item = &Alert> {
        self.kept.iter().rev()
    }

    /// How many of a kind fire.
    pub fn firing(&self, rule: Rule) -> usize {
        self.watches.iter().filter(|((of, _), watch)| *of == rule && watch.since.is_some()).count()
    }

    /// A baseline learns only while its stage is not known to be slow.
    fn learn_from(&mut self, period: &Period) {
        for (key, Spans { spans, .. }) in &period.stages {
            let watch = self.watches.get(&(Rule::Latency, key.clone()));
            if watch.is_none_or(|watch| watch.since.is_none() && watch.bad_for.is_zero()) {
                self.baselines.entry(key.clone()).or_default().learn(spans, period.length);
            }
        }
    }

    fn slow_and_failing(&self) -> Vec<Finding> {
        let Some(whole) = Period::merged(&self.recent) else { return Vec::new() };
        let mut findings = Vec::new();
        for (key, Spans { spans, errors }) in whole.stages {
            // A failure may or may not have been timed.
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
            let Some(baseline) = self.baselines.get(&key).and_then(Baseline::p95_ms) else { continue };
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
                    well: (baseline * SLOW_AGAIN).max(baseline + SLOWER_MS / 2.0),
                    unit: "ms",
                    key,
                });
            }
        }
        findings
    }

    /// How often a level that is a breaker's state changed in the window.
    fn flapping(&self) -> Vec<Finding> {
        let mut changes: BTreeMap<&Key, (f64, f64)> = BTreeMap::new();
        for period in &self.recent {
            for (key, value) in period.levels.iter().filter(|(key, _)| key.name.starts_with("breaker")) {
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
}

impl Baseline {
    fn learn(&mut self, spans: &Snapshot, length: Duration) {
        self.present.merge(spans);
        self.length += length;
        if self.length >= STRETCH && self.present.count() >= MIN_SPANS {
            if self.stretches.len() == BASELINE {
                self.stretches.pop_front();
            }
            self.stretches.push_back(percentile_ms(&self.present, 0.95));
            self.present = Snapshot::default();
            self.length = Duration::ZERO;
        }
    }

    /// The middle of the stretches': one that was slow unnoticed does not move it.
    fn p95_ms(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.stretches.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        (sorted.len() >= MIN_BASELINE).then(|| sorted[sorted.len() / 2])
    }
}

impl Watch {
    /// True when it begins to fire or is over.
    fn step(&mut self, bad: bool, well: bool, length: Duration, now: u64) -> bool {
        self.bad_for = if bad { self.bad_for + length } else { Duration::ZERO };
        self.well_for = if well { self.well_for + length } else { Duration::ZERO };
        let fires = self.since.is_none() && self.bad_for >= FIRES_AFTER;
        let ends = self.since.is_some() && self.well_for >= ENDS_AFTER;
        if fires {
            self.since = Some(now);
            self.well_for = Duration::ZERO;
        }
        if ends {
            self.since = None;
        }
        fires || ends
    }

    /// Nothing was found: true when that ends it.
    fn quiet(&mut self, length: Duration) -> bool {
        let fired = self.since;
        self.step(false, true, length, 0);
        fired.is_some() && self.since.is_none()
    }
}

fn filling(period: &Period, components: &[Arc<dyn Component>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for component in components {
        for level in component.levels() {
            let Some(limit) = level.limit.filter(|limit| *limit > 0.0) else { continue };
            let key = Key::new(component.name(), level.name);
            // The CPU may be busy: that is what it is for.
            if key == Key::new("process", "cpu") {
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

fn begin(kept: &mut VecDeque<Alert>, finding: &Finding, now: u64) -> Alert {
    let alert = Alert {
        rule: finding.rule,
        subject: finding.key.to_string(),
        state: AlertState::Firing,
        since: now,
        until: None,
        value: finding.value,
        threshold: finding.threshold,
        unit: finding.unit.to_owned(),
        message: finding.message.clone(),
    };
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(alert.clone());
    alert
}

fn end(kept: &mut VecDeque<Alert>, rule: Rule, key: &Key, now: u64, message: &str) -> Option<Alert> {
    let subject = key.to_string();
    let firing = |alert: &&mut Alert| {
        alert.rule == rule && alert.subject == subject && alert.state == AlertState::Firing
    };
    let alert = kept.iter_mut().rev().find(firing)?;
    alert.state = AlertState::Resolved;
    alert.until = Some(now);
    message.clone_into(&mut alert.message);
    Some(alert.clone())
}

#[cfg(test)]
mod tests {
    use antiphon_core::measure::{Histogram, Level};

    use super::*;

    const TICK: u64 = 10;

    /// A server in virtual time.
    struct Server {
        alerts: Alerts,
        now: u64,
        changes: Vec<Alert>,
    }

    struct Queue;

    impl Component for Queue {
        fn name(&self) -> &'static str {
            "pool"
        }

        fn levels(&self) -> Vec<Level> {
            vec![Level { name: "waiting".into(), value: 0.0, limit: Some(100.0), unit: "jobs".into() }]
        }
    }

    impl Server {
        fn new() -> Self {
            Self { alerts: Alerts::default(), now: 1_000_000, changes: Vec::new() }
        }

        fn run(&mut self, minutes: u64, ms: impl Fn(u64) -> u64, errors: u64, levels: &[(Key, f64)]) {
            for tick in 0..minutes * 60 / TICK {
                let histogram = Histogram::default();
                (0..20).for_each(|n| histogram.record(Duration::from_millis(ms(tick) + n % 3)));
                let spans = Spans { spans: histogram.snapshot(), errors };
                let period = Period {
                    at: self.now,
                    length: Duration::from_secs(TICK),
                    stages: [(Key::new("stt", "run"), spans)].into(),
                    levels: levels.iter().cloned().collect(),
                };
                self.now += TICK;
                self.changes.extend(self.alerts.judge(&period, &[Arc::new(Queue)]));
            }
        }

        fn told(&mut self) -> Vec<(Rule, AlertState)> {
            self.changes.drain(..).map(|alert| (alert.rule, alert.state)).collect()
        }
    }

    #[test]
    fn a_stage_that_becomes_slower_than_it_was_fires_once_and_ends_once() {
        let mut server = Server::new();
        server.run(120, |_| 100, 0, &[]);
        assert_eq!(server.told(), [], "as ever");
        server.run(30, |_| 300, 0, &[]);
        let fired = server.changes[0].clone();
        assert_eq!(server.told(), [(Rule::Latency, AlertState::Firing)]);
        assert_eq!((fired.subject.as_str(), fired.unit.as_str()), ("stt run", "ms"));
        assert!((fired.threshold / 150.0 - 1.0).abs() < 0.05, "{fired:?}");
        assert!(fired.message.contains("baseline of 10"), "{}", fired.message);
        server.run(30, |_| 100, 0, &[]);
        assert_eq!(server.told(), [(Rule::Latency, AlertState::Resolved)]);
        let kept: Vec<&Alert> = server.alerts.latest().collect();
        assert!(kept.len() == 1 && kept[0].until.is_some_and(|until| until > kept[0].since));
    }

    #[test]
    fn what_goes_up_and_down_does_not_flap() {
        let mut server = Server::new();
        server.run(120, |_| 100, 0, &[]);
        // Twenty seconds in two minutes are bad.
        server.run(60, |tick| if tick % 12 < 2 { 105 } else { 100 }, 0, &[]);
        assert_eq!(server.told(), []);
        // Bad and well in turn, three minutes each: one alert, which goes on.
        server.run(60, |tick| if (tick / 18) % 2 == 0 { 400 } else { 100 }, 0, &[]);
        assert_eq!(server.told(), [(Rule::Latency, AlertState::Firing)]);
    }

    #[test]
    fn without_a_baseline_nothing_is_slow_and_a_new_normal_is_accepted_after_a_day() {
        let mut server = Server::new();
        server.run(30, |tick| if tick < 90 { 10 } else { 1_000 }, 0, &[]);
        assert_eq!(server.told(), []);
        let mut server = Server::new();
        server.run(120, |_| 100, 0, &[]);
        server.run(25 * 60, |_| 300, 0, &[]);
        assert_eq!(
            server.told(),
            [(Rule::Latency, AlertState::Firing), (Rule::Latency, AlertState::Resolved)]
        );
        server.run(120, |_| 300, 0, &[]);
        assert_eq!(server.told(), [], "300 ms is normal now");
    }

    #[test]
    fn failures_full_queues_and_flapping_breakers_fire() {
        let mut server = Server::new();
        server.run(10, |_| 10, 4, &[]);
        assert_eq!(server.told(), [(Rule::Errors, AlertState::Firing)]);
        assert_eq!(server.alerts.firing(Rule::Errors), 1);
        server.run(20, |_| 10, 0, &[]);
        assert_eq!(server.told(), [(Rule::Errors, AlertState::Resolved)]);
        let queue = Key::new("pool", "waiting");
        server.run(2, |_| 10, 0, &[(queue.clone(), 90.0)]);
        assert_eq!(server.told(), [(Rule::Queue, AlertState::Firing)]);
        server.run(10, |_| 10, 0, &[(queue, 10.0)]);
        assert_eq!(server.told(), [(Rule::Queue, AlertState::Resolved)]);
        let breaker = Key::new("llm", "breaker openai");
        for n in 0..30 {
            let before = server.now;
            let period = Period {
                at: before,
                length: Duration::from_secs(TICK),
                levels: [(breaker.clone(), f64::from(n % 2) * 2.0)].into(),
                ..Period::default()
            };
            server.now += TICK;
            server.changes.extend(server.alerts.judge(&period, &[]));
        }
        assert_eq!(server.told(), [(Rule::Breaker, AlertState::Firing)]);
        assert_eq!(server.alerts.firing(Rule::Breaker), 1);
    }

    #[test]
    fn what_is_learnt_from_history_counts() {
        let mut server = Server::new();
        let histogram = Histogram::default();
        (0..30).for_each(|_| histogram.record(Duration::from_millis(50)));
        let spans = Spans { spans: histogram.snapshot(), errors: 0 };
        let minute = Period {
            at: 0,
            length: Duration::from_mins(1),
            stages: [(Key::new("stt", "run"), spans)].into(),
            ..Period::default()
        };
        server.alerts.learn(std::iter::repeat_n(&minute, 100));
        server.run(2, |_| 200, 0, &[]);
        assert_eq!(server.told(), [(Rule::Latency, AlertState::Firing)]);
    }
}
