//! The entries of the index and their vectors, by scope.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Neighbour;
use super::curve::Observation;
use crate::Key;

/// The most observations of one entry: if all are right they show an error below 5 %, for which 59 are enough.
const MAX_OBSERVATIONS: usize = 64;
/// Sums kept side by side, so that the compiler can use vector registers: it may not reorder a sum of floats by itself.
const LANES: usize = 16;

/// The entries of all scopes, with their vectors and observations.
pub(super) struct Store {
    dimensions: usize,
    scopes: HashMap<Key, Scope>,
    places: HashMap<Key, Place>,
    /// The entries' keys, the oldest first.
    ages: BTreeMap<u64, Key>,
    next_age: u64,
}

/// The place of an entry.
struct Place {
    scope: Key,
    slot: usize,
}

/// The entries of one scope; their vectors lie side by side in the same order.
#[derive(Default)]
struct Scope {
    entries: Vec<Entry>,
    vectors: Vec<f32>,
}

struct Entry {
    key: Key,
    age: u64,
    question: Arc<str>,
    observations: Vec<Observation>,
}

impl Store {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            scopes: HashMap::new(),
            places: HashMap::new(),
            ages: BTreeMap::new(),
            next_age: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn has(&self, scope: &Key) -> bool {
        self.scopes.contains_key(scope)
    }

    /// The vector scaled to length one; `None` if it has the wrong dimensions, is zero or not finite.
    pub(super) fn unit(&self, vector: &[f32]) -> Option<Vec<f32>> {
        let length = dot(vector, vector).sqrt();
        let usable = vector.len() == self.dimensions && length.is_normal();
        usable.then(|| vector.iter().map(|x| x / length).collect())
    }

    /// Adds an entry whose key is new, with a vector of length one.
    pub(super) fn insert(&mut self, scope: Key, key: Key, question: &str, unit: &[f32]) {
        let age = self.next_age;
        self.next_age += 1;
        self.ages.insert(age, key);
        let of_scope = self.scopes.entry(scope).or_default();
        self.places.insert(key, Place { scope, slot: of_scope.entries.len() });
        of_scope.entries.push(Entry { key, age, question: question.into(), observations: Vec::new() });
        of_scope.vectors.extend_from_slice(unit);
    }

    /// Removes the oldest entries until there is room for one more, in the scope and in all.
    pub(super) fn make_room(&mut self, scope: &Key, max_scope_entries: usize, max_entries: usize) {
        while let Some(oldest) =
            self.scopes.get(scope).filter(|scope| scope.entries.len() >= max_scope_entries)
        {
            let Some(key) = oldest.entries.iter().min_by_key(|entry| entry.age).map(|entry| entry.key) else {
                break;
            };
            self.remove(&key);
        }
        while self.len() >= max_entries {
            let Some((_, key)) = self.ages.pop_first() else { break };
            self.remove(&key);
        }
    }

    /// Removes an entry; the last one of its scope takes its slot.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let Some(place) = self.places.remove(key) else { return false };
        let Some(scope) = self.scopes.get_mut(&place.scope) else { return false };
        let entry = scope.entries.swap_remove(place.slot);
        let last = scope.entries.len() * self.dimensions;
        let at = place.slot * self.dimensions;
        scope.vectors.copy_within(last.., at.min(last));
        scope.vectors.truncate(last);
        if let Some(moved) = scope.entries.get(place.slot).and_then(|moved| self.places.get_mut(&moved.key)) {
            moved.slot = place.slot;
        }
        if scope.entries.is_empty() {
            self.scopes.remove(&place.scope);
        }
        self.ages.remove(&entry.age);
        true
    }

    /// The `N` nearest entries of the scope with at least this similarity, the nearest first.
    pub(super) fn nearest<const N: usize>(&self, scope: &Key, unit: &[f32], at_least: f32) -> Vec<Neighbour> {
        let Some(scope) = self.scopes.get(scope) else { return Vec::new() };
        let mut best: Vec<(f32, usize)> = Vec::with_capacity(N + 1);
        for (slot, vector) in scope.vectors.chunks_exact(self.dimensions).enumerate() {
            let similarity = dot(unit, vector);
            let bar = best.get(N - 1).map_or(at_least, |(worst, _)| *worst);
            if similarity < bar {
                continue;
            }
            let at = best.partition_point(|(better, _)| *better >= similarity);
            best.insert(at, (similarity, slot));
            best.truncate(N);
        }
        let neighbour = |(similarity, slot): (f32, usize)| {
            let entry = &scope.entries[slot];
            Neighbour { key: entry.key, question: Arc::clone(&entry.question), similarity }
        };
        best.into_iter().map(neighbour).collect()
    }

    /// The observations of an entry.
    pub(super) fn observations(&self, key: &Key) -> Option<&[Observation]> {
        let place = self.places.get(key)?;
        Some(&self.scopes.get(&place.scope)?.entries.get(place.slot)?.observations)
    }

    /// Adds an observation of an entry, unless the entry is gone.
    pub(super) fn observe(&mut self, key: &Key, observation: Observation) {
        let Some(place) = self.places.get(key) else { return };
        let Some(entry) =
            self.scopes.get_mut(&place.scope).and_then(|scope| scope.entries.get_mut(place.slot))
        else {
            return;
        };
        if entry.observations.len() == MAX_OBSERVATIONS {
            entry.observations.remove(0);
        }
        entry.observations.push(observation);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.0.iter().zip(b.0) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
