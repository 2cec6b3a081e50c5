//! Reports the state of the server to others: alerts to a webhook, spans to a collector.

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

/// Most alerts that wait to be sent. Further ones are only logged.
const MAX_ALERTS: usize = 64;

/// How long sending the last spans may take when the server stops.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// The receivers of alerts and spans.
#[derive(Default)]
pub struct Reporting {
    /// Where alerts are posted; `None` if they are only written to the log.
    pub webhook: Option<Webhook>,
    /// Where the spans of calls are sent; `None` if nobody collects them.
    pub spans: Option<Traces>,
    /// Whether settings that are safe to change during calls are tuned automatically.
    pub tune: bool,
}

/// Measures, judges and reports. It ends only by being dropped.
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
        // This reads a day of measurements, so nothing waits for it.
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
            // Without a webhook, or when it is far behind, the alert is still in the log and on the dashboard.
            let _ = alerts.try_send(alert);
        }
    }
}

/// Stores and sends what is left when the server stops, after the last call.
pub(crate) async fn finish(reporting: &Reporting, watcher: &Watcher) {
    watcher.close().await;
    if let Some(traces) = &reporting.spans {
        // A collector that does not answer must not keep the server from stopping.
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
