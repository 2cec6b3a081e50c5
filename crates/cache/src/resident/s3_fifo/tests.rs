use std::collections::{HashMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// An item of the cache: its key and its size.
type Thing = (u64, usize);

impl Evictable for Thing {
    fn hash(&self) -> u64 {
        self.0
    }

    fn size(&self) -> usize {
        self.1
    }
}

/// The policy, and the items that it keeps, as in a cache.
struct Subject {
    policy: S3Fifo<Thing>,
    places: HashMap<u64, Place>,
}

struct Place {
    slot: Slot,
    size: usize,
    uses: u8,
}

impl Subject {
    fn new(capacity: usize) -> Self {
        Self { policy: S3Fifo::new(capacity), places: HashMap::new() }
    }

    /// Counts a use of the item. False if it is not kept.
    fn get(&mut self, key: u64) -> bool {
        let place = self.places.get_mut(&key);
        place.map(|place| place.uses = (place.uses + 1).min(MAX_USES)).is_some()
    }

    /// Puts an item. Returns the keys of those that were evicted for it.
    fn put(&mut self, key: u64, size: usize) -> Vec<u64> {
        let replaced = self.places.remove(&key);
        let queue = self.policy.queue_for(key, replaced.as_ref().map(|place| place.slot));
        if size > self.policy.capacity() {
            return Vec::new();
        }
        let victims = self.make_room(size);
        let slot = self.policy.push(queue, (key, size));
        self.places.insert(key, Place { slot, size, uses: replaced.map_or(0, |place| place.uses) });
        victims
    }

    fn remove(&mut self, key: u64) {
        if let Some(place) = self.places.remove(&key) {
            assert_eq!(self.policy.remove(place.slot), Some((key, place.size)));
        }
    }

    fn set_capacity(&mut self, capacity: usize) -> Vec<u64> {
        self.policy.set_capacity(capacity);
        self.make_room(0)
    }

    /// Asks for an item and puts it if it is missing. True if it was kept.
    fn request(&mut self, key: u64) -> bool {
        let found = self.get(key);
        if !found {
            self.put(key, 1);
        }
        found
    }

    fn make_room(&mut self, size: usize) -> Vec<u64> {
        let mut victims = Vec::new();
        while let Some(&(key, _)) = self.policy.next(size) {
            let place = self.places.get_mut(&key).expect("what is in a queue has a place");
            match self.policy.judge(place.uses).expect("there is a next one") {
                Verdict::Stays(uses) => place.uses = uses,
                Verdict::Goes((gone, _)) => {
                    assert_eq!(gone, key);
                    self.places.remove(&key);
                    victims.push(key);
                }
            }
        }
        victims
    }

    /// Bytes are within the bound and what the items take; each item is where it was said to be.
    fn check(&self) {
        let sizes: usize = self.places.values().map(|place| place.size).sum();
        assert_eq!(self.policy.bytes(), sizes);
        assert!(sizes <= self.policy.capacity());
        assert_eq!(self.policy.len(), self.places.len());
        for (slot, (key, _)) in self.policy.items(0, usize::MAX) {
            assert_eq!(self.places.get(key).map(|place| place.slot), Some(slot));
        }
    }
}

/// A slow S3-FIFO of items of one size that follows the paper word for word, with lists that are searched and copied.
struct Naive {
    capacity: usize,
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    uses: HashMap<u64, u8>,
    /// The keys that left the small queue last, with `None` in the place of those that came back since.
    ghosts: Vec<Option<u64>>,
}

impl Naive {
    fn new(capacity: usize) -> Self {
        let (small, main, ghosts) = (VecDeque::new(), VecDeque::new(), Vec::new());
        Self { capacity, small, main, uses: HashMap::new(), ghosts }
    }

    fn get(&mut self, key: u64) {
        if let Some(uses) = self.uses.get_mut(&key) {
            *uses = (*uses + 1).min(3);
        }
    }

    fn put(&mut self, key: u64) -> Vec<u64> {
        let in_small = self.small.contains(&key);
        let in_main = self.main.contains(&key);
        let uses = self.remove(key).unwrap_or(0);
        let is_ghost = !in_small && !in_main && self.take_ghost(key);
        if self.capacity == 0 {
            return Vec::new();
        }
        let victims = self.shrink_to(self.capacity - 1);
        if in_main || is_ghost {
            self.main.push_back(key);
        } else {
            self.small.push_back(key);
        }
        self.uses.insert(key, uses);
        victims
    }

    fn remove(&mut self, key: u64) -> Option<u8> {
        self.small.retain(|other| *other != key);
        self.main.retain(|other| *other != key);
        self.uses.remove(&key)
    }

    fn set_capacity(&mut self, capacity: usize) -> Vec<u64> {
        self.capacity = capacity;
        self.trim_ghosts();
        self.shrink_to(capacity)
    }

    fn take_ghost(&mut self, key: u64) -> bool {
        let found = self.ghosts.iter_mut().find(|ghost| **ghost == Some(key));
        found.and_then(Option::take).is_some()
    }

    fn trim_ghosts(&mut self) {
        let most = self.capacity - self.capacity / 10;
        self.ghosts.drain(..self.ghosts.len().saturating_sub(most));
    }

    fn shrink_to(&mut self, length: usize) -> Vec<u64> {
        let mut victims = Vec::new();
        while self.small.len() + self.main.len() > length {
            if self.main.is_empty() || !self.small.is_empty() && self.small.len() >= self.capacity / 10 {
                let key = self.small.pop_front().unwrap();
                if self.uses[&key] > 1 {
                    self.uses.insert(key, 0);
                    self.main.push_back(key);
                } else {
                    self.uses.remove(&key);
                    self.take_ghost(key);
                    self.ghosts.push(Some(key));
                    self.trim_ghosts();
                    victims.push(key);
                }
            } else {
                let key = self.main.pop_front().unwrap();
                if self.uses[&key] > 0 {
                    *self.uses.get_mut(&key).unwrap() -= 1;
                    self.main.push_back(key);
                } else {
                    self.uses.remove(&key);
                    victims.push(key);
                }
            }
        }
        victims
    }
}

#[derive(Clone, Debug)]
enum Step {
    Get(u64),
    Put(u64, usize),
    Remove(u64),
    SetCapacity(usize),
}

/// One of few keys, of which some are far more frequent than others.
fn key() -> impl Strategy<Value = u64> {
    (0..100_u64, 0..100_u64).prop_map(|(a, b)| a * b / 100)
}

fn steps(
    sizes: std::ops::Range<usize>,
    capacities: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        50 => key().prop_map(Step::Get),
        50 => (key(), sizes).prop_map(|(key, size)| Step::Put(key, size)),
        5 => key().prop_map(Step::Remove),
        1 => capacities.prop_map(Step::SetCapacity),
    ];
    vec(step, 0..600)
}

