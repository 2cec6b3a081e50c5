//! Server-sent events: JSON objects, one a line.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderName;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Serialize;

use crate::http::error::ApiError;

/// Proxies close connections that are silent for 30 to 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event. What cannot be written as JSON becomes an error event.
pub(super) fn event(value: &impl Serialize) -> Event {
    let text = serde_json::to_string(value).unwrap_or_else(|error| {
        let error = antiphon_core::Error::internal(format!("an event could not be written: {error}"));
        ApiError::from(error).body().to_string()
    });
    Event::default().data(text)
}

/// An error after the stream began: the status is sent already, so it comes as an event, as from OpenAI.
pub(super) fn failure(error: antiphon_core::Error) -> Event {
    event(&ApiError::from(error).body())
}

/// The events as a response that proxies do not hold back.
pub(super) fn response(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = futures_util::StreamExt::map(events, Ok::<_, Infallible>);
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}
