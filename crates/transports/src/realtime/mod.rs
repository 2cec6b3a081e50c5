//! OpenAI Realtime: a call as JSON events over a WebSocket, which OpenAI's official clients can use unchanged.

mod client_event;
mod client_secrets;
mod event_size;
mod invalid;
mod item;
mod media;
mod server_event;
mod session;
mod session_update;
mod tool;
mod transport;
mod turn_detection;

use std::sync::Arc;

use antiphon_agent::{Agent, Engines};
use antiphon_core::Caller;
use antiphon_desk::{Access, Connected, Entrant};
use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::socket::bounded;
use crate::{DoorRoute, Doors, Meter, Refusal, caller, share};
pub use client_secrets::ClientSecret;
use client_secrets::person_in;
pub(crate) use client_secrets::presented_secret;
use event_size::MAX_MESSAGE;
use session::{Kind, Session};
pub use session_update::SessionUpdate;
use transport::{Offer, RealtimeTransport};

/// The WebSocket, once more at the path that Azure gives it.
pub fn routes() -> Vec<DoorRoute> {
    let socket =
        |path| DoorRoute { access: Access::Call, methods: vec![Method::GET], path, handler: get(connect) };
    ["/v1/realtime", "/openai/v1/realtime"].map(socket).into()
}

#[derive(Deserialize)]
struct Params {
    model: Option<String>,
    intent: Option<String>,
    call_id: Option<String>,
}

async fn connect(
    State(doors): State<Arc<Doors>>,
    Extension(entrant): Extension<Entrant>,
    Query(params): Query<Params>,
    meter: Option<Extension<Meter>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let session = open(&doors, &params, &headers)?;
    let person = doors.person_of(&entrant, &headers, person_in(&headers)?)?;
    let line = doors.desk.admit(transport::NAME, share(&entrant))?;
    doors.count_call(&headers)?;
    let caller = Caller { person, ..caller(transport::NAME, &entrant, &headers) };
    let meter = doors.counted(meter, share(&entrant));
    let upgrade = bounded(upgrade, MAX_MESSAGE).protocols(["realtime"]);
    Ok(upgrade.on_upgrade(async move |socket| {
        let engines = doors.desk.engines.clone();
        let connect = |agent: &Agent| {
            let offer = offer(agent, &engines);
            let config = offer.config(&session);
            Connected { transport: Box::new(RealtimeTransport::new(socket, meter, offer, session)), config }
        };
        // The desk has logged why nobody answers, and all that is left is to close the socket.
        drop(doors.desk.take(line, caller, connect).await);
    }))
}

/// Parses events, one on each line, as a connection would.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str, base: &antiphon_core::session::SessionConfig) {
    let mut session = Session::new(Kind::Realtime, "m".to_owned(), base);
    let mut decoder = media::Decoder::new(session.audio.input.format);
    for line in text.lines() {
        let Ok(head) = serde_json::from_str::<client_event::Head<'_>>(line) else { continue };
        if let Some(audio) = &head.audio {
            decoder.decode(audio, &mut Vec::new());
        }
        let context = client_event::EventContext {
            input: session.audio.input.format,
            output: session.audio.output.format,
            voices: &[],
        };
        if let Ok(client_event::ClientRequest::Update(update)) =
            client_event::parse(&head.kind, line, &context)
            && let Ok(updated) = session.updated(update)
        {
            session = updated;
            session.config(base, &[], true);
            session.to_json("s");
        }
    }
}

/// What every session with this agent may use.
fn offer(agent: &Agent, engines: &Engines) -> Offer {
    Offer {
        base: agent.session.clone(),
        voices: engines.tts.card().voices.iter().map(|voice| voice.id.clone()).collect(),
        semantic: engines.turn.is_some(),
        llm: Arc::clone(&engines.llm),
        only_language: engines.stt.only_language(),
    }
}

/// The session with which a connection begins, or why it is refused.
fn open(doors: &Doors, params: &Params, headers: &HeaderMap) -> Result<Session, Refusal> {
    let given = doors.presented_secret(headers)?.map(|(grant, _)| grant.text);
    // The server has written it itself. If it cannot be read, the client gets the session that everybody gets.
    let given = given.and_then(|session| serde_json::from_str(&session).ok());
    if headers.get("openai-beta").is_some_and(|beta| beta.to_str().is_ok_and(|b| b.contains("realtime=v1"))) {
        let message = "the beta of Realtime is not served: leave out the header `OpenAI-Beta: realtime=v1` and \
            use the events of the general availability";
        return Err(Refusal::coded(StatusCode::BAD_REQUEST, "beta_api_shape_disabled", message));
    }
    if let Some(call_id) = &params.call_id {
        let message = format!("there is no call '{call_id}' to control: calls are held on their own socket");
        return Err(Refusal::coded(StatusCode::NOT_FOUND, "call_not_found", message));
    }
    let kind = match params.intent.as_deref() {
        None | Some("conversation") => Kind::Realtime,
        Some("transcription") => Kind::Transcription,
        Some(other) => {
            let message = format!("intent={other} is not known: leave it out, or give transcription");
            return Err(Refusal::parameter("intent", message));
        }
    };
    let model = params.model.clone().unwrap_or_else(|| doors.desk.engines.llm.card().model.to_owned());
    Ok(given.unwrap_or_else(|| Session::new(kind, model, &doors.agent.session)))
}