proptest! {
    #[test]
    fn items_of_one_size_go_as_in_the_paper(capacity in 0_usize..60, steps in steps(1..2, 0..60)) {
        let (mut subject, mut naive) = (Subject::new(capacity), Naive::new(capacity));
        for step in steps {
            match step {
                Step::Get(key) => {
                    prop_assert_eq!(subject.get(key), naive.uses.contains_key(&key));
                    naive.get(key);
                }
                Step::Put(key, _) => prop_assert_eq!(subject.put(key, 1), naive.put(key)),
                Step::Remove(key) => {
                    subject.remove(key);
                    naive.remove(key);
                }
                Step::SetCapacity(capacity) => {
                    prop_assert_eq!(subject.set_capacity(capacity), naive.set_capacity(capacity));
                }
            }
            subject.check();
        }
    }

    #[test]
    fn items_of_any_size_stay_within_the_bound(capacity in 0_usize..300, steps in steps(0..100, 0..300)) {
        let mut subject = Subject::new(capacity);
        let mut evicted = 0;
        for step in steps {
            match step {
                Step::Get(key) => {
                    subject.get(key);
                }
                Step::Put(key, size) => {
                    evicted += subject.put(key, size).len();
                    prop_assert_eq!(subject.get(key), size <= subject.policy.capacity());
                }
                Step::Remove(key) => {
                    subject.remove(key);
                    prop_assert!(!subject.get(key));
                }
                Step::SetCapacity(capacity) => evicted += subject.set_capacity(capacity).len(),
            }
            subject.check();
            prop_assert_eq!(subject.policy.evicted(), evicted as u64);
        }
    }

    #[test]
    fn a_scan_of_keys_asked_for_once_leaves_what_is_used(hot in 1_u64..80, length in 1_u64..1_000) {
        let mut subject = Subject::new(100);
        // Each hot key is used twice after it was put, so that it leaves the small queue for the main one.
        for _ in 0..3 {
            (0..hot).for_each(|key| { subject.request(key); });
        }
        for key in 0..length {
            subject.request(1_000 + key);
        }
        for key in 0..hot {
            prop_assert!(subject.get(key), "{} of {}", key, hot);
        }
    }
}

#[test]
fn what_comes_back_soon_stays() {
    let mut subject = Subject::new(10);
    (0..20).for_each(|key| {
        subject.request(key);
    });
    assert!(!subject.request(9), "it went");
    (100..200).for_each(|key| {
        subject.request(key);
    });
    assert!(subject.get(9), "but came back, and went to the main queue");
    assert!(!subject.get(8));
}

#[test]
fn one_large_item_goes_before_what_is_used() {
    let mut subject = Subject::new(100);
    for _ in 0..3 {
        (0..30).for_each(|key| {
            subject.request(key);
        });
    }
    subject.put(1_000, 70);
    assert!(subject.get(1_000));
    (2_000..2_100).for_each(|key| {
        subject.put(key, 1);
    });
    assert!((0..30).all(|key| subject.get(key)));
}

#[test]
fn a_new_value_keeps_the_place_and_the_uses() {
    let mut subject = Subject::new(10);
    subject.request(0);
    subject.request(0);
    subject.request(0);
    subject.put(0, 2);
    (1..100).for_each(|key| {
        subject.request(key);
    });
    assert!(subject.get(0));
}

#[test]
fn one_eviction_looks_at_a_bounded_number() {
    let mut subject = Subject::new(10_000);
    for _ in 0..=MAX_USES {
        (0..10_000).for_each(|key| {
            subject.request(key);
        });
    }
    assert_eq!(subject.put(10_000, 1).len(), 1);
    let looked_at = subject.places.values().filter(|place| place.uses < MAX_USES).count();
    assert_eq!(looked_at, MAX_PASSED_OVER + 1, "those passed over and the new one");
}
