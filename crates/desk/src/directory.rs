//! Which agent of which tenant answers whom.

use std::sync::Arc;

use antiphon_agent::Agent;
use antiphon_core::{AgentId, BoxFuture, Caller, KeyId, PersonId, Result, TenantId};
use futures_util::FutureExt;

/// Knows the tenants and their agents.
pub trait Directory: Send + Sync {
    /// Who answers this caller. An error is for the caller: nobody answers here.
    fn answer(&self, caller: &Caller) -> BoxFuture<'_, Result<Answer>>;

    /// Whose requests come with this key: what is asked over REST, without a call.
    fn tenant(&self, key: Option<&KeyId>) -> TenantId;
}

/// Who answers, and as whom the caller is known there.
#[derive(Clone)]
pub struct Answer {
    /// Whose agent answers.
    pub tenant: TenantId,
    /// The agent's name among those of its tenant.
    pub agent_id: AgentId,
    /// Who calls, if that is known.
    pub person: Option<PersonId>,
    /// The agent itself.
    pub agent: Arc<Agent>,
}

/// One agent for everybody, as the configuration file describes it: needs no database.
pub struct OneAgent {
    tenant: TenantId,
    agent_id: AgentId,
    agent: Arc<Agent>,
}

impl OneAgent {
    /// The agent of a server that has only one.
    pub fn new(agent: Arc<Agent>) -> Self {
        Self { tenant: TenantId::only(), agent_id: AgentId::only(), agent }
    }
}

impl Directory for OneAgent {
    /// Whoever may call at all may say whom they speak for. A verified number is a person, too; a withheld one is nobody.
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
