//! What is likely said next, so that the answer can be there before it is asked for.

use std::sync::Arc;
use std::time::Duration;

use crate::TenantId;

/// An agent of a tenant: what was said to it says something of what will be, whoever speaks to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentVersion {
    tenant: TenantId,
    instructions: u64,
}

impl AgentVersion {
    /// The agent that is told `instructions`.
    pub fn new(tenant: TenantId, instructions: &str) -> Self {
        let hash = blake3::hash(instructions.trim().as_bytes());
        let (first, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
        Self::restored(tenant, u64::from_le_bytes(*first))
    }

    /// The agent whose [`Self::instructions`] these are.
    pub fn restored(tenant: TenantId, instructions: u64) -> Self {
        Self { tenant, instructions }
    }

    /// Whose it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What it is told, hashed with BLAKE3: the same wherever the server is started.
    pub fn instructions(&self) -> u64 {
        self.instructions
    }
}

/// Something that a person said and was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// Who said it: the person's name where it is known, else the call's.
    pub by: &'a str,
    /// What they had said before; `None` when this was the first.
    pub before: Option<&'a str>,
    /// The conversation until then, hashed: the same in all that went the same way.
    pub after: u64,
    /// It.
    pub text: &'a str,
    /// The answer had been given or made before.
    pub from_cache: bool,
}

/// What became of a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preparation<'a> {
    /// The question whose answer was to be prepared.
    pub question: &'a str,
    /// The conversation until then, as in [`Said::after`].
    pub after: u64,
    /// How long engines were at it.
    pub took: Duration,
    /// How it ended.
    pub outcome: PreparationOutcome,
}

/// How a preparation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreparationOutcome {
    /// An answer was made that was not there before.
    Made {
        /// What whoever asks for it will wait less.
        saves: Duration,
        /// The clauses that were spoken.
        clauses: usize,
    },
    /// The answer was there already.
    Found,
    /// The person spoke before it was made, it failed, or it is not one that can be used again.
    Dropped,
}

/// Learns from calls what is said after what, and says what is worth preparing. One for all calls; every method returns at
/// once.
pub trait Foresight: Send + Sync {
    /// Somebody said something to `agent`.
    fn learn(&self, agent: &AgentVersion, said: &Said<'_>);

    /// What is likely said next to `agent`, after `before` (`None`: at the beginning of the call), and is to be prepared
    /// now: the likeliest that is not among `already`. `None` when nothing is likely enough or this is not the time for it.
    /// Whoever is given something tells [`Self::prepared`] what became of it.
    fn next(&self, agent: &AgentVersion, before: Option<&str>, already: &[Arc<str>]) -> Option<Arc<str>>;

    /// What became of something that [`Self::next`] gave.
    fn prepared(&self, agent: &AgentVersion, preparation: &Preparation<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_differ_by_tenant_and_by_what_they_are_told() {
        let one = AgentVersion::new(TenantId::new("a"), "Be kind.");
        assert_eq!(one, AgentVersion::new(TenantId::new("a"), " Be kind.\n"));
        assert_ne!(one, AgentVersion::new(TenantId::new("b"), "Be kind."));
        assert_ne!(one, AgentVersion::new(TenantId::new("a"), "Be rude."));
        assert_eq!(one, AgentVersion::restored(TenantId::new("a"), one.instructions()));
    }
}
