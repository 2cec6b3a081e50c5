//! The hashes of recently evicted items.

use std::collections::VecDeque;

use super::super::hashed::HashedMap;

/// Remembers the hashes of evicted items until a number of bytes was evicted after them.
#[derive(Default)]
pub(super) struct Ghost {
    /// Bytes evicted so far.
    evicted: u64,
    /// Hashes and the bytes evicted until then, the oldest first. Hashes that came back are still among them.
    order: VecDeque<(u64, u64)>,
    evicted_at: HashedMap<u64, u64>,
}

impl Ghost {
    /// An item of `size` bytes is evicted.
    pub(super) fn remember(&mut self, hash: u64, size: usize) {
        self.evicted += size as u64;
        self.order.push_back((hash, self.evicted));
        self.evicted_at.insert(hash, self.evicted);
    }

    /// Whether an item with this hash was evicted recently; the ghost is removed.
    pub(super) fn take(&mut self, hash: u64) -> bool {
        self.evicted_at.remove(&hash).is_some()
    }

    /// Forgets the items evicted before the last `bytes`.
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
