//! Telephone calls: a telephone company asks the webhook what to do with a call, and the answer tells it to open the
//! media socket. See docs/telephony.md.

mod codec;
mod media_socket;
mod messages;
mod settings;
mod telnyx;
mod twilio;
mod vendor;
mod webhook;

use std::sync::Arc;

use antiphon_core::{Caller, Share};
use antiphon_desk::{Access, Connected, Entrant, Line};
use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use crate::socket::bounded;
use crate::{DoorRoute, Doors, Meter, Refusal, caller};
use media_socket::{MAX_MESSAGE, MediaSocket, StreamStart};
pub use settings::TelephonySettings;
use telnyx::Telnyx;
use twilio::Twilio;
use vendor::Vendor;

/// The routes of the webhooks and the media sockets. Each of them checks that the request comes from its vendor.
pub fn routes() -> Vec<DoorRoute> {
    let route = |methods: &[Method], path, handler: MethodRouter<Arc<Doors>>| DoorRoute {
        access: Access::Signed,
        methods: methods.to_vec(),
        path,
        handler,
    };
    let twilio = get(twilio::incoming).post(twilio::incoming).layer(from_fn(webhook::received));
    vec![
        route(&[Method::GET, Method::POST], "/telephony/twilio", twilio),
        route(&[Method::GET], "/telephony/twilio/media", get(media::<Twilio>)),
        route(&[Method::GET], "/ws", get(media::<Twilio>)),
        route(&[Method::POST], "/telephony/telnyx", post(telnyx::incoming).layer(from_fn(webhook::received))),
        route(&[Method::GET], "/telephony/telnyx/media", get(media::<Telnyx>)),
    ]
}

async fn media<V: Vendor>(
    State(doors): State<Arc<Doors>>,
    Extension(entrant): Extension<Entrant>,
    OriginalUri(uri): OriginalUri,
    meter: Option<Extension<Meter>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let entrant = Entrant { address: entrant.address, ..V::check(&doors, &uri, &headers)? };
    // An unsigned request learns nothing more, not even that a WebSocket is served here.
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(not_a_web_socket) => return Ok(not_a_web_socket.into_response()),
    };
    let line = doors.desk.admit(V::NAME, entrant.key.clone().map(Share::Key))?;
    let caller = caller(V::NAME, &entrant, &headers);
    // A telephone company calls from few addresses on behalf of many people, so the address says nothing.
    let meter = doors.counted(meter, entrant.key.map(Share::Key));
    let upgrade = bounded(upgrade, MAX_MESSAGE);
    Ok(upgrade.on_upgrade(async move |socket| {
        let accepted = MediaSocket::<V>::accept(socket, meter).await;
        serve::<V>(doors, accepted, line, caller).await;
    }))
}

async fn serve<V: Vendor>(
    doors: Arc<Doors>,
    accepted: antiphon_core::Result<(MediaSocket<V>, StreamStart)>,
    line: Line,
    caller: Caller,
) {
    match accepted {
        Ok((transport, start)) => {
            tracing::info!(vendor = V::NAME, call = start.call, "media stream started");
            let verified = V::is_verified(&doors.telephony);
            let [from, to] = [start.from, start.to].map(|number| number.filter(|_| verified).map(Into::into));
            let caller = Caller { from, to, ..caller };
            // The desk has logged why nobody answers, and all that is left is to close the socket.
            drop(doors.desk.take(line, caller, |agent| Connected::to(agent, transport)).await);
        }
        Err(error) => tracing::warn!(vendor = V::NAME, %error, "media stream refused"),
    }
}

/// Parses messages, one on each line, as a stream of each vendor would.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    media_socket::fuzz::<Twilio>(r#"{"event":"start","start":{"streamSid":"MZ1"}}"#, text);
    media_socket::fuzz::<Telnyx>(r#"{"event":"start","stream_id":"1","start":{}}"#, text);
}
