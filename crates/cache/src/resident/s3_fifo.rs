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

use ghost::Ghost;
use queues::Queues;
pub(super) use queues::{Queue, Slot};

/// More uses are not counted; two bits, as in the paper.
pub(super) const MAX_USES: u8 = 3;
/// The small queue is one such part of all; as in the paper. A smaller one has some more hits while what is popular
/// stays so, and far fewer where keys come in bursts: a twentieth gains 0.3 and loses up to 6 of 100.
const SMALL_PART: usize = 10;
/// Uses in the small queue that bring an item into the main queue; as in the paper.
const PROMOTED: u8 = 2;
/// Used items passed over before one must go, whatever its uses.
const MAX_PASSED_OVER: usize = 256;

/// What the policy must know of an item.
pub(super) trait Item {
    /// Its key's; two keys of the same hash have one ghost.
    fn hash(&self) -> u64;
    /// In bytes; always the same.
    fn size(&self) -> usize;
}

/// What becomes of an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    Goes(T),
    /// As if it had been used so often until now.
    Stays(u8),
}

/// Items of at most so many bytes in all. How often each was used is counted by whoever holds it.
pub(super) struct S3Fifo<T> {
    capacity: usize,
    queues: Queues<T>,
    ghost: Ghost,
    /// Since the last one went.
    passed_over: usize,
    evicted: u64,
}

impl<T: Item> S3Fifo<T> {
    /// Room for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        let (queues, ghost) = (Queues::default(), Ghost::default());
        Self { capacity, queues, ghost, passed_over: 0, evicted: 0 }
    }

    /// Where an item of this hash belongs: where the one it replaces was, which is taken out.
    pub(super) fn queue_for(&mut self, hash: u64, replaced: Option<Slot>) -> Queue {
        match replaced.and_then(|slot| self.queues.take(slot)) {
            Some((queue, _)) => queue,
            None if self.ghost.take(hash) => Queue::Main,
            None => Queue::Small,
        }
    }

    /// Takes an item in, for which there must be room.
    pub(super) fn push(&mut self, queue: Queue, item: T) -> Slot {
        let size = item.size();
        self.queues.push(queue, item, size)
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        self.queues.take(slot).map(|(_, item)| item)
    }

    /// The item to be judged next if there is no room for `size` bytes more.
    pub(super) fn next(&self, size: usize) -> Option<&T> {
        let is_full = self.bytes() + size > self.capacity;
        self.candidate().filter(|_| is_full).map(|(_, _, item)| item)
    }

    /// What becomes of the next item, which was used so often. It goes, or moves to the end of the main queue.
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

    /// Room for `capacity` bytes; what is too much is still to be judged.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
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

    /// How many went.
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

    /// The oldest of the queue that is too long.
    fn candidate(&self) -> Option<(Queue, Slot, &T)> {
        let [small, main] = [Queue::Small, Queue::Main].map(|queue| {
            let (slot, item) = self.queues.oldest(queue)?;
            Some((queue, slot, item))
        });
        let small_is_long = self.queues.bytes(Queue::Small) >= self.capacity / SMALL_PART;
        if small_is_long { small.or(main) } else { main.or(small) }
    }

    /// Bytes of items whose ghosts are kept: as many as the main queue has room for; as in the paper.
    fn ghosts(&self) -> usize {
        self.capacity - self.capacity / SMALL_PART
    }
}
