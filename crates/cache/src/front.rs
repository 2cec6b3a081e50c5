//! One cache: memory in front, layers behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon_core::Priority;
use antiphon_core::measure::{Component, Counter, Gauge, Level, Tunable};
use bytes::Bytes;
use tokio::time::timeout;

use super::statistics::{CacheStatistics, Counts};
use super::{Entry, Key, Kind, Layer, Resident, Selection, Usage, entry::MAX_LABEL};

/// Milliseconds since 1970, now.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Nobody waits longer for a layer: a reply from a model would be under way by then. Ten times what a disk or a Redis
/// nearby takes.
const WITHIN: Duration = Duration::from_millis(20);
/// Entries looked at in one step of cleaning.
const SWEPT: usize = 256;
const MIB: f64 = 1_048_576.0;

/// How a cache behaves.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// What it holds.
    pub kind: Kind,
    /// Room in memory.
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

/// A value to be kept.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it is found by.
    pub key: Key,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// What it is about, for people.
    pub label: String,
    /// It.
    pub value: Bytes,
    /// How long it took to make.
    pub cost: Duration,
    /// How urgent it was: [`Priority::Batch`] is made before anybody asks.
    pub priority: Priority,
}

impl Cache {
    /// An empty cache before `layers`, which are asked in order. One of [`Kind::Result`] has none, whatever is given: what
    /// a search found must not outlive a change that this process does not hear of.
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

    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is used.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Whether it is used from now on; what it holds stays.
    pub fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// An entry in memory, at once. Counts a hit, but no miss: whoever misses goes on to [`Self::get`].
    pub fn get_now(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        let found = self.peek(tenant, key)?;
        self.hit(&found);
        Some(found)
    }

    /// An entry, wherever it is. Counts a hit or a miss.
    pub async fn get(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        let found = self.get_first(tenant, std::slice::from_ref(key)).await;
        if found.is_none() {
            self.missed();
        }
        found
    }

    /// The entry of the first of these keys that has one, wherever it is. Counts a hit, but no miss: whoever has no other
    /// way to find one says [`Self::missed`].
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

    /// Counts a miss.
    pub fn missed(&self) {
        if self.is_on() {
            self.statistics.miss();
        }
    }

    /// An entry of a layer, which is put above it.
    async fn get_below(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        for (at, layer) in self.layers.iter().enumerate() {
            // An error is the layer's to tell: here it is as good as nothing.
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

    /// As [`Self::peek`], for whoever makes ahead: an entry in the last quarter of its life is made anew before it is missed.
    pub fn peek_ahead(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        let margin = self.ttl.as_millis() as u64 / 4;
        self.peek(tenant, key).filter(|entry| entry.is_fresh((self.clock)() + margin))
    }

    /// Keeps a value, here and in every layer. Returns at once.
    pub fn put(&self, draft: Draft) {
        if !self.is_on() {
            return;
        }
        let Draft { key, tenant, mut label, value, cost, priority } = draft;
        label.truncate(label.floor_char_boundary(MAX_LABEL));
        let made_ms = (self.clock)();
        let expires_ms = made_ms.saturating_add(self.ttl.as_millis() as u64);
        let (label, ahead) = (label.into(), priority == Priority::Batch);
        let entry =
            Arc::new(Entry { kind: self.kind, key, tenant, label, value, made_ms, expires_ms, cost, ahead });
        self.statistics.stored(ahead);
        self.resident.put(entry.clone());
        for layer in &self.layers {
            layer.put(entry.clone());
        }
    }

    /// Takes an entry into memory that a layer holds, and may hold.
    pub fn admit(&self, entry: Arc<Entry>) {
        if entry.kind == self.kind && self.kind.outlives_memory() && entry.is_fresh((self.clock)()) {
            self.resident.put(entry);
        }
    }

    /// Forgets these, everywhere.
    pub async fn remove(&self, keys: Vec<Key>) {
        for key in &keys {
            self.resident.remove(key);
        }
        for layer in &self.layers {
            // What a layer cannot forget now expires.
            let _ = timeout(WITHIN, layer.remove(self.kind, keys.clone())).await;
        }
    }

    /// Forgets what is meant in memory; gives how many.
    pub fn clear(&self, selection: &Selection) -> u64 {
        self.resident.clear(selection)
    }

    /// Looks at some more entries, forgets those whose time is over, and tells the layers which are used: what is served
    /// from memory would look unused to them. To be called now and then.
    pub fn sweep(&self) {
        let now_ms = (self.clock)();
        self.statistics.expired(self.resident.sweep(now_ms, SWEPT));
        let used = self.resident.take_used(now_ms, SWEPT);
        for layer in self.layers.iter().filter(|_| !used.is_empty()) {
            layer.touch(self.kind, &used);
        }
    }

    /// Entries in memory that are meant, at most `limit`.
    pub fn list(&self, selection: &Selection, limit: usize) -> Vec<Arc<Entry>> {
        self.resident.list(selection, limit)
    }

    /// How many entries had to leave memory for others.
    pub fn evicted(&self) -> u64 {
        self.resident.evicted()
    }

    /// Room in memory.
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

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.statistics.counts()
    }

    fn hit(&self, entry: &Arc<Entry>) {
        self.statistics.hit(entry.cost);
        if entry.ahead {
            self.statistics.used_ahead();
            // Counted once: from now on it is like any other.
            self.resident.put(Arc::new(Entry { ahead: false, ..Entry::clone(entry) }));
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
            ("made ahead", counts.made_ahead),
            ("made ahead and used", counts.used_ahead),
        ];
        all.into_iter().map(|(name, value)| Counter { name: name.into(), value }).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let usage = self.usage();
        let limit = Some(self.resident.max_bytes() as f64);
        vec![
            Level { name: "memory".into(), value: usage.bytes as f64, limit, unit: "bytes".into() },
            Level {
                name: "entries".into(),
                value: usage.entries as f64,
                limit: None,
                unit: "entries".into(),
            },
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
        vec![Tunable {
            name: "memory".into(),
            key: format!("cache.{}_mb", self.kind.name()).into(),
            value: self.resident.max_bytes() as f64 / MIB,
            min: 4.0,
            max: 1_024.0,
            unit: "MiB".into(),
            live: true,
        }]
    }

    fn set(&self, tunable: &str, value: f64) -> bool {
        if tunable == "memory" {
            self.resident.set_max_bytes((value * MIB) as usize);
        }
        tunable == "memory"
    }
}
