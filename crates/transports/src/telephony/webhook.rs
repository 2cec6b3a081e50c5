//! What the webhooks of telephone companies have in common: a vendor asks what to do with a call that comes in, and
//! XML answers that it is to be connected to the media socket.

use std::time::Duration;

use axum::body::{self, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::{Doors, Refusal};

/// Largest request in bytes. Vendors send the parameters of a call, which are 1 to 4 KiB. Whoever sends it is not known before it
/// is there, because the signature is over all of it.
const MAX_REQUEST: usize = 64 << 10;
/// Longest time in which it must arrive. Vendors give up after 10 s (Telnyx) or 15 s (Twilio).
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Receives a request, within bounds for strangers, before its signature is checked.
pub(super) async fn received(request: Request, next: Next) -> Result<Response, Refusal> {
    let too_large = || {
        let message = format!("the request is larger than {} KiB, which no webhook is", MAX_REQUEST >> 10);
        Refusal::request(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > MAX_REQUEST as u64 {
        return Err(too_large());
    }
    let whole =
        tokio::time::timeout(REQUEST_TIME, body::to_bytes(body, MAX_REQUEST)).await.map_err(|_| {
            let message = format!("the request did not arrive within {} s", REQUEST_TIME.as_secs());
            Refusal::request(StatusCode::REQUEST_TIMEOUT, message)
        })?;
    let whole = whole.map_err(|_| too_large())?;
    Ok(next.run(Request::from_parts(head, whole.into())).await)
}

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

/// The answer while no more calls are admitted: what callers are then told, or else the busy tone, for which nobody pays.
pub(super) fn busy(doors: &Doors) -> Option<Response> {
    doors.desk.calls.busy().map(|_| match &doors.telephony.busy_message {
        Some(message) => respond(&format!("<Say>{}</Say><Hangup/>", escaped(message))),
        None => respond("<Reject reason=\"busy\"/>"),
    })
}

/// A text as it stands between the tags of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A response with these TwiML or TeXML instructions.
pub(super) fn respond(instructions: &str) -> Response {
    let xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{instructions}</Response>\n");
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], xml).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::middleware::from_fn;
    use axum::routing::post;
    use futures_util::stream;
    use tower::ServiceExt;

    use super::*;

    /// The status of the answer to a request with this body, or of its refusal.
    async fn status(body: Body) -> StatusCode {
        let door = post(async |body: Bytes| body.len().to_string()).layer(from_fn(received));
        let request = Request::post("/").body(body).expect("a request");
        let mut response = Router::new().route("/", door).oneshot(request).await.expect("an answer");
        match Refusal::of(&mut response) {
            Some(Refusal::Request { status, .. }) => status,
            Some(other) => panic!("{other:?}"),
            None => response.status(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_strangers_send_is_bounded_before_its_signature_is_checked() {
        assert_eq!(status(Body::from(vec![b'x'; MAX_REQUEST])).await, StatusCode::OK);
        assert_eq!(status(Body::from(vec![b'x'; MAX_REQUEST + 1])).await, StatusCode::PAYLOAD_TOO_LARGE);
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1_000])));
        assert_eq!(status(Body::from_stream(endless)).await, StatusCode::PAYLOAD_TOO_LARGE);
        let never = stream::pending::<Result<Bytes, std::io::Error>>();
        assert_eq!(status(Body::from_stream(never)).await, StatusCode::REQUEST_TIMEOUT);
    }
}
