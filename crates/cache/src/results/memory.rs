//! Memories of which searches are cached.

use std::sync::Arc;

use antiphon_core::{
    BoxFuture, Memories, Memory, PersonId, Recollection, Result, Search, StoreChange, StoreVersion, TenantId,
};
use futures_util::FutureExt;
use futures_util::future::try_join;

use super::search::{Store, search};
use super::{Changes, Name, Scope, SearchCache};

/// The memories of everybody, of which what was found is kept.
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

    /// For whoever changes what is remembered of `person` in another way than by [`Memory::remember`].
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

/// One person's.
struct CachedMemory {
    store: Arc<dyn Memory>,
    scope: Arc<Scope>,
}

impl Memory for CachedMemory {
    /// What was found before and may be another now is forgotten before it ends, however it ends. What the turn concerns
    /// is waited for only if nothing else can have changed; without it all is forgotten.
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

    /// Each turn that is remembered may change it: it is not kept.
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
