//! What is kept of one store, for one tenant and perhaps one person: a state machine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon_core::{Embed, Priority, StoreChange, StoreVersion};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::timeout;

use super::Name;
use super::changed::Changed;
use crate::{Cache, CachedEmbed, Draft, Entry, Key, KeyBuilder, Kind};

/// Results kept of one scope; then the oldest goes. To look at all of them when something changes takes a few
/// milliseconds at most (`cargo bench -p antiphon-cache --bench cache_results`).
pub(super) const MAX_KEPT: usize = 4_096;
/// A text that is not embedded by then is taken to concern everything. Meanwhile the store is asked: a second of that
/// costs less than to have nothing cached, more would not.
pub(super) const WITHIN: Duration = Duration::from_secs(1);

/// The results of one scope.
pub(super) struct Scope {
    tenant: Arc<str>,
    name: Key,
    cache: Arc<Cache>,
    pub(super) embed: Arc<CachedEmbed>,
    state: Mutex<State>,
}

struct State {
    /// Part of every key: what was kept under another one is never found again.
    generation: u64,
    /// The store's, as far as it is known what changed.
    version: StoreVersion,
    /// How often something changed: what was searched in between may be old.
    moment: u64,
    /// Changes under way.
    changes: usize,
    /// The oldest first. All that is in the cache under this generation; some of it may be gone from there.
    kept: VecDeque<Key>,
}

/// What is known of a query.
pub(super) enum Looked {
    /// Its record.
    Found(Arc<Entry>),
    /// Nothing; what is found may be kept here.
    Missing(Place),
    /// The store has to be asked each time now.
    Unknown,
}

/// Where to keep what is found.
pub(super) struct Place {
    key: Key,
    moment: u64,
}

/// A change of what the store knows, under way. What was found before is not served until it is dropped; then it is
/// forgotten, unless [`Self::end`] said what changed and no other change came between.
pub(super) struct Change {
    scope: Arc<Scope>,
    moment: u64,
    /// The version that it made, and what remains.
    remains: Option<(StoreVersion, VecDeque<Key>)>,
}

impl State {
    /// In constant time.
    fn forget(&mut self) {
        // Unique in the process: a scope that is made anew finds nothing of the one before.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.generation = NEXT.fetch_add(1, Ordering::Relaxed);
        self.moment += 1;
        self.kept.clear();
    }

    /// The store is known to be at `version`.
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
        let mut state = State {
            generation: 0,
            version: StoreVersion::default(),
            moment: 0,
            changes: 0,
            kept: VecDeque::new(),
        };
        state.forget();
        Self { tenant: name.tenant, name: key.build(), cache, embed, state: Mutex::new(state) }
    }

    /// What is kept of a query, for a store of this version.
    pub(super) fn look_up(&self, query: &str, limit: usize, version: StoreVersion) -> Looked {
        let (generation, moment) = {
            let mut state = self.state();
            // One of another kind may have layers, which outlive the process: its generations begin anew.
            let is_used = self.cache.kind() == Kind::Result && self.cache.is_on();
            if state.changes > 0 || !is_used {
                return Looked::Unknown;
            }
            state.at(version);
            (state.generation, state.moment)
        };
        let mut key = KeyBuilder::new(Kind::Result, &self.tenant);
        key.add(self.name.as_bytes()).add(generation.to_le_bytes());
        let key = key.add((limit as u64).to_le_bytes()).add(query).build();
        // A cache of results has no layers: it is known at once.
        match self.cache.get(&self.tenant, &key).now_or_never().flatten() {
            Some(entry) => Looked::Found(entry),
            None => Looked::Missing(Place { key, moment }),
        }
    }

    /// Keeps the record of a query, unless something has changed since it was looked up. `version`: the store's, now.
    pub(super) fn keep(
        &self,
        place: &Place,
        version: StoreVersion,
        label: String,
        value: Bytes,
        cost: Duration,
    ) {
        let mut state = self.state();
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

    /// Forgets everything.
    pub(super) fn forget(&self) {
        self.state().forget();
    }

    /// What the store knows begins to change, or has just changed. `version`: the store's before, if known.
    pub(super) fn begin(self: &Arc<Self>, version: Option<StoreVersion>) -> Change {
        let mut state = self.state();
        if let Some(version) = version {
            state.at(version);
        }
        state.moment += 1;
        state.changes += 1;
        Change { scope: Arc::clone(self), moment: state.moment, remains: None }
    }

    /// These texts came or went: `None` if it cannot be told in time what that concerns.
    pub(super) async fn changed(self: Arc<Self>, texts: Vec<String>) -> Option<Changed> {
        if self.state().kept.is_empty() {
            return Some(Changed::default());
        }
        let vectors = timeout(WITHIN, self.embed.embed(texts.clone(), Priority::Extraction)).await;
        let vectors = vectors.ok()?.ok().filter(|vectors| vectors.len() == texts.len())?;
        Some(Changed { texts, vectors })
    }

    fn remove(&self, keys: Vec<Key>) {
        // Without layers it is done at once.
        let _ = self.cache.remove(keys).now_or_never();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    /// Only `changed` came or went, and that made the store's version `version`; the default if it does not count.
    pub(super) fn end(mut self, version: StoreVersion, changed: &Changed) {
        let kept = {
            let mut state = self.scope.state();
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
        let mut state = self.scope.state();
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
