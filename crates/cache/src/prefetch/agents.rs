//! What was learned of each agent. Nothing is shared between agents, and so nothing between tenants.

use std::collections::HashMap;

use antiphon_core::{AgentVersion, TenantId};

use super::chain::Chain;

/// Agents remembered, at most; each takes up to a quarter of a megabyte (see `chain.rs`).
const MAX_AGENTS: usize = 128;

/// The chains of all agents.
#[derive(Default)]
pub(super) struct Agents {
    chains: HashMap<AgentVersion, Known>,
    /// A count of what was learned, in place of a clock.
    now: u64,
}

struct Known {
    chain: Chain,
    /// The count when something was last learned of it.
    latest: u64,
}

impl Agents {
    /// What is known of an agent.
    pub(super) fn get(&self, agent: &AgentVersion) -> Option<&Chain> {
        self.chains.get(agent).map(|known| &known.chain)
    }

    /// What is known of an agent, to learn more. Where there are too many agents, one is forgotten for it.
    pub(super) fn open(&mut self, agent: &AgentVersion) -> &mut Chain {
        if !self.chains.contains_key(agent) && self.chains.len() >= MAX_AGENTS {
            self.forget_one();
        }
        self.now += 1;
        let known =
            self.chains.entry(agent.clone()).or_insert_with(|| Known { chain: Chain::default(), latest: 0 });
        known.latest = self.now;
        &mut known.chain
    }

    /// Adds what was read of an agent; false if the agent is known already, or there is no room.
    pub(super) fn add(&mut self, agent: AgentVersion, chain: Chain) -> bool {
        let room = self.chains.len() < MAX_AGENTS;
        self.now += 1;
        room && self.chains.insert(agent, Known { chain, latest: self.now }).is_none()
    }

    /// All agents; the one that was called longest ago comes first.
    pub(super) fn all(&self) -> Vec<AgentVersion> {
        let mut agents: Vec<_> = self.chains.iter().collect();
        agents.sort_unstable_by_key(|(_, known)| known.latest);
        agents.into_iter().map(|(agent, _)| agent.clone()).collect()
    }

    /// The number of questions known, over all agents.
    pub(super) fn questions(&self) -> usize {
        self.chains.values().map(|known| known.chain.questions()).sum()
    }

    /// Forgets one agent of the tenant that has most: the one that was called longest ago. So a tenant whose instructions are
    /// different in each call pushes out only its own.
    fn forget_one(&mut self) {
        let mut agents: HashMap<&TenantId, usize> = HashMap::new();
        for agent in self.chains.keys() {
            *agents.entry(agent.tenant()).or_default() += 1;
        }
        let most = |agent: &AgentVersion| agents.get(agent.tenant()).copied().unwrap_or_default();
        let first = self.chains.iter().min_by_key(|(agent, known)| (usize::MAX - most(agent), known.latest));
        if let Some(agent) = first.map(|(agent, _)| agent.clone()) {
            self.chains.remove(&agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_with_ever_new_agents_pushes_out_only_its_own() {
        let mut agents = Agents::default();
        let quiet: Vec<AgentVersion> =
            (0..3).map(|n| AgentVersion::new("quiet".into(), &n.to_string())).collect();
        for agent in &quiet {
            agents.open(agent);
        }
        let loud = |n: usize| AgentVersion::new("loud".into(), &n.to_string());
        for n in 0..1_000 {
            agents.open(&loud(n));
        }
        assert_eq!(agents.chains.len(), MAX_AGENTS);
        assert!(quiet.iter().all(|agent| agents.get(agent).is_some()));
        assert!(agents.get(&loud(999)).is_some() && agents.get(&loud(0)).is_none(), "the oldest go");
    }
}
