//! Client secrets: keys that a browser may hold, each of which opens the Realtime session that it was made for.
//!
//! Whoever makes one says for whom it is. A browser cannot be trusted to say so, because it holds nothing but the secret, and whoever has
//! a secret could ask for anybody's memories by their name.

use antiphon_core::PersonId;
use antiphon_desk::{
    Entrant, SHORT_LIVED_PREFIX, ShortLivedGrant, ShortLivedTerms, Unauthorized, presented_key,
};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::session::{Kind, Session};
use super::session_update::SessionUpdate;
use crate::{Doors, Refusal};

/// The header in which OpenAI's clients name the person for whom they speak.
const PERSON_HEADER: &str = "openai-safety-identifier";
/// Longest session that a client secret opens, in bytes of JSON: ten times OpenAI's longest example with tools.
const MAX_SESSION: usize = 64 << 10;

/// A client secret and the session that it opens.
pub struct ClientSecret {
    /// The secret itself, which begins with `ek_`.
    pub value: String,
    /// The session, as the protocol shows it to clients.
    pub session: Value,
}

impl Doors {
    /// Makes a client secret for sessions that begin with this `session.update`, for the person whom the request's headers name. Fails
    /// when the update or the name is invalid, or when too many client secrets are valid.
    pub fn create_client_secret(
        &self,
        update: SessionUpdate,
        headers: &HeaderMap,
        entrant: &Entrant,
        terms: ShortLivedTerms,
    ) -> Result<ClientSecret, Refusal> {
        let person = person_in(headers)?.filter(|_| entrant.may_name_a_person());
        let kind = if update.is_transcription() { Kind::Transcription } else { Kind::Realtime };
        let session = Session::new(kind, self.desk.engines.llm.card().model.to_owned(), &self.agent.session);
        let served = session.updated(update).and_then(|session| {
            super::offer(&self.agent, &self.desk.engines).check(&session)?;
            Ok(session)
        });
        let session = served.map_err(|invalid| {
            let at = invalid.param.map(|param| format!("{param}: ")).unwrap_or_default();
            Refusal::parameter("session", format!("{at}{}", invalid.message))
        })?;
        let json = session.to_json(&antiphon_agent::ids::unique("sess_"));
        let text = serde_json::to_string(&session).unwrap_or_default();
        if text.len() > MAX_SESSION {
            let kib = MAX_SESSION >> 10;
            let message = format!(
                "the session has more than {kib} KiB: shorten it, or send the rest as session.update"
            );
            return Err(Refusal::parameter("session", message));
        }
        let opens = ShortLivedGrant { text: text.into(), person };
        let value = self.client_secrets.create(opens, terms).ok_or_else(|| {
            let message =
                "too many client secrets are valid, or their sessions are too long: wait for some to expire, or let them live \
                 shorter";
            Refusal::request(StatusCode::TOO_MANY_REQUESTS, message)
        })?;
        Ok(ClientSecret { value, session: json })
    }

    /// The person for whom a request speaks, which names `claimed`. With a client secret it is the one for whom the secret was made, and
    /// nobody else can be named.
    pub(crate) fn person_of(
        &self,
        entrant: &Entrant,
        headers: &HeaderMap,
        claimed: Option<PersonId>,
    ) -> Result<Option<PersonId>, Refusal> {
        let Some((grant, _)) = self.presented_secret(headers)? else {
            return Ok(claimed.filter(|_| entrant.may_name_a_person()));
        };
        if claimed.is_some() && claimed != grant.person {
            let message = "the client secret was not made for this person: leave the name out, or name the person in \
                OpenAI-Safety-Identifier when the secret is made";
            return Err(Refusal::coded(StatusCode::FORBIDDEN, "person_mismatch", message));
        }
        Ok(grant.person)
    }

    /// Counts the call that begins with the request's client secret, if it has one.
    pub(crate) fn count_call(&self, headers: &HeaderMap) -> Result<(), Unauthorized> {
        let counted = presented_secret(headers).is_none_or(|secret| self.client_secrets.count_call(secret));
        if counted { Ok(()) } else { Err(Unauthorized::WrongKey) }
    }
}

/// The client secret among the headers.
pub(crate) fn presented_secret(headers: &HeaderMap) -> Option<&str> {
    presented_key(headers).filter(|key| key.starts_with(SHORT_LIVED_PREFIX))
}

/// The person whom a request of OpenAI's clients names; `None` if it names nobody. A name that cannot be kept is an error and not
/// nobody: calls would work and remember nothing.
pub(super) fn person_in(headers: &HeaderMap) -> Result<Option<PersonId>, Refusal> {
    let Some(name) = headers.get(PERSON_HEADER) else { return Ok(None) };
    let name = name.to_str().ok();
    if name.is_some_and(PersonId::is_nobody) {
        return Ok(None);
    }
    let message = "the name in OpenAI-Safety-Identifier is longer than 200 bytes or not ASCII: give a shorter id of the person";
    let refusal = || Refusal::request(StatusCode::BAD_REQUEST, message);
    name.and_then(PersonId::parse).map(Some).ok_or_else(refusal)
}
