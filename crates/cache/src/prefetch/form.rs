//! What was learned, as it is written to disk: a version, then the tenant,
//! the hash of the instructions and the chain of each agent.

use antiphon_core::{AgentVersion, TenantId};

use super::agents::Agents;
use super::chain::Chain;
use crate::written::{self, part, put, take, text};

/// The version of the format; bytes of another version are not read.
const VERSION: u8 = 1;

/// Writes the agents and their chains, the agent that was called longest ago first.
pub(super) fn to_bytes<'a>(chains: impl Iterator<Item = (&'a AgentVersion, Vec<u8>)>) -> Vec<u8> {
    let mut out = written::begin();
    out.push(VERSION);
    for (agent, chain) in chains {
        put(&mut out, agent.tenant().as_str().as_bytes());
        out.extend(agent.instructions().to_le_bytes());
        put(&mut out, &chain);
    }
    written::seal(out)
}

/// Reads what [`to_bytes`] wrote; `None` if it is damaged, cut short or of another version.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<Agents> {
    let mut rest = written::open(bytes)?;
    if take(&mut rest)? != [VERSION] {
        return None;
    }
    let mut agents = Agents::default();
    while !rest.is_empty() {
        let tenant = TenantId::new(text(&mut rest)?);
        let agent = AgentVersion::restored(tenant, u64::from_le_bytes(take(&mut rest)?));
        let chain = Chain::from_bytes(part(&mut rest)?)?;
        if !agents.add(agent, chain) {
            return None;
        }
    }
    Some(agents)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_agent_that_comes_twice_is_damage() {
        let agent = AgentVersion::new("a".into(), "Be kind.");
        let chain = || (&agent, Chain::default().to_bytes());
        assert!(from_bytes(&to_bytes([chain()].into_iter())).is_some());
        assert!(from_bytes(&to_bytes([chain(), chain()].into_iter())).is_none());
    }

    proptest! {
        #[test]
        fn any_content_is_taken(content: Vec<u8>) {
            let mut form = written::begin();
            form.push(VERSION);
            form.extend(content);
            let _ = from_bytes(&written::seal(form));
        }
    }
}
