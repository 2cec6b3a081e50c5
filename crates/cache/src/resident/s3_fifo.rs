//! Which entries stay: S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! A new entry waits in a small queue. If it is not used there it is evicted, and only its hash is remembered, as a ghost.
//! If it is used, or comes again while its ghost is remembered, it moves to the main queue. There an entry that was used gets
//! another round for each use, up to three. So entries that are asked for once never evict those that are asked for often.
//!
//! Entries have sizes here: where the paper counts entries, bytes are counted. The rest differs in two points. Which
//! queue is too long is decided anew after each step, so that no more is evicted than necessary. And one eviction looks at a
//! bounded number of entries, where the paper's may look at all of them, three times.

mod ghost;
mod queues;
#[cfg(test)]
mod tests;

use ghost::Ghost;
use queues::Queues;
pub(super) use queues::{Queue, Slot};

/// The most uses that are counted, which fit two bits, as in the paper.
pub(super) const MAX_USES: u8 = 3;
/// The small queue takes the tenth part of the room, as in the paper. A smaller one has slightly more hits while popularity is
/// stable, and far fewer where keys come in bursts: a twentieth gains 0.3 and loses up to 6 hits of 100.
const SMALL_PART: usize = 10;
/// Uses in the small queue after which an item moves to the main queue, as in the paper.
const PROMOTED: u8 = 2;
/// How many used items one eviction passes over before it takes one whatever its uses.
const MAX_PASSED_OVER: usize = 256;

/// What the policy needs to know of an item.
pub(super) trait Evictable {
    /// The hash of its key; two keys with the same hash share a ghost.
    fn hash(&self) -> u64;
    /// Its size in bytes, which never changes.
    fn size(&self) -> usize;
}

/// What is decided on an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    Goes(T),
    /// It stays, with this number of uses left.
    Stays(u8),
}

/// Items up to a total size. The caller counts how often each was used.
pub(super) struct S3Fifo<T> {
    capacity: usize,
    queues: Queues<T>,
    ghost: Ghost,
    /// Items passed over since the last eviction.
    passed_over: usize,
    evicted: u64,
}

impl<T: Evictable> S3Fifo<T> {
    /// Room for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        let (queues, ghost) = (Queues::default(), Ghost::default());
        Self { capacity, queues, ghost, passed_over: 0, evicted: 0 }
    }

    /// The queue for a new item with this hash. An item that it replaces is taken out, and its queue is kept.
    pub(super) fn queue_for(&mut self, hash: u64, replaced: Option<Slot>) -> Queue {
        match replaced.and_then(|slot| self.queues.take(slot)) {
            Some((queue, _)) => queue,
            None if self.ghost.take(hash) => Queue::Main,
            None => Queue::Small,
        }
    }

    /// Adds an item, for which there must be room.
    pub(super) fn push(&mut self, queue: Queue, item: T) -> Slot {
        let size = item.size();
        self.queues.push(queue, item, size)
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        self.queues.take(slot).map(|(_, item)| item)
    }

    /// The item to judge next, if there is no room for `size` more bytes.
    pub(super) fn next(&self, size: usize) -> Option<&T> {
        let is_full = self.bytes() + size > self.capacity;
        self.candidate().filter(|_| is_full).map(|(_, _, item)| item)
    }

    /// Decides on the next item, which was used `uses` times: it is evicted or moves to the end of the main queue.
    pub(super) fn judge(&mut self, uses: u8) -> Option<Verdict<T>> {
        let (queue, slot, _) = self.candidate()?;
        let (enough, left) = match queue {
            Queue::Small => (PROMOTED, 0),
            Queue::Main => (1, uses.saturating_sub(1)),
        };
        if uses >= enough && self.passed_over < MAX_PASSED_OVER {
            self.passed_over += 1;
            self.queues.move_to(Queue::Main, slot);
            return Some(Verdict::Stays(left));
        }
        let (_, item) = self.queues.take(slot)?;
        if queue == Queue::Small {
            self.ghost.remember(item.hash(), item.size());
            self.ghost.keep(self.ghosts());
        }
        self.passed_over = 0;
        self.evicted += 1;
        Some(Verdict::Goes(item))
    }

    /// Sets the room; the caller must judge items until the rest fits.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.ghost.keep(self.ghosts());
    }

    /// The room in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The bytes of all items.
    pub(super) fn bytes(&self) -> usize {
        self.queues.bytes(Queue::Small) + self.queues.bytes(Queue::Main)
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    /// How many items were evicted.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The items in `most` slots from slot `from` on. An item never changes its slot.
    pub(super) fn items(&self, from: usize, most: usize) -> impl Iterator<Item = (Slot, &T)> {
        self.queues.items(from, most)
    }

    /// The slot after these, if there is one.
    pub(super) fn after(&self, from: usize, most: usize) -> Option<usize> {
        Some(from.saturating_add(most)).filter(|next| *next < self.queues.slots())
    }

    /// The oldest item of the queue that is too long.
    fn candidate(&self) -> Option<(Queue, Slot, &T)> {
        let [small, main] = [Queue::Small, Queue::Main].map(|queue| {
            let (slot, item) = self.queues.oldest(queue)?;
            Some((queue, slot, item))
        });
        let small_is_long = self.queues.bytes(Queue::Small) >= self.capacity / SMALL_PART;
        if small_is_long { small.or(main) } else { main.or(small) }
    }

    /// The bytes of items whose ghosts are remembered: as many as the main queue has room for, as in the paper.
    fn ghosts(&self) -> usize {
        self.capacity - self.capacity / SMALL_PART
    }
}
