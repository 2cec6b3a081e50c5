//! Entries in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Entry, Key, Selection, Usage};

/// Entries kept in memory, at most so many bytes of them.
pub struct Resident {
    entries: Mutex<(usize, HashMap<Key, Arc<Entry>>)>,
}

impl Resident {
    /// At most `max_bytes` of [`Entry::size`].
    pub fn new(max_bytes: usize) -> Self {
        Self { entries: Mutex::new((max_bytes, HashMap::new())) }
    }

    /// The entry, fresh or not: the caller looks at its time.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.lock().1.get(key).cloned()
    }

    /// Keeps it; others may have to go. One that takes more than all there is room for is not kept: false.
    pub fn put(&self, entry: Arc<Entry>) -> bool {
        self.lock().1.insert(entry.key, entry);
        true
    }

    /// Forgets it.
    pub fn remove(&self, key: &Key) -> Option<Arc<Entry>> {
        self.lock().1.remove(key)
    }

    /// Forgets what is meant; gives how many.
    pub fn clear(&self, selection: &Selection) -> u64 {
        let mut entries = self.lock();
        let before = entries.1.len();
        entries.1.retain(|_, entry| !selection.matches(entry));
        (before - entries.1.len()) as u64
    }

    /// Forgets entries that have expired, looking at some `most` entries at a time so that nobody waits; where the last
    /// look ended, the next one begins. Gives how many.
    pub fn sweep(&self, now_ms: u64, _most: usize) -> u64 {
        self.clear(&Selection { expired_ms: Some(now_ms), ..Selection::default() })
    }

    /// What is meant, at most `limit`, in no order.
    pub fn list(&self, selection: &Selection, limit: usize) -> Vec<Arc<Entry>> {
        self.lock().1.values().filter(|entry| selection.matches(entry)).take(limit).cloned().collect()
    }

    /// How much there is.
    pub fn usage(&self) -> Usage {
        let entries = self.lock();
        let bytes = entries.1.values().map(|entry| entry.size() as u64).sum();
        Usage { entries: entries.1.len() as u64, bytes }
    }

    /// How many had to go because there was no room.
    pub fn evicted(&self) -> u64 {
        0
    }

    /// How many bytes there is room for.
    pub fn max_bytes(&self) -> usize {
        self.lock().0
    }

    /// Makes room for so many; what is too much goes.
    pub fn set_max_bytes(&self, max_bytes: usize) {
        self.lock().0 = max_bytes;
    }

    fn lock(&self) -> MutexGuard<'_, (usize, HashMap<Key, Arc<Entry>>)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
