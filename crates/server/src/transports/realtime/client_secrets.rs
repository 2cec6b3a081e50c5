//! `POST /v1/realtime/client_secrets`: a key that a browser may hold.

use std::sync::Arc;
use std::time::Duration;

use antiphon_desk::Entrant;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::session::{Kind, Session};
use crate::app::App;
use crate::http::body::Body;
use crate::http::error::ApiError;

/// How long the key is valid, and the session that it opens.
#[derive(Deserialize, ToSchema)]
pub(super) struct ClientSecretRequest {
    expires_after: Option<ExpiresAfter>,
    /// As in `session.update`.
    #[schema(value_type = Option<Object>)]
    session: Option<Map<String, Value>>,
}

#[derive(Deserialize, ToSchema)]
struct ExpiresAfter {
    /// Seconds until the key expires, 10 to 7200.
    #[serde(default = "ten_minutes")]
    seconds: u64,
}

fn ten_minutes() -> u64 {
    600
}

/// The key and what it opens.
#[derive(Serialize, ToSchema)]
pub(super) struct ClientSecret {
    value: String,
    /// In seconds since 1970.
    expires_at: u64,
    #[schema(value_type = Object)]
    session: Value,
}

/// Makes a key for Realtime sessions that a browser may hold: it opens nothing else, and expires.
#[utoipa::path(
    post,
    path = "/v1/realtime/client_secrets",
    tag = "realtime",
    request_body = ClientSecretRequest,
    responses((status = 200, body = ClientSecret))
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(entrant): Extension<Entrant>,
    Body(request): Body<ClientSecretRequest>,
) -> Result<Json<ClientSecret>, ApiError> {
    let seconds = request.expires_after.map_or_else(ten_minutes, |after| after.seconds);
    if !(10..=7_200).contains(&seconds) {
        let message = format!("{seconds} seconds are not between 10 and 7200");
        return Err(ApiError::invalid_param("expires_after.seconds", message));
    }
    let update = request.session.unwrap_or_default();
    let kind = match update.get("type").and_then(Value::as_str) {
        Some("transcription") => Kind::Transcription,
        _ => Kind::Realtime,
    };
    let session = Session::new(kind, app.desk.engines.llm.card().model.to_owned(), &app.agent.session);
    let session = session.updated(update).map_err(|invalid| {
        let at = invalid.param.map(|param| format!("{param}: ")).unwrap_or_default();
        ApiError::invalid_param("session", format!("{at}{}", invalid.message))
    })?;
    let json = session.to_json(&antiphon_agent::ids::unique("sess_"));
    let value =
        app.client_secrets.create(session, entrant.key, Duration::from_secs(seconds)).ok_or_else(|| {
            let message =
                "too many client secrets are valid: wait for some to expire, or let them live shorter";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, message)
        })?;
    let now = antiphon_telemetry::unix_time().as_secs();
    Ok(Json(ClientSecret { value, expires_at: now + seconds, session: json }))
}
