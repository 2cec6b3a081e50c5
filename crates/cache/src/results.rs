//! What searches found: [`SearchCache`], for [`CachedKnowledge`] and [`CachedMemories`].
//!
//! Results are kept in memory alone. They are quick to make again, and what is gone with the process can never be stale.
//!
//! Nothing stale is served. What a store tells of itself by its version counts first: if it rises and nobody has said
//! what changed, all that was found in the store before is forgotten. Where what changed is known, only those queries
//! are forgotten that it may concern. While a change is under way, and whenever there is a doubt, the store is asked.

mod changed;
mod changes;
mod knowledge;
mod memory;
mod record;
mod scope;
mod search;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Cache, CachedEmbed, Kind};
pub use changes::Changes;
pub use knowledge::CachedKnowledge;
pub use memory::CachedMemories;
use scope::Scope;

/// Stores and persons of whom results are kept: some 200 bytes each. Of more, only those are that somebody talks to.
const MAX_SCOPES: usize = 10_000;

/// The results of searches in all stores.
pub struct SearchCache {
    cache: Arc<Cache>,
    embed: Arc<CachedEmbed>,
    scopes: Mutex<HashMap<Name, Arc<Scope>>>,
}

/// Whose results: of a tenant, in a store, of a person if it is one that remembers persons.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    tenant: Arc<str>,
    store: Arc<str>,
    person: Option<Arc<str>>,
}

impl SearchCache {
    /// Keeps results in `cache`, one of [`Kind::Result`]; nothing in one of another kind, which may have layers, and this is
    /// told once. How close texts are is told by `embed`, with which the stores embed what is asked for: of one that does
    /// it in another way all is forgotten whenever it changes.
    pub fn new(cache: Arc<Cache>, embed: Arc<CachedEmbed>) -> Self {
        if cache.kind() != Kind::Result {
            let kind = cache.kind().name();
            tracing::warn!(kind, "what searches find is not kept: give it a cache of results");
        }
        Self { cache, embed, scopes: Mutex::default() }
    }

    /// What the results are kept in: to be counted, cleaned, cleared and switched off.
    pub fn cache(&self) -> Arc<Cache> {
        Arc::clone(&self.cache)
    }

    fn scope(&self, name: Name) -> Arc<Scope> {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        if scopes.len() >= MAX_SCOPES && !scopes.contains_key(&name) {
            // A scope that somebody holds has to stay the only one of its name: changes are told to it.
            scopes.retain(|_, scope| Arc::strong_count(scope) > 1);
        }
        let new = |name: &Name| {
            Arc::new(Scope::new(name.clone(), Arc::clone(&self.cache), Arc::clone(&self.embed)))
        };
        Arc::clone(scopes.entry(name).or_insert_with_key(new))
    }
}
