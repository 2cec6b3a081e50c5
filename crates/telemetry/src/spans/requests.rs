//! Spans of requests over HTTP, named after OpenTelemetry's semantic conventions for HTTP.

use antiphon_core::lock;
use antiphon_core::trace::TraceContext;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, status};

use super::{SpanRecorder, number, span, text, unix_nanos};

/// A request that is being answered.
pub struct OpenRequest {
    trace: TraceContext,
    parent: Option<TraceContext>,
    method: &'static str,
    route: String,
    /// When it came, in nanoseconds since 1970.
    began: u64,
}

impl OpenRequest {
    /// A request that comes now. `trace` is its own span, `parent` that of the client.
    pub fn begin(
        trace: TraceContext,
        parent: Option<TraceContext>,
        method: &'static str,
        route: &str,
    ) -> Self {
        Self { trace, parent, method, route: route.to_owned(), began: unix_nanos() }
    }
}

impl SpanRecorder {
    /// The request was answered to its end, or its client has gone. Requests of traces that nobody keeps leave no span.
    pub fn request_answered(&self, request: &OpenRequest, http_status: u16) {
        if !request.trace.sampled {
            return;
        }
        let name = format!("{} {}", request.method, request.route);
        let (own, parent) = (request.trace, request.parent.unwrap_or(request.trace));
        let parent_span_id =
            request.parent.map(|parent| parent.span_id.get().to_be_bytes().to_vec()).unwrap_or_default();
        let attributes = vec![
            text("http.request.method", request.method),
            text("http.route", &request.route),
            number("http.response.status_code", i64::from(http_status)),
        ];
        let mut made = Span {
            kind: span::SpanKind::Server.into(),
            parent_span_id,
            attributes,
            ..span(&name, own, parent, request.began, unix_nanos())
        };
        if http_status >= 500 {
            made.status = Some(Status { code: status::StatusCode::Error.into(), message: String::new() });
        }
        lock(&self.state).push(vec![made]);
    }
}
