//! Decides which agent of which tenant answers a call.

use std::sync::Arc;

use antiphon_agent::Agent;
use antiphon_core::{AgentId, BoxFuture, Caller, KeyId, PersonId, Result, TenantId};
use futures_util::FutureExt;

/// Knows the tenants and their agents.
pub trait Directory: Send + Sync {
    /// The agent that answers this caller. An error means that nobody answers, and is shown to the caller.
    fn answer(&self, caller: &Caller) -> BoxFuture<'_, Result<Answer>>;

    /// The tenant to which this key belongs. Used for REST requests, which belong to no call.
    fn tenant(&self, key: Option<&KeyId>) -> TenantId;
}

/// The agent that answers, and the identity that the caller has there.
#[derive(Clone)]
pub struct Answer {
    /// The tenant whose agent answers.
    pub tenant: TenantId,
    /// The agent's name among those of its tenant.
    pub agent_id: AgentId,
    /// The person who calls, if known.
    pub person: Option<PersonId>,
    /// The agent: how it behaves, and its memories, knowledge and tools.
    pub agent: Arc<Agent>,
}

/// One agent for all callers, as the configuration file describes it. Needs no database.
pub struct OneAgent {
    tenant: TenantId,
    agent_id: AgentId,
    agent: Arc<Agent>,
}

impl OneAgent {
    /// A directory of this agent alone.
    pub fn new(agent: Arc<Agent>) -> Self {
        Self { tenant: TenantId::only(), agent_id: AgentId::only(), agent }
    }
}

impl Directory for OneAgent {
    /// The doors pass on only names that they believe ([`Entrant::may_name_a_person`](crate::Entrant::may_name_a_person)). A verified
    /// number counts as a person as well; a withheld number does not.
    fn answer(&self, caller: &Caller) -> BoxFuture<'_, Result<Answer>> {
        let of_number = || PersonId::of_number(caller.from.as_deref()?);
        let answer = Answer {
            tenant: self.tenant.clone(),
            agent_id: self.agent_id.clone(),
            person: caller.person.clone().or_else(of_number),
            agent: self.agent.clone(),
        };
        std::future::ready(Ok(answer)).boxed()
    }

    fn tenant(&self, _: Option<&KeyId>) -> TenantId {
        self.tenant.clone()
    }
}
