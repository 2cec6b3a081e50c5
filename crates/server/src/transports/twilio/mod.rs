//! Twilio Media Streams: Twilio dials a WebSocket and sends the call's audio as JSON.

mod signature;
mod transport;
mod webhook;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::call::SessionConfig;
use antiphon_core::trace::TraceContext;
use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{caller, hold, person};
use crate::app::{App, CallGuard};
use crate::http::error::Problem;
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
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/telephony/twilio", get(webhook::incoming).post(webhook::incoming))
        .route("/telephony/twilio/media", get(media))
        .route("/ws", get(media))
}

async fn media(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Some(refused) = signature::refused(&app, true, &uri, &headers, &BTreeMap::new()) {
        return refused;
    }
    match app.calls.admit(transport::NAME) {
        Ok(guard) => upgrade
            .max_message_size(MAX_MESSAGE)
            .on_upgrade(move |socket| serve(app, socket, guard, caller(&headers)))
            .into_response(),
        Err(busy) => Problem::from(busy).into_response(),
    }
}

async fn serve(app: Arc<App>, socket: WebSocket, guard: CallGuard, caller: Option<TraceContext>) {
    let mut transport = TwilioTransport::new(socket);
    let started = tokio::time::timeout(START_WITHIN, transport.started()).await;
    match started {
        Ok(Ok(Started { call_sid, from })) => {
            tracing::info!(call_sid, "Twilio stream started");
            // Whoever is not checked could say any number, and hear what somebody else told.
            let from = from.filter(|_| app.http.telephony.twilio_auth_token.is_some());
            let config = SessionConfig { person: from.as_deref().and_then(person), ..app.session_config() };
            hold(&app, guard, caller, config, transport).await;
        }
        Ok(Err(error)) => tracing::warn!(%error, "Twilio stream refused"),
        Err(_) => tracing::warn!("no start message from Twilio within {} s", START_WITHIN.as_secs()),
    }
}
