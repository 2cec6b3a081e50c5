//! Entries in memory.
//!
//! A read takes the lock of one of many shards, and takes it shared: a hit changes nothing but a counter. Which entries stay is
//! decided by one [`S3Fifo`] for all shards, behind a lock that only writers take. So there is one bound for all entries, not
//! one for each shard, and a single entry may be as large as the whole cache.
//!
//! Where both locks are taken, the policy's is taken first.

mod hashed;
mod s3_fifo;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::{array, mem};

use super::entry::OVERHEAD;
use super::{Entry, Key, Selection, Usage};
use antiphon_core::lock;
use hashed::HashedMap;
use s3_fifo::{Evictable, MAX_USES, S3Fifo, Slot, Verdict};

/// The number of shards: a reader and a writer meet in the same one once in so many times.
const SHARDS: usize = 64;
/// Entries checked or evicted under the lock at a time: less than 100 us of work.
const STEP: usize = 256;
/// The bytes of as many entries of the smallest size.
const STEP_BYTES: usize = STEP * OVERHEAD;

/// How often the layers are told that an entry was used, at most. A disk cache of a gigabyte takes hours to fill, so telling
/// it more often would not change what it evicts, and writing it takes some 80 us
/// (`cargo bench -p antiphon-cache --bench cache_disk`).
const TOLD_EVERY_MS: u64 = 600_000;

/// Entries in memory, up to a number of bytes.
pub struct Resident {
    shards: [Shard; SHARDS],
    policy: Mutex<S3Fifo<Arc<Entry>>>,
    /// Where the next [`Self::sweep`] begins.
    unswept: AtomicUsize,
    /// Where the next [`Self::take_used`] begins.
    untold: AtomicUsize,
}

/// Aligned to a cache line, because neighbouring shards are locked at the same time.
#[repr(align(64))]
#[derive(Default)]
struct Shard(RwLock<HashedMap<Key, Place>>);

/// An entry, its slot in the policy, and how often it was read.
struct Place {
    entry: Arc<Entry>,
    slot: Slot,
    uses: AtomicU8,
    /// Whether it was read since the layers were last told.
    is_used: AtomicBool,
    /// The period in which the layers were last told of its use, or it was made.
    told: AtomicU16,
}

impl Place {
    fn new(entry: Arc<Entry>, slot: Slot) -> Self {
        let (uses, is_used, told) = (AtomicU8::new(0), AtomicBool::new(false), period(entry.made_ms).into());
        Self { entry, slot, uses, is_used, told }
    }

