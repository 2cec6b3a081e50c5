//! Client secrets: keys that a browser may hold, each of which opens the Realtime session that it was made for.

use std::time::Duration;

use antiphon_core::KeyId;
use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::session::{Kind, Session};
use crate::{Doors, Refusal};

/// A client secret and the session that it opens.
pub struct ClientSecret {
    /// The secret itself, which begins with `ek_`.
    pub value: String,
    /// The session, as the protocol shows it to clients.
    pub session: Value,
}

impl Doors {
    /// Makes a client secret for sessions that begin with this `session.update`. `made_by` is the API key with which
    /// it was asked for. Fails when the update is invalid, or when too many client secrets are valid.
    pub fn create_client_secret(
        &self,
        update: Map<String, Value>,
        made_by: Option<KeyId>,
        lasting: Duration,
    ) -> Result<ClientSecret, Refusal> {
        let kind = match update.get("type").and_then(Value::as_str) {
            Some("transcription") => Kind::Transcription,
            _ => Kind::Realtime,
        };
        let session = Session::new(kind, self.desk.engines.llm.card().model.to_owned(), &self.agent.session);
        let session = session.updated(update).map_err(|invalid| {
            let at = invalid.param.map(|param| format!("{param}: ")).unwrap_or_default();
            Refusal::parameter("session", format!("{at}{}", invalid.message))
        })?;
        let json = session.to_json(&antiphon_agent::ids::unique("sess_"));
        let value = self.client_secrets.create(session, made_by, lasting).ok_or_else(|| {
            let message =
                "too many client secrets are valid: wait for some to expire, or let them live shorter";
            Refusal::request(StatusCode::TOO_MANY_REQUESTS, message)
        })?;
        Ok(ClientSecret { value, session: json })
    }
}
