//! Prefetching: answers to questions that are likely to come next are made before anybody asks.

use std::sync::Arc;
use std::time::Duration;

use crate::TenantId;

/// A tenant's agent with its present instructions. What callers ask it predicts what other callers will ask; an agent whose
/// instructions are changed counts as another one, because its answers change too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentVersion {
    tenant: TenantId,
    instructions: u64,
}

impl AgentVersion {
    /// The agent with these `instructions`.
    pub fn new(tenant: TenantId, instructions: &str) -> Self {
        let hash = blake3::hash(instructions.trim().as_bytes());
        let (first, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
        Self::restored(tenant, u64::from_le_bytes(*first))
    }

    /// The agent with the hash that [`Self::instructions`] gave.
    pub fn restored(tenant: TenantId, instructions: u64) -> Self {
        Self { tenant, instructions }
    }

    /// The tenant whose agent it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// A BLAKE3 hash of its instructions, stable across restarts and machines because it is written to disk.
    pub fn instructions(&self) -> u64 {
        self.instructions
    }
}

/// A question that a person asked and that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnsweredQuestion<'a> {
    /// Who asked it: the person's name where it is known, else the call's id.
    pub by: &'a str,
    /// The question that the same person asked before; `None` when this was the first of the call.
    pub before: Option<&'a str>,
    /// A hash of the conversation until then: equal for all conversations that went the same way.
    pub after: u64,
    /// The question in the person's words.
    pub text: &'a str,
    /// The answer came from a cache.
    pub from_cache: bool,
}

/// A prefetch that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefetched<'a> {
    /// The question whose answer was prefetched.
    pub question: &'a str,
    /// A hash of the conversation until then, as in [`AnsweredQuestion::after`].
    pub after: u64,
    /// How long engines worked on it.
    pub took: Duration,
    /// Whether there is an answer now, and if not, why.
    pub outcome: PrefetchOutcome,
}

/// How a prefetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefetchOutcome {
    /// An answer was made that no cache held before.
    Made {
        /// How much less whoever asks for it will have to wait.
        saves: Duration,
        /// How many clauses were spoken.
        clauses: usize,
    },
    /// A cache held the answer already.
    Found,
    /// The person spoke before the answer was complete, it failed, or it is one that cannot be used again.
    Dropped,
}

/// Learns from calls which question follows which, and says which answers are worth making before they are asked for. One
/// instance serves all calls; every method returns at once.
///
/// # Example
///
/// A prefetch that always expects the question which was asked last, by anybody:
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use antiphon_core::{AgentVersion, AnsweredQuestion, Prefetch, Prefetched, lock};
///
/// #[derive(Default)]
/// struct Last(Mutex<Option<Arc<str>>>);
///
/// impl Prefetch for Last {
///     fn learn(&self, _: &AgentVersion, question: &AnsweredQuestion<'_>) {
///         *lock(&self.0) = Some(question.text.into());
///     }
///
///     fn next(&self, _: &AgentVersion, _: Option<&str>, already: &[Arc<str>]) -> Option<Arc<str>> {
///         lock(&self.0).clone().filter(|question| !already.contains(question))
///     }
///
///     fn finished(&self, _: &AgentVersion, _: &Prefetched<'_>) {}
/// }
///
/// let (last, agent) = (Last::default(), AgentVersion::new("shop".into(), "Be kind."));
/// let asked =
///     AnsweredQuestion { by: "ada", before: None, after: 0, text: "Are you open?", from_cache: false };
/// last.learn(&agent, &asked);
/// let next = last.next(&agent, None, &[]).expect("a question");
/// assert_eq!(&*next, "Are you open?");
/// assert_eq!(last.next(&agent, None, &[next]), None);
/// ```
pub trait Prefetch: Send + Sync {
    /// A question to `agent` was answered.
    fn learn(&self, agent: &AgentVersion, question: &AnsweredQuestion<'_>);

    /// The question to prefetch now: the likeliest after `before` (`None`: at the beginning of the call) that is not in
    /// `already`. `None` when no question is likely enough or engines have other work to do. The caller must report the
    /// result with [`Self::finished`].
    fn next(&self, agent: &AgentVersion, before: Option<&str>, already: &[Arc<str>]) -> Option<Arc<str>>;

    /// The prefetch of a question that [`Self::next`] gave is over.
    fn finished(&self, agent: &AgentVersion, prefetched: &Prefetched<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_differ_by_tenant_and_by_what_they_are_told() {
        let one = AgentVersion::new("a".into(), "Be kind.");
        assert_eq!(one, AgentVersion::new("a".into(), " Be kind.\n"));
        assert_ne!(one, AgentVersion::new("b".into(), "Be kind."));
        assert_ne!(one, AgentVersion::new("a".into(), "Be rude."));
        assert_eq!(one, AgentVersion::restored("a".into(), one.instructions()));
    }
}
