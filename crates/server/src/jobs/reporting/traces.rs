//! Sends spans to an OpenTelemetry collector: OTLP over HTTP, in protobuf.

use std::sync::Arc;
use std::time::Duration;

use antiphon_telemetry::SpanRecorder;
use bytes::Bytes;
use reqwest::Url;

use super::backoff;

/// How often spans are sent.
const EVERY: Duration = Duration::from_secs(2);
/// Most spans in one request, which is about 200 KiB.
const BATCH: usize = 512;
const ATTEMPTS: u32 = 5;

/// The destination of spans.
#[derive(Clone)]
pub struct Traces {
    /// Makes the spans from the events of calls.
    pub recorder: Arc<SpanRecorder>,
    /// The collector's address, including the path `/v1/traces`.
    pub url: Url,
    /// The key, if the collector requires one.
    pub bearer: Option<String>,
}

impl Traces {
    pub(super) async fn export(self) {
        let client = match backoff::client() {
            Ok(client) => client,
            Err(error) => return tracing::error!(%error, "spans cannot be exported"),
        };
        let mut failing = false;
        loop {
            tokio::time::sleep(EVERY).await;
            while let Some(request) = self.recorder.take_request(BATCH) {
                match self.send(&client, request, ATTEMPTS).await {
                    Ok(()) => failing = false,
                    // One message is enough: a collector that is down for hours must not fill the log.
                    Err(_) if failing => {}
                    Err(problem) => {
                        tracing::warn!(problem, "spans were lost: the collector does not accept them");
                        failing = true;
                    }
                }
            }
        }
    }

    /// Sends what is left when the server stops, with one attempt for each request.
    pub(super) async fn finish(&self) {
        let Ok(client) = backoff::client() else { return };
        while let Some(request) = self.recorder.take_request(BATCH) {
            if let Err(problem) = self.send(&client, request, 1).await {
                return tracing::warn!(
                    problem,
                    "the last spans were lost: the collector does not accept them"
                );
            }
        }
    }

    async fn send(&self, client: &reqwest::Client, request: Vec<u8>, attempts: u32) -> Result<(), String> {
        // Copies of the request share these bytes.
        let request = Bytes::from(request);
        let sent = backoff::post(attempts, || {
            let post = client.post(self.url.clone()).header("content-type", "application/x-protobuf");
            let post = match &self.bearer {
                Some(bearer) => post.bearer_auth(bearer),
                None => post,
            };
            post.body(request.clone())
        });
        sent.await
    }
}
