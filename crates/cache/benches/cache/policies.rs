//! The eviction policies that are compared.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use antiphon_cache::{Entry, KeyBuilder, Kind, Resident};
use bytes::Bytes;
use quick_cache::sync::{Cache as QuickCache, DefaultLifecycle};

use crate::trace::{Request, Trace};

/// FIFO, LRU, quick_cache, this crate's, and the best fixed set of entries.
pub(crate) const NAMES: [&str; 5] = ["fifo", "lru", "quick", "ours", "fixed"];

/// The buffer that the values of all entries are slices of.
static ZEROS: [u8; 65_536] = [0; 65_536];

/// A policy: it keeps some of the keys that are asked for.
pub(crate) trait Policy {
    /// Asks for a key: true if it was kept; otherwise it may be kept from now on.
    fn request(&mut self, request: Request) -> bool;
}

struct Fifo {
    room: usize,
    bytes: usize,
    order: VecDeque<Request>,
    keys: HashSet<u32>,
}

impl Policy for Fifo {
    fn request(&mut self, (key, size): Request) -> bool {
        if !self.keys.insert(key) {
            return true;
        }
        self.order.push_back((key, size));
        self.bytes += size;
        while self.bytes > self.room
            && let Some((key, size)) = self.order.pop_front()
        {
            self.keys.remove(&key);
            self.bytes -= size;
        }
        false
    }
}

struct Lru {
    room: usize,
    bytes: usize,
    requests: u64,
    used_at: HashMap<u32, u64>,
    order: BTreeMap<u64, Request>,
}

impl Policy for Lru {
    fn request(&mut self, (key, size): Request) -> bool {
        self.requests += 1;
        self.order.insert(self.requests, (key, size));
        if let Some(before) = self.used_at.insert(key, self.requests) {
            self.order.remove(&before);
            return true;
        }
        self.bytes += size;
        while self.bytes > self.room
            && let Some((_, (key, size))) = self.order.pop_first()
        {
            self.used_at.remove(&key);
            self.bytes -= size;
        }
        false
    }
}

/// The policy of quick_cache: Clock-PRO, which is similar to S3-FIFO.
type Quick = QuickCache<u32, usize, BySize, BuildHasherDefault<DefaultHasher>>;

#[derive(Clone)]
struct BySize;

impl quick_cache::Weighter<u32, usize> for BySize {
    fn weight(&self, _: &u32, size: &usize) -> u64 {
        *size as u64
    }
}

impl Policy for Quick {
    fn request(&mut self, (key, size): Request) -> bool {
        let found = self.get(&key).is_some();
        if !found {
            self.insert(key, size);
        }
        found
    }
}

/// The best fixed set: keeps the keys that will be asked for most, and no others.
struct Fixed(HashSet<u32>);

impl Fixed {
    fn new(room: usize, trace: &Trace) -> Self {
        let mut counts: HashMap<Request, u32> = HashMap::new();
        trace.requests().for_each(|request| *counts.entry(request).or_default() += 1);
        let mut popular: Vec<_> =
            counts.into_iter().map(|(request, count)| (Reverse(count), request)).collect();
        popular.sort_unstable();
        let mut bytes = 0;
        let fits = popular.into_iter().take_while(|(_, (_, size))| {
            bytes += size;
            bytes <= room
        });
        Self(fits.map(|(_, (key, _))| key).collect())
    }
}

impl Policy for Fixed {
    fn request(&mut self, (key, _): Request) -> bool {
        self.0.contains(&key)
    }
}

/// The policy of this crate.
impl Policy for Resident {
    fn request(&mut self, (number, size): Request) -> bool {
        let key = KeyBuilder::new(Kind::Reply, "").add(number.to_le_bytes()).build();
        let found = self.get(&key).is_some();
        if !found {
            let mut entry = Entry {
                kind: Kind::Reply,
                key,
                tenant: "".into(),
                label: "".into(),
                value: Bytes::new(),
                made_ms: 0,
                expires_ms: u64::MAX,
                cost: Duration::ZERO,
                prefetched: false,
            };
            entry.value = Bytes::from_static(&ZEROS[..size - entry.size()]);
            self.put(Arc::new(entry));
        }
        found
    }
}

/// The policies named in [`NAMES`], each with room for this many bytes.
pub(crate) fn policies(room: usize, trace: &Trace) -> [Box<dyn Policy>; 5] {
    let (bytes, requests) = trace.requests().fold((0, 0), |(bytes, all), (_, size)| (bytes + size, all + 1));
    let (hasher, lifecycle) = (BuildHasherDefault::default(), DefaultLifecycle::default());
    [
        Box::new(Fifo { room, bytes: 0, order: VecDeque::new(), keys: HashSet::new() }),
        Box::new(Lru { room, bytes: 0, requests: 0, used_at: HashMap::new(), order: BTreeMap::new() }),
        Box::new(Quick::with(room * requests / bytes, room as u64, BySize, hasher, lifecycle)),
        Box::new(Resident::new(room)),
        Box::new(Fixed::new(room, trace)),
    ]
}
