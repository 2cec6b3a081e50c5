//! Knowledge with cached searches: [`CachedKnowledge`].

use std::sync::Arc;

use antiphon_core::{BoxFuture, Knowledge, Passage, Result, Search, StoreVersion, TenantId};

use super::search::{Store, search};
use super::{Changes, Name, Scope, SearchCache};

/// A tenant's documents; the results of searches in them are kept.
pub struct CachedKnowledge {
    store: Arc<dyn Knowledge>,
    tenant: TenantId,
    scope: Arc<Scope>,
}

impl CachedKnowledge {
    /// Keeps what is found in `store`, the tenant's store with this `name`, in `results`.
    pub fn new(store: Arc<dyn Knowledge>, results: &SearchCache, tenant: TenantId, name: &str) -> Self {
        let scope = results.scope(Name { tenant: (&tenant).into(), store: name.into(), person: None });
        Self { store, tenant, scope }
    }

    /// To report changes of the documents.
    pub fn changes(&self) -> Changes {
        Changes::new(Arc::clone(&self.scope))
    }
}

impl Knowledge for CachedKnowledge {
    /// What is kept answers the tenant whose documents they are; a store may refuse others.
    fn search(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Passage>>> {
        if asked.requester.tenant == self.tenant {
            search(&self.scope, &self.store, asked)
        } else {
            self.store.search(asked)
        }
    }

    fn version(&self) -> StoreVersion {
        self.store.version()
    }
}

impl Store for Arc<dyn Knowledge> {
    type Found = Passage;

    fn version(&self) -> StoreVersion {
        Knowledge::version(&**self)
    }

    fn search(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Passage>>> {
        Knowledge::search(&**self, asked)
    }
}
