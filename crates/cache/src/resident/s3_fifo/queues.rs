//! Two queues in one table: items move from one to the other, and leave from any place, in constant time.

/// Where an item is in the table.
pub(in super::super) type Slot = u32;

/// Stands for no slot: the end of a queue.
const NONE: Slot = Slot::MAX;

/// The queue of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Queue {
    /// For new items, until they are used or evicted.
    Small,
    /// For items that were used.
    Main,
}

/// Both queues, as doubly linked lists in a table.
pub(super) struct Queues<T> {
    nodes: Vec<Node<T>>,
    free: Vec<Slot>,
    ends: [Ends; 2],
}

struct Node<T> {
    /// `None` in a free slot.
    item: Option<T>,
    size: usize,
    queue: Queue,
    older: Slot,
    newer: Slot,
}

#[derive(Clone, Copy)]
struct Ends {
    oldest: Slot,
    newest: Slot,
    bytes: usize,
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        let ends = Ends { oldest: NONE, newest: NONE, bytes: 0 };
        Self { nodes: Vec::new(), free: Vec::new(), ends: [ends; 2] }
    }
}

impl<T> Queues<T> {
    /// Puts an item of `size` bytes at the end of a queue.
    pub(super) fn push(&mut self, queue: Queue, item: T, size: usize) -> Slot {
        let node = Node { item: Some(item), size, queue, older: NONE, newer: NONE };
        let slot = if let Some(slot) = self.free.pop() {
            self.nodes[slot as usize] = node;
            slot
        } else {
            self.nodes.push(node);
            (self.nodes.len() - 1) as Slot
        };
        self.link(queue, slot);
        slot
    }

    /// Takes an item out, from any place in its queue.
    pub(super) fn take(&mut self, slot: Slot) -> Option<(Queue, T)> {
        let item = self.nodes[slot as usize].item.take()?;
        let queue = self.unlink(slot);
        self.free.push(slot);
        Some((queue, item))
    }

    /// Puts the item of a taken slot at the end of `queue`.
    pub(super) fn move_to(&mut self, queue: Queue, slot: Slot) {
        self.unlink(slot);
        self.link(queue, slot);
    }

    /// The oldest item of a queue.
    pub(super) fn oldest(&self, queue: Queue) -> Option<(Slot, &T)> {
        let slot = self.ends[queue as usize].oldest;
        Some((slot, self.nodes.get(slot as usize)?.item.as_ref()?))
    }

    /// The bytes of the items in a queue.
    pub(super) fn bytes(&self, queue: Queue) -> usize {
        self.ends[queue as usize].bytes
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// How many slots there are, taken or free.
    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// The items in `most` slots from slot `from` on.
    pub(super) fn items(&self, from: usize, most: usize) -> impl Iterator<Item = (Slot, &T)> {
        let slots = self.nodes.iter().enumerate().skip(from).take(most);
        slots.filter_map(|(slot, node)| Some((slot as Slot, node.item.as_ref()?)))
    }

    fn link(&mut self, queue: Queue, slot: Slot) {
        let ends = &mut self.ends[queue as usize];
        let older = std::mem::replace(&mut ends.newest, slot);
        let node = &mut self.nodes[slot as usize];
        (node.queue, node.older, node.newer) = (queue, older, NONE);
        ends.bytes += node.size;
        match older {
            NONE => ends.oldest = slot,
            older => self.nodes[older as usize].newer = slot,
        }
    }

    fn unlink(&mut self, slot: Slot) -> Queue {
        let Node { size, queue, older, newer, .. } = self.nodes[slot as usize];
        let ends = &mut self.ends[queue as usize];
        ends.bytes -= size;
        match older {
            NONE => ends.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
        match newer {
            NONE => ends.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
        queue
    }
}
