//! Alerts: stages that became slower than usual, errors, full queues and breakers that open and close.
//!
//! There is no clock and no I/O: [`Alerts::judge`] takes each period as it closes and returns the alerts that began
//! and ended. To keep alerts from flapping, a condition must hold for a while before it fires, and must be well below
//! its threshold for longer before it is resolved.

mod baseline;
mod finding;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::measure::Component;
use serde::{Deserialize, Serialize};

use self::baseline::Baseline;
use self::finding::Finding;
use self::watch::Watch;
use crate::history::{Key, Period, Spans};

/// Time over which periods are judged together: long enough for a percentile to mean something.
const WINDOW: Duration = Duration::from_mins(5);
/// With fewer spans than this, neither a percentile nor an error rate is worth an alert.
const MIN_SPANS: u64 = 20;
/// A stage that has been slow for this long is taken as normal, and its baseline starts again.
const NEW_NORMAL: Duration = Duration::from_hours(24);
/// Most alerts that are kept, including resolved ones.
const KEPT: usize = 200;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The 95th percentile of a stage exceeds its baseline.
    Latency,
    /// Too many requests of a stage fail.
    Errors,
    /// A level comes near its limit.
    Queue,
    /// A breaker opens and closes again and again.
    Breaker,
}

impl Rule {
    /// The rule's label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Queue => "queue",
            Self::Breaker => "breaker",
        }
    }

    /// All rules, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Latency, Self::Errors, Self::Queue, Self::Breaker];
}

/// Whether an alert's condition still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The alert's condition holds.
    Firing,
    /// The condition has ended.
    Resolved,
}

/// An alert, as shown and sent to the webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is about.
    pub rule: Rule,
    /// The component, and its stage or level.
    pub subject: String,
    /// Whether the condition still holds.
    pub state: AlertState,
    /// When it fired, in seconds since 1970.
    pub since: u64,
    /// When it was resolved, in seconds since 1970.
    pub until: Option<u64>,
    /// The measured value when the alert was written.
    pub value: f64,
    /// The value that it exceeded.
    pub threshold: f64,
    /// The unit of `value` and `threshold`.
    pub unit: String,
    /// One sentence for people.
    pub message: String,
}

/// Judges each period, and remembers what fires.
#[derive(Default)]
pub struct Alerts {
    /// The periods of the last [`WINDOW`].
    recent: VecDeque<Period>,
    baselines: BTreeMap<Key, Baseline>,
    watches: BTreeMap<(Rule, Key), Watch>,
    /// The alerts so far, the latest last.
    kept: VecDeque<Alert>,
}

impl Alerts {
    /// Builds the baselines from periods that were kept earlier, the oldest first.
    pub fn learn<'a>(&mut self, periods: impl IntoIterator<Item = &'a Period>) {
        for period in periods {
            self.learn_from(period);
        }
    }

    /// Judges the period that has just ended; `components` know the limits of their levels. Returns the alerts that
    /// began to fire and those that were resolved.
    pub fn judge(&mut self, period: &Period, components: &[Arc<dyn Component>]) -> Vec<Alert> {
        self.recent.push_back(period.clone());
        while self.recent.iter().skip(1).map(|p| p.length).sum::<Duration>() >= WINDOW {
            self.recent.pop_front();
        }
        let now = period.at + period.length.as_secs();
        let mut findings = finding::slow_and_failing(&self.recent, &self.baselines);
        findings.extend(finding::filling(period, components));
        findings.extend(finding::flapping(&self.recent));
        let mut changes = Vec::new();
        // A subject for which there is no finding any more counts as well.
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

    /// The alerts that are kept, the latest first, including resolved ones.
    pub fn latest(&self) -> impl Iterator<Item = &Alert> {
        self.kept.iter().rev()
    }

    /// How many alerts of a rule fire now.
    pub fn firing(&self, rule: Rule) -> usize {
        self.watches.iter().filter(|((of, _), watch)| *of == rule && watch.since.is_some()).count()
    }

    /// Adds a period to the baselines of all stages that are not slow at the moment.
    fn learn_from(&mut self, period: &Period) {
        for (key, Spans { spans, .. }) in &period.stages {
            let watch = self.watches.get(&(Rule::Latency, key.clone()));
            if watch.is_none_or(|watch| watch.since.is_none() && watch.bad_for.is_zero()) {
                self.baselines.entry(key.clone()).or_default().learn(spans, period.length);
            }
        }
    }
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
