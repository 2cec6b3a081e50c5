//! Alerts: what has become worse than it was, or cannot go on like this.
//!
//! No clock and no I/O: [`Alerts::judge`] is given each period as it closes, and answers what began and what ended.
//! Nothing flaps: a condition must hold for a while before it fires, and be well on the other side for longer before
//! it is over.

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

/// What is judged together: long enough for a percentile to mean something.
const WINDOW: Duration = Duration::from_mins(5);
/// Fewer spans have no percentile worth an alert, and no error rate.
const MIN_SPANS: u64 = 20;
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
        let mut findings = finding::slow_and_failing(&self.recent, &self.baselines);
        findings.extend(finding::filling(period, components));
        findings.extend(finding::flapping(&self.recent));
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
