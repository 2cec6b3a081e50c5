//! Knowledge with cached searches: [`CachedKnowledge`].

use std::sync::Arc;

use antiphon_core::{BoxFuture, Knowledge, Passage, Result, StoreVersion};

use super::search::{Store, search};
use super::{Changes, Name, Scope, SearchCache};

/// A tenant's documents; the results of searches in them are kept.
pub struct CachedKnowledge {
    store: Arc<dyn Knowledge>,
    scope: Arc<Scope>,
}

impl CachedKnowledge {
    /// Keeps what is found in `store`, the tenant's store with this `name`, in `results`.
    pub fn new(store: Arc<dyn Knowledge>, results: &SearchCache, tenant: &str, name: &str) -> Self {
        let scope = results.scope(Name { tenant: tenant.into(), store: name.into(), person: None });
        Self { store, scope }
    }

    /// To report changes of the documents.
    pub fn changes(&self) -> Changes {
        Changes::new(Arc::clone(&self.scope))
    }
}

impl Knowledge for CachedKnowledge {
    fn search(&self, about: String, limit: usize) -> BoxFuture<'static, Result<Vec<Passage>>> {
        search(&self.scope, &self.store, about, limit)
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

    fn search(&self, about: String, limit: usize) -> BoxFuture<'static, Result<Vec<Passage>>> {
        Knowledge::search(&**self, about, limit)
    }
}
