//! What went not long ago.

use std::collections::VecDeque;

use super::super::hashed::HashedMap;

/// Hashes of evicted items, of each for as long as no more than so many bytes were evicted after it.
#[derive(Default)]
pub(super) struct Ghost {
    /// Bytes evicted so far.
    evicted: u64,
    /// Hashes, and the bytes evicted until then; the oldest first. Those that came back are still here.
    order: VecDeque<(u64, u64)>,
    evicted_at: HashedMap<u64, u64>,
}

impl Ghost {
    /// An item of `size` bytes goes.
    pub(super) fn remember(&mut self, hash: u64, size: usize) {
        self.evicted += size as u64;
        self.order.push_back((hash, self.evicted));
        self.evicted_at.insert(hash, self.evicted);
    }

    /// Whether an item of this hash went not long ago; this is said once.
    pub(super) fn take(&mut self, hash: u64) -> bool {
        self.evicted_at.remove(&hash).is_some()
    }

    /// Forgets what went before the last `bytes` that were evicted.
    pub(super) fn keep(&mut self, bytes: usize) {
        while let Some(&(hash, at)) = self.order.front()
            && self.evicted - at >= bytes as u64
        {
            self.order.pop_front();
            if self.evicted_at.get(&hash) == Some(&at) {
                self.evicted_at.remove(&hash);
            }
        }
    }
}
