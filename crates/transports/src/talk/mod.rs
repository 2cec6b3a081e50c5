//! The talk page: its WebSocket, with which a browser holds a call. See docs/talk-protocol.md.

mod transport;
mod wire;

use std::sync::Arc;

use antiphon_core::{Caller, PersonId};
use antiphon_desk::{Access, Connected, Entrant};
use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use serde::Deserialize;

use crate::socket::bounded;
use crate::{DoorRoute, Doors, Meter, Refusal, caller, share};
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
async fn ready(
    State(doors): State<Arc<Doors>>,
    Extension(entrant): Extension<Entrant>,
) -> Result<StatusCode, Refusal> {
    doors.desk.calls.busy_for(share(&entrant).as_ref()).map_or(Ok(StatusCode::OK), |busy| Err(busy.into()))
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
    meter: Option<Extension<Meter>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    if !same_origin(&headers) {
        let message = "the talk page may be used only from the server that it came from";
        return Err(Refusal::request(StatusCode::FORBIDDEN, message));
    }
    let person = doors.person_of(&entrant, &headers, visitor.person.as_deref().and_then(PersonId::parse))?;
    let line = doors.desk.admit(transport::NAME, share(&entrant))?;
    doors.count_call(&headers)?;
    let caller = Caller { person, ..caller(transport::NAME, &entrant, &headers) };
    let meter = doors.counted(meter, share(&entrant));
    let upgrade = bounded(upgrade, MAX_MESSAGE).protocols(["realtime"]);
    Ok(upgrade.on_upgrade(async move |socket| {
        let connect = |agent: &_| Connected::to(agent, TalkTransport::new(socket, meter));
        // The desk has logged why nobody answers, and all that is left is to close the socket.
        drop(doors.desk.take(line, caller, connect).await);
    }))
}

/// Whether the page that opens the socket belongs to this server; browsers name it in `Origin`. Otherwise another
/// site could hold a call through a visitor's browser. Proxies may or may not write the usual port, so it means the same.
fn same_origin(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::ORIGIN) {
        return true;
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin: Option<Uri> = text("origin").and_then(|origin| origin.parse().ok());
    let Some(origin) = origin else { return false };
    let Some(scheme) = origin.scheme_str().filter(|scheme| usual_port(scheme).is_some()) else {
        return false;
    };
    // The server leaves this header only if a proxy that it trusts has set it.
    let is_scheme = text("x-forwarded-proto").is_none_or(|proto| proto == scheme);
    let asked: Option<Authority> = text("host").and_then(|host| host.parse().ok());
    let place = |authority: &Authority| {
        let port = authority.port_u16().or_else(|| usual_port(scheme));
        (authority.host().to_ascii_lowercase(), port)
    };
    is_scheme && asked.is_some_and(|asked| origin.authority().map(place) == Some(place(&asked)))
}

/// The port that an address without one means.
fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_port_may_be_left_out_and_the_case_of_a_name_does_not_matter() {
        for (origin, host, proto, same) in [
            ("https://voice.example.com", "voice.example.com:443", None, true),
            ("https://voice.example.com:443", "Voice.example.com", None, true),
            ("http://voice.example.com", "voice.example.com:80", None, true),
            ("http://voice.example.com", "voice.example.com:443", None, false),
            ("https://voice.example.com", "voice.example.com:8443", None, false),
            ("https://voice.example.com", "voice.example.com", Some("https"), true),
            ("http://voice.example.com", "voice.example.com", Some("https"), false),
            ("https://[::1]:7700", "[::1]:7700", None, true),
            ("ftp://voice.example.com", "voice.example.com", None, false),
            ("https://voice.example.com", "", None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().expect("valid"));
            headers.insert(header::HOST, host.parse().expect("valid"));
            if let Some(proto) = proto {
                headers.insert("x-forwarded-proto", proto.parse().expect("valid"));
            }
            assert_eq!(same_origin(&headers), same, "{origin} {host} {proto:?}");
        }
    }

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
