//! Entries in memory.
//!
//! Whoever reads takes the lock of one of many shards, and takes it shared: a hit changes nothing but a counter. What
//! stays is decided by one [`S3Fifo`] for all shards, behind a lock that only writers take. So the bound is one for all
//! entries, not one for each shard, and a single entry may be as large as the whole.
//!
//! Whoever takes both locks takes the policy's first.

mod hashed;
mod s3_fifo;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::{array, mem};

use super::entry::OVERHEAD;
use super::{Entry, Key, Selection, Usage};
use hashed::HashedMap;
use s3_fifo::{Item, MAX_USES, S3Fifo, Slot, Verdict};

/// A reader and whoever writes meet in one of them once in so many times.
const SHARDS: usize = 64;
/// Entries looked at, or evicted, while others wait to write: less than 100 us of work.
const STEP: usize = 256;
/// What so many take if they are as small as can be.
const STEP_BYTES: usize = STEP * OVERHEAD;

/// That an entry was used is told once in so long. A disk of a gigabyte takes hours to fill: more often would change nothing
/// about who goes first there, and to write it down takes some 80 us (`cargo bench -p antiphon-cache --bench cache_disk`).
const TOLD_EVERY_MS: u64 = 600_000;

/// Entries kept in memory, at most so many bytes of them.
pub struct Resident {
    shards: [Shard; SHARDS],
    policy: Mutex<S3Fifo<Arc<Entry>>>,
    /// Where the next [`Self::sweep`] begins.
    unswept: AtomicUsize,
    /// Where the next [`Self::take_used`] begins.
    untold: AtomicUsize,
}

/// On a cache line of its own: shards are locked at the same time.
#[repr(align(64))]
#[derive(Default)]
struct Shard(RwLock<HashedMap<Key, Place>>);

/// An entry, where the policy has it, and how it was read.
struct Place {
    entry: Arc<Entry>,
    slot: Slot,
    uses: AtomicU8,
    /// It was read since that was told.
    is_used: AtomicBool,
    /// When it was told, or made: the layers know of that.
    told: AtomicU16,
}

impl Place {
    fn new(entry: Arc<Entry>, slot: Slot) -> Self {
        let (uses, is_used, told) = (AtomicU8::new(0), AtomicBool::new(false), period(entry.made_ms).into());
        Self { entry, slot, uses, is_used, told }
    }

    /// Of two readers at the same time one may not be counted. Nothing is written when there is nothing to count.
    fn count(&self) {
        let uses = self.uses.load(Ordering::Relaxed);
        if uses < MAX_USES {
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether its use is to be told now; this is said once.
    fn tell(&self, period: u16) -> bool {
        let tell = self.told.load(Ordering::Relaxed) != period && self.is_used.swap(false, Ordering::Relaxed);
        if tell {
            self.told.store(period, Ordering::Relaxed);
        }
        tell
    }
}

/// In which period a time lies; after 455 days they begin again.
fn period(ms: u64) -> u16 {
    (ms / TOLD_EVERY_MS) as u16
}

impl Item for Arc<Entry> {
    fn hash(&self) -> u64 {
        self.key.short()
    }

    fn size(&self) -> usize {
        Entry::size(self)
    }
}

impl Resident {
    /// At most `max_bytes` of [`Entry::size`].
    pub fn new(max_bytes: usize) -> Self {
        Self {
            shards: array::from_fn(|_| Shard::default()),
            policy: Mutex::new(S3Fifo::new(max_bytes)),
            unswept: AtomicUsize::new(0),
            untold: AtomicUsize::new(0),
        }
    }

    /// The entry, fresh or not: the caller looks at its time.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let shard = self.shard(key).read();
        let place = shard.get(key)?;
        place.count();
        Some(place.entry.clone())
    }

    /// Keeps it; others may have to go. One that takes more than all there is room for is not kept: false. What its key
    /// found before is forgotten either way.
    pub fn put(&self, entry: Arc<Entry>) -> bool {
        let (key, size) = (entry.key, entry.size());
        let shard = self.shard(&key);
        // Outlives the locks: memory is freed while nobody waits.
        let mut gone = Vec::new();
        let mut policy = self.policy();
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

    /// Forgets it.
    pub fn remove(&self, key: &Key) -> Option<Arc<Entry>> {
        let mut policy = self.policy();
        let place = self.shard(key).write().remove(key)?;
        policy.remove(place.slot);
        Some(place.entry)
    }

    /// Forgets what is meant; gives how many.
    pub fn clear(&self, selection: &Selection) -> u64 {
        let (mut forgotten, mut from) = (0, Some(0));
        while let Some(at) = from {
            let (some, next) = self.forget(selection, at, STEP);
            forgotten += some;
            from = next;
        }
        forgotten
    }

    /// Forgets entries that have expired, looking at some `most` entries at a time so that nobody waits; where the last
    /// look ended, the next one begins. Gives how many.
    pub fn sweep(&self, now_ms: u64, most: usize) -> u64 {
        let expired = Selection { expired_ms: Some(now_ms), ..Selection::default() };
        let (forgotten, next) = self.forget(&expired, self.unswept.load(Ordering::Relaxed), most);
        self.unswept.store(next.unwrap_or(0), Ordering::Relaxed);
        forgotten
    }

    /// The keys of entries that were read since they were given here the last time, each once in [`TOLD_EVERY_MS`], looking
    /// at some `most` entries at a time; where the last look ended, the next one begins.
    pub(super) fn take_used(&self, now_ms: u64, most: usize) -> Vec<Key> {
        let (from, period) = (self.untold.load(Ordering::Relaxed), period(now_ms));
        let policy = self.policy();
        let keys = policy.items(from, most).map(|(_, entry)| entry.key);
        let used = keys.filter(|key| self.shard(key).read().get(key).is_some_and(|place| place.tell(period)));
        let used = used.collect();
        self.untold.store(policy.after(from, most).unwrap_or(0), Ordering::Relaxed);
        used
    }

    /// What is meant, at most `limit`, in no order.
    pub fn list(&self, selection: &Selection, limit: usize) -> Vec<Arc<Entry>> {
        let (mut listed, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from.filter(|_| listed.len() < limit) {
            let policy = self.policy();
            let entries = policy.items(at, STEP).map(|(_, entry)| entry);
            let room = limit - listed.len();
            listed.extend(entries.filter(|entry| selection.matches(entry)).take(room).cloned());
            from = policy.after(at, STEP);
        }
        listed
    }

    /// How much there is.
    pub fn usage(&self) -> Usage {
        let policy = self.policy();
        Usage { entries: policy.len() as u64, bytes: policy.bytes() as u64 }
    }

    /// How many had to go because there was no room.
    pub fn evicted(&self) -> u64 {
        self.policy().evicted()
    }

    /// How many bytes there is room for.
    pub fn max_bytes(&self) -> usize {
        self.policy().capacity()
    }

    /// Makes room for so many; what is too much goes.
    pub fn set_max_bytes(&self, max_bytes: usize) {
        loop {
            let mut gone = Vec::new();
            let mut policy = self.policy();
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

    /// Forgets what is meant in `most` slots from one on. Gives how many, and where to go on, if there is more.
    fn forget(&self, selection: &Selection, from: usize, most: usize) -> (u64, Option<usize>) {
        let mut gone = Vec::new();
        let mut policy = self.policy();
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
        // Not the bytes by which the shard's table finds it.
        &self.shards[usize::from(key.as_bytes()[31]) % SHARDS]
    }

    fn policy(&self) -> MutexGuard<'_, S3Fifo<Arc<Entry>>> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
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
