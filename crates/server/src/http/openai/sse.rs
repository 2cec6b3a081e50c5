//! Server-sent events: JSON objects, one on each line.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderName;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Serialize;

use crate::http::error::ApiError;

/// Time between comments that keep the connection open. Proxies close connections that are silent for 30 to 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event. A value that cannot be written as JSON becomes an error event.
pub(super) fn event(value: &impl Serialize) -> Event {
    let text = serde_json::to_string(value).unwrap_or_else(|error| {
        let error = antiphon_core::Error::internal(format!("an event could not be written: {error}"));
        ApiError::from(error).body().to_string()
    });
    Event::default().data(text)
}

/// An error after the stream has begun. The status was already sent, so the error is an event, as with OpenAI.
pub(super) fn failure(error: antiphon_core::Error) -> Event {
    event(&ApiError::from(error).body())
}

/// A response with these events that tells proxies not to buffer it.
pub(super) fn response(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = futures_util::StreamExt::map(events, Ok::<_, Infallible>);
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}