    /// Counts a use. Of two at the same time one may be lost. Nothing is written when nothing changes,
    /// to keep the cache line shared.
    fn count(&self) {
        let uses = self.uses.load(Ordering::Relaxed);
        if uses < MAX_USES {
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the layers are to be told of its use now; true once in each period.
    fn tell(&self, period: u16) -> bool {
        let tell = self.told.load(Ordering::Relaxed) != period && self.is_used.swap(false, Ordering::Relaxed);
        if tell {
            self.told.store(period, Ordering::Relaxed);
        }
        tell
    }
}

/// The period in which a time lies. The numbers repeat after 455 days.
fn period(ms: u64) -> u16 {
    (ms / TOLD_EVERY_MS) as u16
}

impl Evictable for Arc<Entry> {
    fn hash(&self) -> u64 {
        self.key.short()
    }

    fn size(&self) -> usize {
        Entry::size(self)
    }
}

impl Resident {
    /// Room for entries of `max_bytes` in all, by [`Entry::size`].
    pub fn new(max_bytes: usize) -> Self {
        Self {
            shards: array::from_fn(|_| Shard::default()),
            policy: Mutex::new(S3Fifo::new(max_bytes)),
            unswept: AtomicUsize::new(0),
            untold: AtomicUsize::new(0),
        }
    }

    /// The entry, which may have expired: the caller checks.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let shard = self.shard(key).read();
        let place = shard.get(key)?;
        place.count();
        Some(place.entry.clone())
    }

    /// Keeps an entry, and evicts others for it if necessary. False, and it is not kept, if it alone takes more than the whole
    /// room. An entry of the same key is removed either way.
    pub fn put(&self, entry: Arc<Entry>) -> bool {
        let (key, size) = (entry.key, entry.size());
        let shard = self.shard(&key);
        // Declared before the locks, so that the entries are freed after the locks are released.
        let mut gone = Vec::new();
        let mut policy = lock(&self.policy);
        let replaced = shard.read().get(&key).map(|place| place.slot);
        let queue = policy.queue_for(key.short(), replaced);
        if size > policy.capacity() {
            gone.extend(shard.write().remove(&key).map(|place| place.entry));
            return false;
        }
        self.make_room(&mut policy, size, &mut gone);
        let slot = policy.push(queue, entry.clone());
        let mut shard = shard.write();
        if let Some(place) = shard.get_mut(&key) {
            place.slot = slot;
            gone.push(mem::replace(&mut place.entry, entry));
        } else {
            shard.insert(key, Place::new(entry, slot));
        }
        true
    }

    /// Removes an entry; `None` if there was none under this key.
    pub fn remove(&self, key: &Key) -> Option<Arc<Entry>> {
        let mut policy = lock(&self.policy);
        let place = self.shard(key).write().remove(key)?;
        policy.remove(place.slot);
        Some(place.entry)
    }

    /// Removes the selected entries; gives how many.
    pub fn clear(&self, selection: &Selection) -> u64 {
        let (mut forgotten, mut from) = (0, Some(0));
        while let Some(at) = from {
            let (some, next) = self.forget(selection, at, STEP);
            forgotten += some;
            from = next;
        }
        forgotten
    }

    /// Removes expired entries among the next `most`, so that nobody waits long; each call goes on where the last one ended.
    /// Gives how many.
    pub fn sweep(&self, now_ms: u64, most: usize) -> u64 {
        let expired = Selection { expired_ms: Some(now_ms), ..Selection::default() };
        let (forgotten, next) = self.forget(&expired, self.unswept.load(Ordering::Relaxed), most);
        self.unswept.store(next.unwrap_or(0), Ordering::Relaxed);
        forgotten
    }

    /// The keys of entries among the next `most` that were read since they were last given here, each once in
    /// [`TOLD_EVERY_MS`]; each call goes on where the last one ended.
    pub(super) fn take_used(&self, now_ms: u64, most: usize) -> Vec<Key> {
        let (from, period) = (self.untold.load(Ordering::Relaxed), period(now_ms));
        let policy = lock(&self.policy);
        let keys = policy.items(from, most).map(|(_, entry)| entry.key);
        let used = keys.filter(|key| self.shard(key).read().get(key).is_some_and(|place| place.tell(period)));
        let used = used.collect();
        self.untold.store(policy.after(from, most).unwrap_or(0), Ordering::Relaxed);
        used
    }

    /// The selected entries, at most `limit`, in no order.
    pub fn list(&self, selection: &Selection, limit: usize) -> Vec<Arc<Entry>> {
        let (mut listed, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from.filter(|_| listed.len() < limit) {
            let policy = lock(&self.policy);
            let entries = policy.items(at, STEP).map(|(_, entry)| entry);
            let room = limit - listed.len();
            listed.extend(entries.filter(|entry| selection.matches(entry)).take(room).cloned());
            from = policy.after(at, STEP);
        }
        listed
    }

    /// How much is kept.
    pub fn usage(&self) -> Usage {
        let policy = lock(&self.policy);
        Usage { entries: policy.len() as u64, bytes: policy.bytes() as u64 }
    }

    /// How many entries were evicted.
    pub fn evicted(&self) -> u64 {
        lock(&self.policy).evicted()
    }

    /// The room in bytes.
    pub fn max_bytes(&self) -> usize {
        lock(&self.policy).capacity()
    }

    /// Changes the room; entries that do not fit any more are evicted.
    pub fn set_max_bytes(&self, max_bytes: usize) {
        loop {
            let mut gone = Vec::new();
            let mut policy = lock(&self.policy);
            let next = max_bytes.max(policy.bytes().saturating_sub(STEP_BYTES));
            policy.set_capacity(next);
            self.make_room(&mut policy, 0, &mut gone);
            if next == max_bytes {
                return;
            }
        }
    }

    /// Evicts until there is room for `size` bytes more.
    fn make_room(&self, policy: &mut S3Fifo<Arc<Entry>>, size: usize, gone: &mut Vec<Arc<Entry>>) {
        while let Some(key) = policy.next(size).map(|entry| entry.key) {
            let mut shard = self.shard(&key).write();
            let uses = shard.get(&key).map_or(0, |place| place.uses.load(Ordering::Relaxed));
            match policy.judge(uses) {
                Some(Verdict::Stays(uses)) => {
                    shard.get(&key).inspect(|place| place.uses.store(uses, Ordering::Relaxed));
                }
                Some(Verdict::Goes(entry)) => {
                    shard.remove(&key);
                    gone.push(entry);
                }
                None => return,
            }
        }
    }

    /// Removes the selected entries in `most` slots from slot `from` on. Gives how many, and where to go on if there is more.
    fn forget(&self, selection: &Selection, from: usize, most: usize) -> (u64, Option<usize>) {
        let mut gone = Vec::new();
        let mut policy = lock(&self.policy);
        let meant: Vec<Slot> = policy
            .items(from, most)
            .filter(|(_, entry)| selection.matches(entry))
            .map(|(slot, _)| slot)
            .collect();
        for slot in meant {
            if let Some(entry) = policy.remove(slot) {
                self.shard(&entry.key).write().remove(&entry.key);
                gone.push(entry);
            }
        }
        (gone.len() as u64, policy.after(from, most))
    }

    fn shard(&self, key: &Key) -> &Shard {
        // The last byte, because the shard's table uses the first ones.
        &self.shards[usize::from(key.as_bytes()[31]) % SHARDS]
    }
}

impl Shard {
    fn read(&self) -> RwLockReadGuard<'_, HashedMap<Key, Place>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashedMap<Key, Place>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
