//! Telling others how the server fares: alerts to a webhook, spans to a collector.

mod backoff;
mod traces;
mod tuning;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use antiphon_telemetry::{Alert, AlertState, TICK, Watcher};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use traces::Traces;
use tuning::Tuning;
pub(crate) use webhook::Webhook;

/// Alerts that wait to be told; more are only logged.
const MAX_ALERTS: usize = 64;

/// How long the last spans may take.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Who is told.
#[derive(Default)]
pub struct Reporting {
    /// Of alerts.
    pub webhook: Option<Webhook>,
    /// Of spans.
    pub spans: Option<Traces>,
    /// Whether settings that are safe while serving are tuned.
    pub tune: bool,
}

/// Measures, judges and tells; ends only by being dropped.
pub(crate) async fn run(reporting: &Reporting, watcher: Arc<Watcher>) {
    let mut tasks = JoinSet::new();
    let (alerts, told) = mpsc::channel(MAX_ALERTS);
    if let Some(webhook) = reporting.webhook.clone() {
        tasks.spawn(webhook.tell(told));
    }
    if let Some(traces) = reporting.spans.clone() {
        tasks.spawn(traces.export());
    }
    if watcher.store().is_some() {
        // A day is read: nobody is to wait for that.
        tasks.spawn(learn(Arc::clone(&watcher)));
    }
    let mut tuning = reporting.tune.then(|| Tuning::new(&watcher.monitor().components()));
    let mut tick = tokio::time::interval_at(Instant::now() + TICK, TICK);
    loop {
        tick.tick().await;
        let (period, alerts_now) = watcher.tick().await;
        if let Some(tuning) = &mut tuning {
            tuning.take(period, &watcher.monitor().components());
        }
        for alert in alerts_now {
            log(&alert);
            // Without a webhook, or when it is far behind, the log and the dashboard have it.
            let _ = alerts.try_send(alert);
        }
    }
}

/// Keeps and sends what is left: the server ends, and the calls are over.
pub(crate) async fn finish(reporting: &Reporting, watcher: &Watcher) {
    watcher.close().await;
    if let Some(traces) = &reporting.spans {
        // A collector that does not answer may not keep the server from ending.
        drop(tokio::time::timeout(LAST_SPANS, traces.finish()).await);
    }
}

async fn learn(watcher: Arc<Watcher>) {
    if let Err(error) = watcher.learn().await {
        tracing::warn!(%error, "what was measured before could not be read: baselines begin anew");
    }
}

fn log(alert: &Alert) {
    let Alert { rule, subject, message, value, threshold, unit, .. } = alert;
    let rule = rule.label();
    match alert.state {
        AlertState::Firing => tracing::warn!(rule, subject, value, threshold, unit, "alert: {message}"),
        AlertState::Resolved => tracing::info!(rule, subject, "alert over: {message}"),
    }
}
