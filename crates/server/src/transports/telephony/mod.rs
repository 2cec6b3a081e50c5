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

use antiphon_core::call::SessionConfig;
use antiphon_core::trace::TraceContext;
use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{caller, hold, person};
use crate::app::{App, CallGuard};
use crate::http::error::Problem;
use media_socket::{MAX_MESSAGE, MediaSocket};
use telnyx::Telnyx;
use twilio::Twilio;
use vendor::Vendor;

/// The webhooks and the media sockets.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/telephony/twilio", get(twilio::incoming).post(twilio::incoming))
        .route("/telephony/twilio/media", get(media::<Twilio>))
        .route("/ws", get(media::<Twilio>))
        .route("/telephony/telnyx", post(telnyx::incoming))
        .route("/telephony/telnyx/media", get(media::<Telnyx>))
}

async fn media<V: Vendor>(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Some(refused) = V::refused(&app, &uri, &headers) {
        return refused;
    }
    match app.calls.admit(V::NAME) {
        Ok(guard) => upgrade
            .max_message_size(MAX_MESSAGE)
            .max_frame_size(MAX_MESSAGE)
            .on_upgrade(move |socket| serve::<V>(app, socket, guard, caller(&headers)))
            .into_response(),
        Err(busy) => Problem::from(busy).into_response(),
    }
}

async fn serve<V: Vendor>(app: Arc<App>, socket: WebSocket, guard: CallGuard, caller: Option<TraceContext>) {
    match MediaSocket::<V>::accept(socket).await {
        Ok((transport, start)) => {
            tracing::info!(vendor = V::NAME, call = start.call, "media stream started");
            let from = start.from.filter(|_| V::is_verified(&app.http.telephony));
            let config = SessionConfig { person: from.as_deref().and_then(person), ..app.session_config() };
            hold(&app, guard, caller, config, transport).await;
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
