//! The talk page: a page in the browser and the WebSocket it speaks over. See docs/talk-protocol.md.

mod transport;
mod wire;

use std::sync::Arc;

use antiphon_core::Caller;
use antiphon_desk::{Connected, Entrant};
use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use serde::Deserialize;

use super::{caller, person};
use crate::app::App;
use crate::http::error::{ApiError, Problem};
use crate::http::routes::{Access, Routes};
use transport::TalkTransport;

/// Half a minute of audio in one message is more than any page sends.
const MAX_MESSAGE: usize = 1 << 20;

/// The page's WebSocket.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes.plain(Access::Call, &[Method::GET], "/talk/ws", get(talk)).plain(
        Access::Call,
        &[Method::GET],
        "/talk/ready",
        get(ready),
    )
}

/// Answers whether a call would be admitted now.
async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.desk.admit(transport::NAME) {
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
    Extension(entrant): Extension<Entrant>,
    Query(visitor): Query<Visitor>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !same_origin(&headers) {
        let message = "the talk page may be used only from the server that it came from";
        return Problem(ApiError::new(StatusCode::FORBIDDEN, message.to_owned())).into_response();
    }
    let line = match app.desk.admit(transport::NAME) {
        Ok(line) => line,
        Err(busy) => return Problem::from(busy).into_response(),
    };
    let person = person(visitor.person.as_deref());
    let caller = Caller { person, ..caller(transport::NAME, &entrant, &headers) };
    let upgrade = upgrade.protocols(["realtime"]).max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    upgrade.on_upgrade(async move |socket| {
        let connect = |agent: &_| Connected::to(agent, TalkTransport::new(socket));
        // Why nobody answers is logged; the socket is closed.
        drop(app.desk.take(line, caller, connect).await);
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
