//! The talk page: its WebSocket, with which a browser holds a call. See docs/talk-protocol.md.

mod transport;
mod wire;

use std::sync::Arc;

use antiphon_core::Caller;
use antiphon_desk::{Access, Connected, Entrant};
use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use serde::Deserialize;

use crate::{DoorRoute, Doors, Refusal, caller, person};
use transport::TalkTransport;

/// Largest message in bytes. It has room for half a minute of audio, more than a page sends at once.
const MAX_MESSAGE: usize = 1 << 20;

/// The routes of the page: its WebSocket, and the question whether a call would be admitted.
pub fn routes() -> Vec<DoorRoute> {
    let route = |path, handler: MethodRouter<Arc<Doors>>| DoorRoute {
        access: Access::Call,
        methods: vec![Method::GET],
        path,
        handler,
    };
    vec![route("/talk/ws", get(talk)), route("/talk/ready", get(ready))]
}

/// Answers whether a call would be admitted now.
async fn ready(State(doors): State<Arc<Doors>>) -> Result<StatusCode, Refusal> {
    doors.desk.calls.busy().map_or(Ok(StatusCode::OK), |busy| Err(busy.into()))
}

/// The query parameters that the page sends.
#[derive(Deserialize)]
struct Visitor {
    /// The name of the visitor, if they want to be remembered.
    person: Option<String>,
}

async fn talk(
    State(doors): State<Arc<Doors>>,
    Extension(entrant): Extension<Entrant>,
    Query(visitor): Query<Visitor>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    if !same_origin(&headers) {
        let message = "the talk page may be used only from the server that it came from";
        return Err(Refusal::request(StatusCode::FORBIDDEN, message));
    }
    let line = doors.desk.admit(transport::NAME)?;
    let person = person(visitor.person.as_deref());
    let caller = Caller { person, ..caller(transport::NAME, &entrant, &headers) };
    let upgrade = upgrade.protocols(["realtime"]).max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(async move |socket| {
        let connect = |agent: &_| Connected::to(agent, TalkTransport::new(socket));
        // The desk has logged why nobody answers, and all that is left is to close the socket.
        drop(doors.desk.take(line, caller, connect).await);
    }))
}

/// Whether the page that opens the socket belongs to this server; browsers name it in `Origin`. Otherwise another
/// site could hold a call through a visitor's browser.
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
