//! Limits how many REST requests are answered at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{Error, ErrorKind};
use antiphon_desk::Busy;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::http::error::ApiError;

/// What `Retry-After` tells refused clients. Requests take seconds, so there will be room soon.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Refuses requests beyond the limit. A request counts until the last byte of its response is sent or its client
/// has gone.
pub(super) async fn admit(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if app.desk.calls.draining() {
        return Err(Busy::Draining.into());
    }
    let permit = Arc::clone(&app.requests).try_acquire_owned().map_err(|_| {
        let max = app.http.max_requests;
        let message =
            format!("{max} requests are being answered already, which is the limit; try again soon");
        Error::new(ErrorKind::RateLimited, message).with_retry_after(RETRY_AFTER)
    })?;
    let response = next.run(request).await;
    Ok(response.map(|body| Body::new(Held { body, _permit: permit })))
}

/// A response body that holds its request's place.
struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
