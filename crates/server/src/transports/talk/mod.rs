//! The talk page: a page in the browser and the WebSocket it speaks over. See docs/talk-protocol.md.

mod transport;
mod wire;

use std::sync::Arc;

use antiphon_core::call::SessionConfig;
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{caller, hold, person};
use serde::Deserialize;

use crate::app::App;
use crate::http::error::{ApiError, Problem};
use transport::TalkTransport;

/// Half a minute of audio in one message is more than any page sends.
const MAX_MESSAGE: usize = 1 << 20;

/// The page's WebSocket.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/talk/ws", get(talk)).route("/talk/ready", get(ready))
}

/// Answers whether a call would be admitted now.
async fn ready(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Err(refused) = app.http.auth.check(&headers) {
        return Problem::from(refused).into_response();
    }
    match app.calls.admit(transport::NAME) {
        Ok(_) => StatusCode::OK.into_response(),
        Err(busy) => Problem::from(busy).into_response(),
    }
}

/// What the page tells about its visitor.
#[derive(Deserialize)]
struct Visitor {
    /// Who they are, if they want to be remembered.
    person: Option<String>,
}

async fn talk(
    State(app): State<Arc<App>>,
    Query(visitor): Query<Visitor>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !same_origin(&headers) {
        let message = "the talk page may be used only from the server that it came from";
        return Problem(ApiError::new(StatusCode::FORBIDDEN, message.to_owned())).into_response();
    }
    if let Err(refused) = app.http.auth.check(&headers) {
        return Problem::from(refused).into_response();
    }
    let guard = match app.calls.admit(transport::NAME) {
        Ok(guard) => guard,
        Err(busy) => return Problem::from(busy).into_response(),
    };
    let caller = caller(&headers);
    let upgrade = upgrade.protocols(["realtime"]).max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    upgrade.on_upgrade(async move |socket| {
        let transport = TalkTransport::new(socket);
        let config =
            SessionConfig { person: visitor.person.as_deref().and_then(person), ..app.session_config() };
        hold(&app, guard, caller, config, transport).await;
    })
}

/// Browsers name the page that opens a socket: another site must not talk through a visitor's browser.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return true };
    let origin: Option<Uri> = origin.parse().ok();
    origin.and_then(|origin| origin.authority().map(ToString::to_string)).as_deref() == text(header::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_may_not_open_the_socket() {
        let headers = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:7700".parse().expect("valid"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("valid"));
            }
            headers
        };
        assert!(same_origin(&headers(None)), "no browser");
        assert!(same_origin(&headers(Some("http://localhost:7700"))));
        for other in ["http://evil.example", "http://localhost:8000", "null"] {
            assert!(!same_origin(&headers(Some(other))), "{other}");
        }
    }
}
