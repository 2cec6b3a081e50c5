//! Telephone calls: a telephone company asks the webhook what to do with a call, and is told to dial the media socket.
//! See docs/telephony.md.

mod codec;
mod media_socket;
mod messages;
mod telnyx;
mod twilio;
mod vendor;
mod webhook;

use std::sync::Arc;

use antiphon_core::Caller;
use antiphon_desk::{Connected, Entrant, Line};
use axum::Extension;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::caller;
use crate::app::App;
use crate::http::error::Problem;
use crate::http::routes::{Access, Routes};
use media_socket::{MAX_MESSAGE, MediaSocket};
use telnyx::Telnyx;
use twilio::Twilio;
use vendor::Vendor;

/// The webhooks and the media sockets. Each checks for itself that its vendor asks.
pub(crate) fn routes(routes: Routes) -> Routes {
    let twilio = get(twilio::incoming).post(twilio::incoming);
    routes
        .plain(Access::Signed, &[Method::GET, Method::POST], "/telephony/twilio", twilio)
        .plain(Access::Signed, &[Method::GET], "/telephony/twilio/media", get(media::<Twilio>))
        .plain(Access::Signed, &[Method::GET], "/ws", get(media::<Twilio>))
        .plain(Access::Signed, &[Method::POST], "/telephony/telnyx", post(telnyx::incoming))
        .plain(Access::Signed, &[Method::GET], "/telephony/telnyx/media", get(media::<Telnyx>))
}

async fn media<V: Vendor>(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let entrant = match V::check(&app, &uri, &headers) {
        Ok(let_in) => Entrant { address: entrant.address, ..let_in },
        Err(refused) => return Problem::from(refused).into_response(),
    };
    // Whoever has not signed learns nothing else, not even that a WebSocket is served here.
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(not_a_web_socket) => return not_a_web_socket.into_response(),
    };
    let line = match app.desk.admit(V::NAME) {
        Ok(line) => line,
        Err(busy) => return Problem::from(busy).into_response(),
    };
    let caller = caller(V::NAME, &entrant, &headers);
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| serve::<V>(app, socket, line, caller))
        .into_response()
}

async fn serve<V: Vendor>(app: Arc<App>, socket: WebSocket, line: Line, caller: Caller) {
    match MediaSocket::<V>::accept(socket).await {
        Ok((transport, start)) => {
            tracing::info!(vendor = V::NAME, call = start.call, "media stream started");
            let from = start.from.filter(|_| V::is_verified(&app.http.telephony)).map(Into::into);
            let caller = Caller { from, ..caller };
            // Why nobody answers is logged; the socket is closed.
            drop(app.desk.take(line, caller, |agent| Connected::to(agent, transport)).await);
        }
        Err(error) => tracing::warn!(vendor = V::NAME, %error, "media stream refused"),
    }
}

/// Understands messages, one a line, as a stream of each vendor would.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    media_socket::fuzz::<Twilio>(r#"{"event":"start","start":{"streamSid":"MZ1"}}"#, text);
    media_socket::fuzz::<Telnyx>(r#"{"event":"start","stream_id":"1","start":{}}"#, text);
}
