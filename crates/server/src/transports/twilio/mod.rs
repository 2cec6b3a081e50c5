//! Twilio Media Streams: Twilio dials a WebSocket and sends the call's audio as JSON.

mod signature;
mod transport;
mod webhook;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::Caller;
use antiphon_desk::{Connected, Entrant, Line};
use axum::Extension;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::caller;
use crate::app::App;
use crate::http::error::Problem;
use crate::http::routes::{Access, Routes};
use transport::{Started, TwilioTransport};

/// Twilio's messages hold 20 ms of audio; this is room for minutes of it.
const MAX_MESSAGE: usize = 1 << 20;
/// `start` follows the connection within milliseconds.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Understands a message as a stream would.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    let _ = serde_json::from_str::<wire::Incoming<'_>>(text);
}

/// The webhook, the media socket and its alias.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .plain(
            Access::Signed,
            &[Method::GET, Method::POST],
            "/telephony/twilio",
            get(webhook::incoming).post(webhook::incoming),
        )
        .plain(Access::Signed, &[Method::GET], "/telephony/twilio/media", get(media))
        .plain(Access::Signed, &[Method::GET], "/ws", get(media))
}

async fn media(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let entrant = match signature::check(&app, true, &uri, &headers, &BTreeMap::new()) {
        Ok(let_in) => Entrant { address: entrant.address, ..let_in },
        Err(refused) => return Problem::from(refused).into_response(),
    };
    let line = match app.desk.admit(transport::NAME) {
        Ok(line) => line,
        Err(busy) => return Problem::from(busy).into_response(),
    };
    let caller = caller(transport::NAME, &entrant, &headers);
    upgrade
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(move |socket| serve(app, socket, line, caller))
        .into_response()
}

async fn serve(app: Arc<App>, socket: WebSocket, line: Line, caller: Caller) {
    let mut transport = TwilioTransport::new(socket);
    let started = tokio::time::timeout(START_WITHIN, transport.started()).await;
    match started {
        Ok(Ok(Started { call_sid, from })) => {
            tracing::info!(call_sid, "Twilio stream started");
            // Whoever is not checked could say any number, and hear what somebody else told.
            let from = from.filter(|_| app.http.telephony.twilio_auth_token.is_some()).map(Into::into);
            let caller = Caller { from, ..caller };
            // Why nobody answers is logged; the socket is closed.
            drop(app.desk.take(line, caller, |agent| Connected::to(agent, transport)).await);
        }
        Ok(Err(error)) => tracing::warn!(%error, "Twilio stream refused"),
        Err(_) => tracing::warn!("no start message from Twilio within {} s", START_WITHIN.as_secs()),
    }
}
