//! The results of one store for one tenant, and for one person if it remembers persons: a state machine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::{Embed, Priority, StoreChange, StoreVersion, lock};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::timeout;

use super::Name;
use super::changed::Changed;
use crate::{Cache, CachedEmbed, Draft, Entry, Key, KeyBuilder, Kind};

/// The most results of one scope; beyond that the oldest is dropped. Checking all of them when something changes takes a few
/// milliseconds at most (`cargo bench -p antiphon-cache --bench cache_results`).
pub(super) const MAX_KEPT: usize = 4_096;
/// How long embedding a changed text may take; after that it is taken to concern all queries. The store is asked meanwhile: a
/// second of that costs less than dropping all results, a longer time would not.
pub(super) const WITHIN: Duration = Duration::from_secs(1);

/// The results of one scope.
pub(super) struct Scope {
    tenant: Arc<str>,
    name: Key,
    cache: Arc<Cache>,
    pub(super) embed: Arc<CachedEmbed>,
    state: Mutex<ScopeState>,
}

struct ScopeState {
    /// Part of every key, so that results of an earlier generation are never found again.
    generation: u64,
    /// The version of the store up to which it is known what changed.
    version: StoreVersion,
    /// How often something changed: the results of a search that began earlier may be out of date.
    moment: u64,
    /// How many changes of the store have begun and not ended.
    changes: usize,
    /// The keys of this generation's results, the oldest first; some may have left the cache.
    kept: VecDeque<Key>,
}

/// The outcome of looking up a query.
pub(super) enum LookupOutcome {
    /// The results are kept.
    Found(Arc<Entry>),
    /// They are not kept, but may be kept in this place once the store has searched.
    Missing(Place),
    /// The store has to be asked, and its results may not be kept now.
    Unusable,
}

/// The place where results may be kept.
pub(super) struct Place {
    key: Key,
    moment: u64,
}

/// A change of the store that is under way. No earlier results are served until it is dropped; then they are dropped, too, unless
/// [`Self::end`] was told what changed and no other change came in between.
pub(super) struct Change {
    scope: Arc<Scope>,
    moment: u64,
    /// The version after the change, and the keys of the results that remain valid.
    remains: Option<(StoreVersion, VecDeque<Key>)>,
}

impl ScopeState {
    /// Drops all results, in constant time.
    fn forget(&mut self) {
        // Unique in the process, so that a scope that is made anew finds no results of its predecessor.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.generation = NEXT.fetch_add(1, Ordering::Relaxed);
        self.moment += 1;
        self.kept.clear();
    }

    /// Notes that the store is at `version`; drops all results if that is not the known one.
    fn at(&mut self, version: StoreVersion) {
        if self.version != version {
            self.version = version;
            self.forget();
        }
    }
}

impl Scope {
    pub(super) fn new(name: Name, cache: Arc<Cache>, embed: Arc<CachedEmbed>) -> Self {
        let mut key = KeyBuilder::new(Kind::Result, &name.tenant);
        key.add(&*name.store);
        if let Some(person) = &name.person {
            key.add(&**person);
        }
        let mut state = ScopeState {
            generation: 0,
            version: StoreVersion::default(),
            moment: 0,
            changes: 0,
            kept: VecDeque::new(),
        };
        state.forget();
        Self { tenant: name.tenant, name: key.build(), cache, embed, state: Mutex::new(state) }
    }

    /// Looks a query up, for a store that is at `version`.
    pub(super) fn look_up(&self, query: &str, limit: usize, version: StoreVersion) -> LookupOutcome {
        let (generation, moment) = {
            let mut state = lock(&self.state);
            // A cache of another kind may have layers. They outlive the process, while generations begin anew with it.
            let is_used = self.cache.kind() == Kind::Result && self.cache.is_on();
            if state.changes > 0 || !is_used {
                return LookupOutcome::Unusable;
            }
            state.at(version);
            (state.generation, state.moment)
        };
        let mut key = KeyBuilder::new(Kind::Result, &self.tenant);
        key.add(self.name.as_bytes()).add(generation.to_le_bytes());
        let key = key.add((limit as u64).to_le_bytes()).add(query).build();
        // A cache of results has no layers, so the future is ready at once.
        match self.cache.get(&self.tenant, &key).now_or_never().flatten() {
            Some(entry) => LookupOutcome::Found(entry),
            None => LookupOutcome::Missing(Place { key, moment }),
        }
    }

    /// Keeps the results of a query, unless something has changed since it was looked up. `version`: the store's, now.
    pub(super) fn keep(
        &self,
        place: &Place,
        version: StoreVersion,
        label: String,
        value: Bytes,
        cost: Duration,
    ) {
        let mut state = lock(&self.state);
        if state.moment != place.moment || state.changes > 0 || state.version != version {
            return;
        }
        if state.kept.len() >= MAX_KEPT
            && let Some(oldest) = state.kept.pop_front()
        {
            self.remove(vec![oldest]);
        }
        state.kept.push_back(place.key);
        let (key, tenant) = (place.key, Arc::clone(&self.tenant));
        self.cache.put(Draft { key, tenant, label, value, cost, priority: Priority::LiveTurn });
    }

    /// Drops all results, so that every search is made anew.
    pub(super) fn forget(&self) {
        lock(&self.state).forget();
    }

    /// The store begins to change, or has just changed. `version`: the store's before the change, if known.
    pub(super) fn begin(self: &Arc<Self>, version: Option<StoreVersion>) -> Change {
        let mut state = lock(&self.state);
        if let Some(version) = version {
            state.at(version);
        }
        state.moment += 1;
        state.changes += 1;
        Change { scope: Arc::clone(self), moment: state.moment, remains: None }
    }

    /// The change that these texts came or went; `None` if they cannot be embedded in time.
    pub(super) async fn changed(self: Arc<Self>, texts: Vec<String>) -> Option<Changed> {
        if lock(&self.state).kept.is_empty() {
            return Some(Changed::default());
        }
        let vectors = timeout(WITHIN, self.embed.embed(texts.clone(), Priority::Extraction)).await;
        let vectors = vectors.ok()?.ok().filter(|vectors| vectors.len() == texts.len())?;
        Some(Changed { texts, vectors })
    }

    fn remove(&self, keys: Vec<Key>) {
        // A cache of results has no layers, so the future is ready at once.
        let _ = self.cache.remove(keys).now_or_never();
    }
}

impl Change {
    /// Only `changed` came or went, and that made the store's version `version`; the default if it does not count.
    pub(super) fn end(mut self, version: StoreVersion, changed: &Changed) {
        let kept = {
            let mut state = lock(&self.scope.state);
            if version.change_since(state.version) == StoreChange::Anything {
                // Something else has changed as well.
                return;
            }
            std::mem::take(&mut state.kept)
        };
        let scope = &self.scope;
        let remains = |key: &Key| {
            let entry = scope.cache.peek(&scope.tenant, key);
            entry.is_some_and(|entry| !changed.concerns(&entry.value))
        };
        let (remain, gone): (VecDeque<_>, VecDeque<_>) = kept.into_iter().partition(remains);
        scope.remove(gone.into());
        self.remains = Some((version, remain));
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let mut state = lock(&self.scope.state);
        state.changes -= 1;
        match self.remains.take() {
            Some((version, kept)) if state.moment == self.moment => {
                state.version = state.version.max(version);
                state.kept = kept;
            }
            _ => state.forget(),
        }
    }
}
