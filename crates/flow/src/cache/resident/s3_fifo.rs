//! Which entries stay: S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! What comes waits in a small queue. If it is not used there it goes, and only its hash is remembered, as a ghost;
//! if it is, or comes again while its ghost is there, it moves to the main queue. There an entry that was used gets
//! another round for each use, up to three. So what is asked for once never pushes out what is asked for often.
//!
//! Entries have sizes here: where the paper counts entries, bytes are counted. The rest differs in two points. Which
//! queue is too long is asked anew after each step, so that no more goes than must. And one eviction looks at a bounded
//! number of entries, where the paper's may look at all of them, three times.

mod ghost;
mod queues;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU8, Ordering};

use ghost::Ghost;
pub(super) use queues::Slot;
use queues::{Queue, Queues};

/// The small queue is one such part of all; as in the paper.
const SMALL_PART: usize = 10;
/// Uses in the small queue that bring an entry into the main queue; as in the paper.
const PROMOTED: u8 = 2;
/// More uses are not counted; two bits, as in the paper.
const MAX_USES: u8 = 3;
/// Used entries passed over before one must go, whatever its uses: some 20 us. On the traces of
/// `cargo bench -p antiphon-flow --bench cache` it is a handful.
const MAX_REPRIEVES: usize = 256;

/// What the policy must know of an entry.
pub(super) trait Item {
    /// Its key's; two keys of the same hash have one ghost.
    fn hash(&self) -> u64;
    /// In bytes.
    fn size(&self) -> usize;
    /// Since it was last passed over.
    fn uses(&self) -> &Uses;
}

/// How often an entry was used: counted by readers, without a lock.
#[derive(Default)]
pub(super) struct Uses(AtomicU8);

impl Uses {
    /// One more. Of two at the same time one may be lost; nothing is written when there is nothing to count.
    pub(super) fn count(&self) {
        let uses = self.get();
        if uses < MAX_USES {
            self.set(uses + 1);
        }
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, uses: u8) {
        self.0.store(uses, Ordering::Relaxed);
    }
}

/// Items of at most so many bytes in all.
pub(super) struct S3Fifo<T> {
    capacity: usize,
    queues: Queues<T>,
    ghost: Ghost,
    evicted: u64,
}

impl<T: Item> S3Fifo<T> {
    /// Room for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, queues: Queues::default(), ghost: Ghost::default(), evicted: 0 }
    }

    /// Takes an item in, and says where; what must go for it is added to `victims`. It takes the place and the uses of
    /// the one in `before`, which goes even if the item is larger than all there is room for, and is not taken.
    pub(super) fn insert(&mut self, item: T, before: Option<Slot>, victims: &mut Vec<T>) -> Option<Slot> {
        let queue = match before.and_then(|slot| self.queues.take(slot)) {
            Some((queue, before)) => {
                item.uses().set(before.uses().get());
                queue
            }
            None if self.ghost.take(item.hash()) => Queue::Main,
            None => Queue::Small,
        };
        let size = item.size();
        if size > self.capacity {
            return None;
        }
        self.make_room(size, victims);
        Some(self.queues.push(queue, item, size))
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        self.queues.take(slot).map(|(_, item)| item)
    }

    /// Room for `capacity` bytes; what is too much is added to `victims`.
    pub(super) fn set_capacity(&mut self, capacity: usize, victims: &mut Vec<T>) {
        self.capacity = capacity;
        self.make_room(0, victims);
        self.ghost.keep(self.ghosts());
    }

    /// Bytes there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes taken.
    pub(super) fn bytes(&self) -> usize {
        self.queues.bytes(Queue::Small) + self.queues.bytes(Queue::Main)
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    /// How many were ever added to `victims`.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The items in `most` slots from one on. An item stays in its slot while it stays.
    pub(super) fn items(&self, from: usize, most: usize) -> impl Iterator<Item = (Slot, &T)> {
        self.queues.items(from, most)
    }

    /// The slot after those, if there is one.
    pub(super) fn after(&self, from: usize, most: usize) -> Option<usize> {
        Some(from.saturating_add(most)).filter(|next| *next < self.queues.slots())
    }

    fn make_room(&mut self, size: usize, victims: &mut Vec<T>) {
        while self.bytes() + size > self.capacity {
            let Some(victim) = self.evict() else { return };
            victims.push(victim);
        }
    }

    /// The next to go; none if there is none.
    fn evict(&mut self) -> Option<T> {
        let mut reprieves = 0;
        loop {
            let (queue, slot, item) = self.candidate()?;
            let (enough, left) = match queue {
                Queue::Small => (PROMOTED, 0),
                Queue::Main => (1, item.uses().get().saturating_sub(1)),
            };
            if item.uses().get() < enough || reprieves == MAX_REPRIEVES {
                return self.evict_from(queue, slot);
            }
            item.uses().set(left);
            self.queues.move_to(Queue::Main, slot);
            reprieves += 1;
        }
    }

    /// The oldest of the queue that is too long.
    fn candidate(&self) -> Option<(Queue, Slot, &T)> {
        let [small, main] = [Queue::Small, Queue::Main].map(|queue| {
            let (slot, item) = self.queues.oldest(queue)?;
            Some((queue, slot, item))
        });
        let small_is_long = self.queues.bytes(Queue::Small) >= self.capacity / SMALL_PART;
        if small_is_long { small.or(main) } else { main.or(small) }
    }

    fn evict_from(&mut self, queue: Queue, slot: Slot) -> Option<T> {
        let (_, victim) = self.queues.take(slot)?;
        if queue == Queue::Small {
            self.ghost.remember(victim.hash(), victim.size());
            self.ghost.keep(self.ghosts());
        }
        self.evicted += 1;
        Some(victim)
    }

    /// Bytes of evicted items whose ghosts are kept: as many as the main queue has room for; as in the paper.
    fn ghosts(&self) -> usize {
        self.capacity - self.capacity / SMALL_PART
    }
}
