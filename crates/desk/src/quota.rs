//! Divides something that is limited among those who ask for it: so much in all, and so much for each of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use antiphon_core::lock;

/// Something limited, such as lines or bytes, and who has taken how much of it.
#[derive(Debug)]
pub struct Quota<K> {
    in_all: usize,
    each: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    /// Only those who have taken something are in it, so that strangers cannot make it grow.
    each: HashMap<K, usize>,
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// All of it is taken.
    InAll(usize),
    /// Whoever asks has as much as one may have.
    Each(usize),
}

impl<K: Clone + Eq + Hash> Quota<K> {
    /// At most `in_all`, of which one may take `each`.
    pub fn new(in_all: usize, each: usize) -> Self {
        Self { in_all, each, taken: Mutex::new(Taken { all: 0, each: HashMap::new() }) }
    }

    /// An empty part for `who`, which can be made larger. `None` is bounded by what there is in all only.
    pub fn part(self: &Arc<Self>, who: Option<K>) -> Part<K> {
        Part { quota: Arc::clone(self), who, amount: 0 }
    }

    /// How much of it is taken.
    pub fn taken(&self) -> usize {
        lock(&self.taken).all
    }

    /// How much of it `who` has taken.
    pub fn taken_by(&self, who: &K) -> usize {
        lock(&self.taken).each.get(who).copied().unwrap_or_default()
    }

    fn take(&self, who: Option<&K>, more: usize) -> Result<(), Exhausted> {
        let mut taken = lock(&self.taken);
        if taken.all.saturating_add(more) > self.in_all {
            return Err(Exhausted::InAll(self.in_all));
        }
        if let Some(who) = who {
            let held = taken.each.get(who).copied().unwrap_or_default();
            if held.saturating_add(more) > self.each {
                return Err(Exhausted::Each(self.each));
            }
            taken.each.insert(who.clone(), held + more);
        }
        taken.all += more;
        Ok(())
    }

    fn give_back(&self, who: Option<&K>, amount: usize) {
        let mut taken = lock(&self.taken);
        taken.all -= amount;
        let Some(who) = who else { return };
        let left = taken.each.get_mut(who).map(|held| {
            *held -= amount;
            *held
        });
        if left == Some(0) {
            taken.each.remove(who);
        }
    }
}

/// What one has taken. Dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub struct Part<K: Clone + Eq + Hash> {
    quota: Arc<Quota<K>>,
    who: Option<K>,
    amount: usize,
}

impl<K: Clone + Eq + Hash> Part<K> {
    /// How much it is.
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Takes `more`, or nothing and says which bound is reached.
    pub fn grow(&mut self, more: usize) -> Result<(), Exhausted> {
        if more > 0 {
            self.quota.take(self.who.as_ref(), more)?;
            self.amount += more;
        }
        Ok(())
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        let amount = std::mem::take(&mut self.amount);
        if amount > 0 {
            self.quota.give_back(self.who.as_ref(), amount);
        }
    }
}

impl<K: Clone + Eq + Hash> Drop for Part<K> {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(quota: &Arc<Quota<u8>>, who: Option<u8>, amount: usize) -> Result<Part<u8>, Exhausted> {
        let mut part = quota.part(who);
        part.grow(amount).map(|()| part)
    }

    #[test]
    fn one_gets_its_part_and_all_together_what_there_is() {
        let quota = Arc::new(Quota::new(10, 6));
        let mut first = take(&quota, Some(1), 6).expect("its part");
        assert_eq!(first.grow(1), Err(Exhausted::Each(6)));
        assert_eq!(take(&quota, Some(1), 1).err(), Some(Exhausted::Each(6)), "in other pieces it is no more");
        let second = take(&quota, Some(2), 4).expect("the rest");
        assert_eq!(take(&quota, Some(3), 1).err(), Some(Exhausted::InAll(10)));
        drop(second);
        assert!(take(&quota, Some(3), 1).is_ok());
    }

    #[test]
    fn what_is_given_back_leaves_no_trace() {
        let quota = Arc::new(Quota::new(10, 6));
        let mut part = take(&quota, Some(1), 6).expect("its part");
        part.clear();
        assert_eq!(part.amount(), 0);
        assert!(lock(&quota.taken).each.is_empty());
        assert!(take(&quota, Some(1), 6).is_ok());
    }

    #[test]
    fn who_is_not_counted_is_bounded_by_all_there_is() {
        let quota = Arc::new(Quota::new(10, 6));
        let _all = take(&quota, None, 10).expect("all of it");
        assert_eq!(take(&quota, None, 1).err(), Some(Exhausted::InAll(10)));
    }
}
