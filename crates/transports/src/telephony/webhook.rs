//! What the webhooks of telephone companies have in common: a vendor asks what to do with a call that comes in, and
//! XML answers that it is to be connected to the media socket.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::{Doors, Refusal};

/// The URL of a media socket as the vendor reaches it, or a refusal if the request does not name a host. If `path`
/// holds nothing that XML would have to escape, neither does the URL.
pub(super) fn socket_url(doors: &Doors, headers: &HeaderMap, path: &str) -> Result<String, Refusal> {
    let bad = |message: &'static str| Err(Refusal::request(StatusCode::BAD_REQUEST, message));
    let Some(host) = doors.telephony.host(headers) else {
        return bad("the request names no host: set [telephony] public_url");
    };
    // Hosts and ports have only these characters. None of them has to be escaped in XML.
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c)) {
        return bad("the request names no sensible host");
    }
    let scheme = if doors.telephony.is_plain(&host) { "ws" } else { "wss" };
    Ok(format!("{scheme}://{host}{path}"))
}

/// The answer while no more calls are admitted. It is spoken rather than signalled: a caller who hears the reason
/// will call again later.
pub(super) fn busy(doors: &Doors) -> Option<Response> {
    doors.desk.calls.busy().map(|_| {
        respond(
            "<Say>All our lines are busy at the moment. Please call again in a few minutes.</Say><Hangup/>",
        )
    })
}

/// A response with these TwiML or TeXML instructions.
pub(super) fn respond(instructions: &str) -> Response {
    let xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{instructions}</Response>\n");
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], xml).into_response()
}
