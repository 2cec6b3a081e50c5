//! Memories with cached searches: [`CachedMemories`].

use std::sync::Arc;

use antiphon_core::{
    BoxFuture, Memories, Memory, PersonId, Recollection, Result, Search, StoreChange, StoreVersion, TenantId,
};
use futures_util::FutureExt;
use futures_util::future::try_join;

use super::search::{Store, search};
use super::{Changes, Name, Scope, SearchCache};

/// The memories of all persons; the results of searches in them are kept.
pub struct CachedMemories {
    memories: Arc<dyn Memories>,
    results: Arc<SearchCache>,
    name: Arc<str>,
}

impl CachedMemories {
    /// Keeps what is found in `memories`, the store of this `name`, in `results`.
    pub fn new(memories: Arc<dyn Memories>, results: Arc<SearchCache>, name: &str) -> Self {
        Self { memories, results, name: name.into() }
    }

    /// To report changes of what is remembered of `person` that are not made by [`Memory::remember`].
    pub fn changes(&self, tenant: &TenantId, person: &PersonId) -> Changes {
        Changes::new(self.scope(tenant, person))
    }

    fn scope(&self, tenant: &TenantId, person: &PersonId) -> Arc<Scope> {
        let (tenant, store) = (tenant.into(), Arc::clone(&self.name));
        self.results.scope(Name { tenant, store, person: Some(person.into()) })
    }
}

impl Memories for CachedMemories {
    fn of(&self, tenant: &TenantId, person: &PersonId) -> Arc<dyn Memory> {
        Arc::new(CachedMemory { store: self.memories.of(tenant, person), scope: self.scope(tenant, person) })
    }
}

/// The memory of one person.
struct CachedMemory {
    store: Arc<dyn Memory>,
    scope: Arc<Scope>,
}

impl Memory for CachedMemory {
    /// Before it ends, however it ends, results that may be out of date are dropped. Which those are is waited for only if
    /// nothing but the turn can have changed; otherwise all are dropped.
    fn remember(&self, person_said: String, agent_said: String) -> BoxFuture<'static, Result<()>> {
        let (store, before) = (Arc::clone(&self.store), self.store.version());
        let change = self.scope.begin(Some(before));
        let changed = Arc::clone(&self.scope).changed(vec![person_said.clone()]);
        let remembered = store.remember(person_said, agent_said);
        Box::pin(async move {
            let remembered = async {
                let remembered = remembered.await;
                let after = store.version();
                // Otherwise something else than what was said may have come or gone.
                let added_alone = after.change_since(before) == StoreChange::Passages;
                if added_alone && remembered.is_ok() { Ok(after) } else { Err(remembered) }
            };
            match try_join(remembered, changed.map(Ok)).await {
                Ok((after, changed)) => {
                    if let Some(changed) = changed {
                        change.end(after, &changed);
                    }
                    Ok(())
                }
                Err(remembered) => remembered,
            }
        })
    }

    fn recall(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
        search(&self.scope, &self.store, asked)
    }

    /// The profile is not kept, because each turn that is remembered may change it.
    fn profile(&self, limit: usize) -> BoxFuture<'static, Result<Vec<String>>> {
        self.store.profile(limit)
    }

    fn version(&self) -> StoreVersion {
        self.store.version()
    }
}

impl Store for Arc<dyn Memory> {
    type Found = Recollection;

    fn version(&self) -> StoreVersion {
        Memory::version(&**self)
    }

    fn search(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
        self.recall(asked)
    }
}
