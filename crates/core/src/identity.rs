//! Who calls, whose agent answers, and on whose account the work is counted.
//!
//! A transport reports a [`Caller`]: what it understood of the other side, none of it trusted yet. The desk checks it and
//! decides an [`Identity`], once, when the call begins. Nothing that a client sends later changes it.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, CallId, KeyId, TenantId};
use crate::trace::TraceContext;

/// Longest name of a person that is accepted, in bytes: telephone numbers, e-mail addresses and account ids are shorter.
const LONGEST_PERSON: usize = 200;

/// What telephone networks and Twilio give as the number of somebody who withholds it: these words, or the same words dialled on a
/// keypad. Source: Twilio's help page on calls from such numbers.
const WITHHELD: [&str; 10] = [
    "anonymous",
    "restricted",
    "blocked",
    "unknown",
    "unavailable",
    "+266696687",
    "+7378742833",
    "+2562533",
    "+8656696",
    "+86282452253",
];
/// How many digits a number has that is dialled from abroad: E.164 allows 15, and the shortest in use have 7.
const NUMBER_DIGITS: RangeInclusive<usize> = 7..=15;

/// What a transport understood of whoever calls. Only the desk reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The transport's name, for logs and metrics.
    pub transport: &'static str,
    /// The calling number or address, where the transport has verified it; `None` for a withheld number.
    pub from: Option<Arc<str>>,
    /// The number or address that was called.
    pub to: Option<Arc<str>>,
    /// Stands for the key that let the caller in, if there was one.
    pub key: Option<KeyId>,
    /// Whom the client says that it speaks for.
    pub person: Option<PersonId>,
    /// The caller's place in a trace, if the client named one.
    pub trace: Option<TraceContext>,
}

impl Caller {
    /// A caller of whom nothing is known but the transport.
    pub fn by(transport: &'static str) -> Self {
        Self { transport, from: None, to: None, key: None, person: None, trace: None }
    }
}

/// A name that means one person in every call to one tenant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(Arc<str>);

impl PersonId {
    /// The person's name as a client gives it; `None` if it names nobody or is too long to be a name.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        (!Self::is_nobody(name) && name.len() <= LONGEST_PERSON).then(|| Self(name.into()))
    }

    /// Whether a name says that it is not known who it is: it is empty, or what a withheld number is called. Whoever passes telephone
    /// calls on to another door may give it as a name, and it stands for many people.
    pub fn is_nobody(name: &str) -> bool {
        let name = name.trim();
        name.is_empty() || WITHHELD.iter().any(|withheld| name.eq_ignore_ascii_case(withheld))
    }

    /// The person whose telephone number this is. `None` unless it is a whole number with its country, such as `+493012345`:
    /// "anonymous", an extension or a placeholder for a withheld number stands for many people, who must not share memories.
    pub fn of_number(number: &str) -> Option<Self> {
        let number = number.trim();
        let digits = number.strip_prefix('+')?;
        let whole = NUMBER_DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        (whole && !Self::is_nobody(number)).then(|| Self(number.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&PersonId> for Arc<str> {
    fn from(person: &PersonId) -> Self {
        Self::clone(&person.0)
    }
}

/// A person's name may be a telephone number: it does not belong in a log.
impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonId(..)")
    }
}

/// What the desk decided about a call. It stays as it is until the call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The business or household that was called: nothing of another tenant's is seen.
    pub tenant: TenantId,
    /// Which of the tenant's agents answers.
    pub agent: AgentId,
    /// Who calls, if that is known. What they say is remembered under this name.
    pub person: Option<PersonId>,
    /// On whose account the call's work is counted.
    pub share: Share,
}

impl Identity {
    /// On whose behalf engines and caches are asked for this call.
    pub fn requester(&self) -> Requester {
        let is_for_person = self.person.is_some();
        Requester { tenant: self.tenant.clone(), share: self.share.clone(), is_for_person }
    }
}

/// On whose account work is counted: those who share an engine are kept apart by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// Everybody who presents this API key.
    Key(KeyId),
    /// One call or client session that has no key of its own.
    Session(CallId),
    /// Whoever asks from this address, where there are no keys.
    Address(IpAddr),
    /// The server itself: warm-up, background work, and commands run at this machine.
    Server,
}

/// On whose behalf an engine or a cache is asked. No request can be made without it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requester {
    /// Whose agent asks: caches never give one tenant what another was given.
    pub tenant: TenantId,
    /// On whose account the request is counted.
    pub share: Share,
    /// Whether it is for a call of a person who is known. What is made for them is nobody else's to read, so whoever looks at what a
    /// cache keeps is not shown its words.
    pub is_for_person: bool,
}

impl Requester {
    /// What may be shown of these words to whoever looks after the server: nothing if they belong to a person.
    pub fn label(&self, words: &str) -> String {
        if self.is_for_person { String::new() } else { words.to_owned() }
    }

    /// The server's own work for a tenant.
    pub fn server(tenant: TenantId) -> Self {
        Self { tenant, share: Share::Server, is_for_person: false }
    }

    /// Whoever sits at this machine: the command line, benchmarks and tests of engines. It shares the tenant of servers
    /// that have only one.
    pub fn local() -> Self {
        Self::server(TenantId::only())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_named_by_short_text_that_is_not_empty() {
        assert_eq!(PersonId::parse(" +4930123 ").as_ref().map(PersonId::as_str), Some("+4930123"));
        assert_eq!(PersonId::parse("  "), None);
        assert_eq!(PersonId::parse(&"9".repeat(LONGEST_PERSON + 1)), None);
    }

    #[test]
    fn a_withheld_number_is_nobody() {
        assert_eq!(PersonId::of_number("+4930123456").as_ref().map(PersonId::as_str), Some("+4930123456"));
        for number in WITHHELD.into_iter().chain(["Restricted", "ANONYMOUS", "", " "]) {
            assert_eq!(PersonId::of_number(number), None, "{number}");
            assert_eq!(PersonId::parse(number), None, "{number}, as a name");
        }
        let no_numbers = ["anonymous@anonymous.invalid", "+", "100", "+49 30 123", "+١٢٣٤٥٦٧", "4930123456"];
        for number in no_numbers {
            assert_eq!(PersonId::of_number(number), None, "{number}");
        }
    }

    #[test]
    fn a_person_is_not_printed() {
        let person = PersonId::parse("ada@example.com");
        assert!(!format!("{person:?}").contains("ada"));
    }
}
