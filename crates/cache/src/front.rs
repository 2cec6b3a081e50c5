//! A cache of one kind: memory in front, layers behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon_core::Priority;
use antiphon_core::measure::{Component, Counter, Gauge, Level, Tunable};
use bytes::Bytes;
use tokio::time::timeout;

use super::statistics::{CacheStatistics, Counts};
use super::{Entry, Key, Kind, Layer, Resident, Selection, Usage, entry::MAX_LABEL};

/// A clock that gives the milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How long a request waits for a layer, at most: a reply from a model would be under way by then. It is ten times what a disk
/// or a Redis nearby takes.
const WITHIN: Duration = Duration::from_millis(20);
/// Entries checked in one step of cleaning.
const SWEPT: usize = 256;
const MIB: f64 = 1_048_576.0;

/// How a cache behaves.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// The kind of its entries.
    pub kind: Kind,
    /// The most bytes of memory that its entries may take.
    pub max_bytes: usize,
    /// How long an entry may be used.
    pub ttl: Duration,
}

/// The entries of one kind.
pub struct Cache {
    kind: Kind,
    ttl: Duration,
    on: AtomicBool,
    resident: Resident,
    layers: Vec<Arc<dyn Layer>>,
    statistics: CacheStatistics,
    clock: Clock,
}

/// A value to be put into a cache.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The key it is found by.
    pub key: Key,
    /// The tenant it belongs to.
    pub tenant: Arc<str>,
    /// A description for people who list the entries: no words that belong to a person.
    pub label: String,
    /// What is to be cached.
    pub value: Bytes,
    /// How long it took to make.
    pub cost: Duration,
    /// The priority it was made with: with [`Priority::Batch`] it counts as prefetched.
    pub priority: Priority,
}

impl Cache {
    /// An empty cache in front of `layers`, which are asked in order. A cache of [`Kind::Result`] uses no layers even if some
    /// are given: search results must not outlive a change of the store that this process does not hear of.
    pub fn new(options: CacheOptions, layers: Vec<Arc<dyn Layer>>, clock: Clock) -> Self {
        let CacheOptions { kind, max_bytes, ttl } = options;
        let layers = if kind.outlives_memory() { layers } else { Vec::new() };
        Self {
            kind,
            ttl,
            on: AtomicBool::new(true),
            resident: Resident::new(max_bytes),
            layers,
            statistics: CacheStatistics::default(),
            clock,
        }
    }

    /// The kind of its entries.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Switches it on or off; its entries stay.
    pub fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// An entry in memory, at once. Counts a hit, but no miss, because the caller then goes on to [`Self::get`].
    pub fn get_now(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        let found = self.peek(tenant, key)?;
        self.hit(&found);
        Some(found)
    }

    /// An entry, from memory or a layer. Counts a hit or a miss.
    pub async fn get(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        let found = self.get_first(tenant, std::slice::from_ref(key)).await;
        if found.is_none() {
            self.missed();
        }
        found
    }

    /// The entry of the first of these keys that has one, from memory or a layer. Counts a hit, but no miss: a caller with no
    /// other way to find an entry calls [`Self::missed`].
    pub async fn get_first(&self, tenant: &str, keys: &[Key]) -> Option<Arc<Entry>> {
        if !self.is_on() {
            return None;
        }
        if let Some(found) = keys.iter().find_map(|key| self.get_now(tenant, key)) {
            return Some(found);
        }
        for key in keys {
            if let Some(found) = self.get_below(tenant, key).await {
                self.hit(&found);
                self.statistics.below();
                return Some(found);
            }
        }
        None
    }

    /// Counts a request that found nothing in memory or in a layer.
    pub fn missed(&self) {
        if self.is_on() {
            self.statistics.miss();
        }
    }

    /// An entry from a layer, which is copied into memory and the layers before.
    async fn get_below(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        for (at, layer) in self.layers.iter().enumerate() {
            // The layer reports its errors itself; here one counts as nothing found.
            let Ok(Ok(Some(found))) = timeout(WITHIN, layer.get(self.kind, *key)).await else { continue };
            if *found.tenant == *tenant && found.key == *key && found.is_fresh((self.clock)()) {
                self.resident.put(found.clone());
                for above in &self.layers[..at] {
                    above.put(found.clone());
                }
                return Some(found);
            }
        }
        None
    }

    /// An entry in memory, without counting.
    pub fn peek(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        let found = self.is_on().then(|| self.resident.get(key)).flatten()?;
        (*found.tenant == *tenant && found.is_fresh((self.clock)())).then_some(found)
    }

    /// As [`Self::peek`], for warm-up and prefetching: an entry in the last quarter of its life is not given, so that it is made
    /// anew before it is missed.
    pub fn peek_for_prefetch(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        let margin = self.ttl.as_millis() as u64 / 4;
        self.peek(tenant, key).filter(|entry| entry.is_fresh((self.clock)() + margin))
    }

