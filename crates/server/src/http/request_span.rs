//! The span of a REST request: its place in a trace, which engines are told, and what a collector gets when the answer has ended.

use std::sync::Arc;

use antiphon_core::trace::TraceContext;
use antiphon_telemetry::{OpenRequest, SpanRecorder};
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use super::held_body::holding;
use super::layers::known_method;
use crate::app::App;

/// Gives the request a place in its client's trace or in a new one, as an extension ([`TraceContext`]), and records its span.
pub(super) async fn trace(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(TraceContext::HEADER);
    let parent = given.and_then(|given| given.to_str().ok()?.trim().parse::<TraceContext>().ok());
    let own = antiphon_agent::ids::new_span(parent);
    request.extensions_mut().insert(own);
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    let open = OpenRequest::begin(own, parent, known_method(request.method()), route);
    let recorder = app.reporting.spans.as_ref().map(|traces| Arc::clone(&traces.recorder));
    let response = next.run(request).await;
    match recorder {
        Some(recorder) => {
            let status = response.status();
            holding(response, Recorded { open, status, recorder })
        }
        None => response,
    }
}

/// A span that is recorded when it is dropped.
struct Recorded {
    open: OpenRequest,
    status: StatusCode,
    recorder: Arc<SpanRecorder>,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.recorder.request_answered(&self.open, self.status.as_u16());
    }
}
