//! The doors by which calls come in: one file or folder for each protocol. All of them pass the specification
//! in `spec.rs`.
//!
//! A door understands a handshake, says who is calling, and hands the connection to the desk. It knows nothing of the
//! server around it: it lists its [`DoorRoute`]s, and the server registers them. It turns requests away with a
//! [`Refusal`], which the server writes in the error format that the door's clients read.

pub mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
mod intake;
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
use antiphon_core::{Caller, KeyId, Share};
use antiphon_desk::{Access, Desk, Entrant, Quota, ShortLived, ShortLivedGrant, Unauthorized};
use axum::Extension;
use axum::http::{HeaderMap, Method};
use axum::routing::MethodRouter;

pub use intake::{Meter, Metered};
use realtime::presented_secret;
pub use refusal::Refusal;
use telephony::TelephonySettings;

/// What the doors of one server share. It is the state of their routes.
pub struct Doors {
    desk: Desk,
    /// The agent whose settings a Realtime session begins with.
    agent: Arc<Agent>,
    telephony: TelephonySettings,
    /// The client secrets that browsers hold, and the Realtime session that each of them opens, in JSON, for its person.
    client_secrets: ShortLived,
    /// What messages under way may hold.
    intake: Arc<Quota<Share>>,
}

/// A route of a door, for the server to register.
pub struct DoorRoute {
    /// The credentials that it requires.
    pub access: Access,
    /// The HTTP methods that it answers.
    pub methods: Vec<Method>,
    /// The path of its URL.
    pub path: &'static str,
    /// The function that answers. Its response may be a [`Refusal`].
    pub handler: MethodRouter<Arc<Doors>>,
}

impl Doors {
    /// Doors that lead to this desk.
    pub fn new(desk: Desk, agent: Arc<Agent>, telephony: TelephonySettings) -> Self {
        Self { desk, agent, telephony, client_secrets: ShortLived::default(), intake: intake::quota() }
    }

    /// The count of a connection that becomes a WebSocket. What its messages hold is on the account of `share`.
    fn counted(&self, meter: Option<Extension<Meter>>, share: Option<Share>) -> Meter {
        let Extension(meter) = meter.unwrap_or_default();
        meter.arm(&self.intake, share);
        meter
    }

    /// Admits whoever may open a call: the request must carry one of the server's keys or a client secret.
    pub fn let_in(&self, headers: &HeaderMap) -> Result<Entrant, Unauthorized> {
        match self.presented_secret(headers)? {
            Some((_, key)) => Ok(Entrant { key, ..Entrant::default() }),
            None => self.desk.keys.check(headers),
        }
    }

    /// What the request's client secret opens, and the key with which the secret was made. `None` if the request has no client
    /// secret.
    fn presented_secret(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(ShortLivedGrant, Option<KeyId>)>, Unauthorized> {
        let secret = presented_secret(headers);
        secret.map(|secret| self.client_secrets.open(secret).ok_or(Unauthorized::WrongKey)).transpose()
    }
}

/// The caller of this WebSocket, with the key of the request and its place in a trace.
fn caller(transport: &'static str, entrant: &Entrant, headers: &HeaderMap) -> Caller {
    let trace = || headers.get(TraceContext::HEADER)?.to_str().ok()?.trim().parse().ok();
    Caller { key: entrant.key.clone(), trace: trace(), ..Caller::by(transport) }
}

/// On whose account a connection counts: the key's or the address's. What a telephone company has signed counts on nobody's,
/// because many people call through it from few addresses.
fn share(entrant: &Entrant) -> Option<Share> {
    let key = entrant.key.clone().map(Share::Key);
    key.or_else(|| entrant.address.map(Share::Address))
}
