//! Reports of what changed in a store: [`Changes`].

use std::sync::Arc;

use antiphon_core::StoreVersion;

use super::scope::Scope;

/// Reports the changes of a store to the cache of its results. To be used by whatever makes the changes: the store, or something
/// in front of it.
#[derive(Clone)]
pub struct Changes(Arc<Scope>);

impl Changes {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        Self(scope)
    }

    /// Anything may have changed: all results are dropped, at once and in constant time.
    pub fn invalidate(&self) {
        self.0.forget();
    }

    /// These texts, as searches find them, came or went, and nothing else; of a text that was altered, both forms. That made the
    /// store's version `version`; the default if it does not count.
    ///
    /// The results of queries are dropped that found one of the texts, or that are close enough to one in meaning to find it.
    /// This is right for stores that rank each passage by how close it is to the query; where a text can make a difference to
    /// which others are found, use [`Self::invalidate`].
    ///
    /// From the call on no earlier result is served until the future has ended, which takes a second at most. If it is dropped
    /// before, or if closeness cannot be computed, all results are dropped.
    pub fn changed(
        &self,
        texts: Vec<String>,
        version: StoreVersion,
    ) -> impl Future<Output = ()> + Send + 'static {
        let change = self.0.begin(None);
        let changed = Arc::clone(&self.0).changed(texts);
        async move {
            if let Some(changed) = changed.await {
                change.end(version, &changed);
            }
        }
    }
}
