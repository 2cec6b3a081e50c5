//! Telling a cache what changed.

use std::sync::Arc;

use antiphon_core::StoreVersion;

use super::scope::Scope;

/// To be told of changes by whoever makes them: a store, or what stands before it.
#[derive(Clone)]
pub struct Changes(Arc<Scope>);

impl Changes {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        Self(scope)
    }

    /// Anything may have changed: all that was found is forgotten, at once and in constant time.
    pub fn invalidate(&self) {
        self.0.forget();
    }

    /// These texts, as they are found, came or went, and nothing else; of a text that was altered, both. That made the
    /// store's version `version`; the default if it does not count.
    ///
    /// Queries are forgotten that found one of the texts, or that are close enough to one in meaning to find it. So it is
    /// for stores that find what is close to what is asked for by itself: where a text can make a difference to what
    /// else is found, [`Self::invalidate`] is right.
    ///
    /// From the call on nothing is served that was found before, until the future has ended, a second at most. If it is
    /// dropped before, or what is close cannot be told, all is forgotten.
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
