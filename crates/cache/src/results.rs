//! Search results from the cache: [`SearchCache`], for [`CachedKnowledge`] and [`CachedMemories`].
//!
//! Results are kept in memory only. They are quick to make again, and what is gone with the process can never be stale.
//!
//! Nothing stale is served. If the version of a store rises and it is not known what changed, all results of the store are
//! dropped. If it is known, only the results of queries are dropped that the change may concern. While a change is under way,
//! and whenever there is a doubt, the store is asked.

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
use std::sync::{Arc, Mutex};

use super::{Cache, CachedEmbed, Kind};
use antiphon_core::lock;
pub use changes::Changes;
pub use knowledge::CachedKnowledge;
pub use memory::CachedMemories;
use scope::Scope;

/// Scopes that are remembered, at some 200 bytes each. If there are more, only those in use are.
const MAX_SCOPES: usize = 10_000;

/// The results of searches in all stores.
pub struct SearchCache {
    cache: Arc<Cache>,
    embed: Arc<CachedEmbed>,
    scopes: Mutex<HashMap<Name, Arc<Scope>>>,
}

/// The name of a scope of results: a tenant, a store, and a person if the store remembers persons.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    tenant: Arc<str>,
    store: Arc<str>,
    person: Option<Arc<str>>,
}

impl SearchCache {
    /// Keeps results in `cache`, which must be one of [`Kind::Result`]. With one of another kind, which may have layers, nothing
    /// is kept, and that is logged once. `embed` must be the one that the stores embed queries with, since it decides how close
    /// a change is to a query; for a store that uses another one, every change drops all results.
    pub fn new(cache: Arc<Cache>, embed: Arc<CachedEmbed>) -> Self {
        if cache.kind() != Kind::Result {
            let kind = cache.kind().name();
            tracing::warn!(kind, "what searches find is not kept: give it a cache of results");
        }
        Self { cache, embed, scopes: Mutex::default() }
    }

    /// The cache of the results: to be measured, cleaned, cleared and switched off.
    pub fn cache(&self) -> Arc<Cache> {
        Arc::clone(&self.cache)
    }

    fn scope(&self, name: Name) -> Arc<Scope> {
        let mut scopes = lock(&self.scopes);
        if scopes.len() >= MAX_SCOPES && !scopes.contains_key(&name) {
            // A scope in use must stay the only one of its name, because changes are reported to it.
            scopes.retain(|_, scope| Arc::strong_count(scope) > 1);
        }
        let new = |name: &Name| {
            Arc::new(Scope::new(name.clone(), Arc::clone(&self.cache), Arc::clone(&self.embed)))
        };
        Arc::clone(scopes.entry(name).or_insert_with_key(new))
    }
}