    /// Keeps a value, in memory and in every layer. Returns at once.
    pub fn put(&self, draft: Draft) {
        if !self.is_on() {
            return;
        }
        let Draft { key, tenant, mut label, value, cost, priority } = draft;
        label.truncate(label.floor_char_boundary(MAX_LABEL));
        let made_ms = (self.clock)();
        let expires_ms = made_ms.saturating_add(self.ttl.as_millis() as u64);
        let (label, prefetched) = (label.into(), priority == Priority::Batch);
        let entry = Arc::new(Entry {
            kind: self.kind,
            key,
            tenant,
            label,
            value,
            made_ms,
            expires_ms,
            cost,
            prefetched,
        });
        self.statistics.stored(prefetched);
        self.resident.put(entry.clone());
        for layer in &self.layers {
            layer.put(entry.clone());
        }
    }

    /// Takes an entry of a layer into memory, if it is one of this cache and still fresh.
    pub fn admit(&self, entry: Arc<Entry>) {
        if entry.kind == self.kind && self.kind.outlives_memory() && entry.is_fresh((self.clock)()) {
            self.resident.put(entry);
        }
    }

    /// Removes these entries from memory and all layers.
    pub async fn remove(&self, keys: Vec<Key>) {
        for key in &keys {
            self.resident.remove(key);
        }
        for layer in &self.layers {
            // An entry that a layer cannot remove now expires.
            let _ = timeout(WITHIN, layer.remove(self.kind, keys.clone())).await;
        }
    }

    /// Removes the selected entries from memory; gives how many.
    pub fn clear(&self, selection: &Selection) -> u64 {
        self.resident.clear(selection)
    }

    /// Checks some more entries: removes those that have expired, and tells the layers which are used, because entries served
    /// from memory would look unused to them. To be called every second or so.
    pub fn sweep(&self) {
        let now_ms = (self.clock)();
        self.statistics.expired(self.resident.sweep(now_ms, SWEPT));
        let used = self.resident.take_used(now_ms, SWEPT);
        for layer in self.layers.iter().filter(|_| !used.is_empty()) {
            layer.touch(self.kind, &used);
        }
    }

    /// The selected entries in memory, at most `limit`.
    pub fn list(&self, selection: &Selection, limit: usize) -> Vec<Arc<Entry>> {
        self.resident.list(selection, limit)
    }

    /// How many entries were evicted from memory.
    pub fn evicted(&self) -> u64 {
        self.resident.evicted()
    }

    /// The most bytes of memory that its entries may take.
    pub fn max_bytes(&self) -> usize {
        self.resident.max_bytes()
    }

    /// How long an entry may be used.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// How much is in memory.
    pub fn usage(&self) -> Usage {
        self.resident.usage()
    }

    /// How often entries were found, missed and stored, up to now.
    pub fn counts(&self) -> Counts {
        self.statistics.counts()
    }

    fn hit(&self, entry: &Arc<Entry>) {
        self.statistics.hit(entry.cost);
        if entry.prefetched {
            self.statistics.prefetched_used();
            // It counts as used once: from now on it is an entry like any other.
            self.resident.put(Arc::new(Entry { prefetched: false, ..Entry::clone(entry) }));
        }
    }
}

impl Component for Cache {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Reply => "cache reply",
            Kind::Speech => "cache speech",
            Kind::Embedding => "cache embedding",
            Kind::Result => "cache result",
        }
    }

    fn counters(&self) -> Vec<Counter> {
        let counts = self.counts();
        let all = [
            ("hits", counts.hits),
            ("hits below memory", counts.below),
            ("misses", counts.misses),
            ("stored", counts.stored),
            ("evicted", self.resident.evicted()),
            ("expired", counts.expired),
            ("saved milliseconds", counts.saved.as_millis() as u64),
            ("made ahead", counts.prefetched),
            ("made ahead and used", counts.prefetched_used),
        ];
        all.into_iter().map(|(name, value)| Counter::new(name, value)).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let usage = self.usage();
        let limit = Some(self.resident.max_bytes() as f64);
        vec![
            Level::new("memory", usage.bytes as f64, "bytes").with_limit(limit),
            Level::new("entries", usage.entries as f64, "entries"),
        ]
    }

    fn gauges(&self) -> Vec<Gauge> {
        let (counts, cache) = (self.counts(), self.kind.name());
        let requests = |outcome: &str, value: u64| Gauge {
            name: "antiphon_cache_requests_total",
            help: "Requests to caches",
            labels: vec![("cache", cache.to_owned()), ("outcome", outcome.to_owned())],
            value: value as f64,
        };
        let saved = Gauge {
            name: "antiphon_cache_saved_seconds_total",
            help: "What hits saved: the time their entries took to make",
            labels: vec![("cache", cache.to_owned())],
            value: counts.saved.as_secs_f64(),
        };
        vec![requests("hit", counts.hits), requests("miss", counts.misses), saved]
    }

    fn tunables(&self) -> Vec<Tunable> {
        vec![
            Tunable::new(
                "memory",
                format!("cache.{}_mb", self.kind.name()),
                self.resident.max_bytes() as f64 / MIB,
                4.0..=1_024.0,
                "MiB",
            )
            .live(),
        ]
    }

    fn set(&self, tunable: &str, value: f64) -> bool {
        if tunable == "memory" {
            self.resident.set_max_bytes((value * MIB) as usize);
        }
        tunable == "memory"
    }
}
