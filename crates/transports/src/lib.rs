//! The doors by which calls come in: one file or folder for each protocol. `spec.rs` says what all of them obey.
//!
//! A door understands a handshake, says who is there, and hands the connection to the desk. It knows nothing of the
//! server around it: it lists its [`DoorRoute`]s, and the server registers them; it turns requests away with a
//! [`Refusal`], and the server gives that the shape that the door's clients read.

pub mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod microphone;
pub mod realtime;
mod refusal;
mod socket;
#[cfg(test)]
mod spec;
pub mod talk;
pub mod telephony;
pub mod turns;

use std::sync::Arc;

use antiphon_agent::Agent;
use antiphon_core::trace::TraceContext;
use antiphon_core::{Caller, KeyId, PersonId};
use antiphon_desk::{Access, Desk, Entrant, SHORT_LIVED_PREFIX, ShortLived, Unauthorized, presented_key};
use axum::http::{HeaderMap, Method};
use axum::routing::MethodRouter;

use realtime::Session;
pub use refusal::Refusal;
use telephony::TelephonySettings;

/// What the doors of one server share: the state of their routes.
pub struct Doors {
    desk: Desk,
    /// Whose settings a Realtime session begins with.
    agent: Arc<Agent>,
    telephony: TelephonySettings,
    /// The keys that browsers hold, and the Realtime sessions that they open.
    client_secrets: ShortLived<Session>,
}

/// A route of a door, for the server to register.
pub struct DoorRoute {
    /// Who may use it.
    pub access: Access,
    /// What it answers.
    pub methods: Vec<Method>,
    /// Where it is.
    pub path: &'static str,
    /// What answers. A response may be a [`Refusal`].
    pub handler: MethodRouter<Arc<Doors>>,
}

impl Doors {
    /// Doors that lead to this desk.
    pub fn new(desk: Desk, agent: Arc<Agent>, telephony: TelephonySettings) -> Self {
        Self { desk, agent, telephony, client_secrets: ShortLived::default() }
    }

    /// Lets in who may open a call: whoever has one of the server's keys or a client secret.
    pub fn let_in(&self, headers: &HeaderMap) -> Result<Entrant, Unauthorized> {
        match self.presented_session(headers)? {
            Some((_, key)) => Ok(Entrant { key, address: None }),
            None => self.desk.keys.check(headers),
        }
    }

    /// The session that the request's client secret opens, and what stands for the key that it was made with; `None` where
    /// the request has no client secret.
    fn presented_session(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(Session, Option<KeyId>)>, Unauthorized> {
        let secret = presented_key(headers).filter(|key| key.starts_with(SHORT_LIVED_PREFIX));
        secret.map(|secret| self.client_secrets.open(secret).ok_or(Unauthorized::WrongKey)).transpose()
    }
}

/// Whoever asked for this WebSocket: the key that let them in, and their place in a trace.
fn caller(transport: &'static str, entrant: &Entrant, headers: &HeaderMap) -> Caller {
    let trace = || headers.get(TraceContext::HEADER)?.to_str().ok()?.trim().parse().ok();
    Caller { key: entrant.key.clone(), trace: trace(), ..Caller::by(transport) }
}

/// The person that a client says it speaks for.
fn person(name: Option<&str>) -> Option<PersonId> {
    name.and_then(PersonId::parse)
}
