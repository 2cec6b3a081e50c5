//! Calls in flight, which others may join.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use antiphon_core::{BoxStream, Priority, Result};

use super::talk::{Piece, Reader, Talk};

/// The calls in flight, by what was asked for.
pub struct Calls<K: Eq + Hash, T>(Mutex<HashMap<K, Call<K, T>>>);

struct Call<K: Eq + Hash, T> {
    talk: Weak<Talk<K, T>>,
    priority: Priority,
}

impl<K: Eq + Hash, T> Default for Calls<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, T: Piece> Calls<K, T> {
    /// Somebody else's call, if one can be joined: none that was made with less urgency, has ended, or whose start is
    /// gone.
    pub fn join(&self, key: &K, priority: Priority) -> Option<Reader<K, T>> {
        // Taken out of the lock: the last one to let go of a talk locks the calls.
        let talk = self.lock().get(key).filter(|call| call.priority <= priority)?.talk.upgrade();
        talk?.join()
    }

    /// A call of its own, which others may join from now on.
    pub fn begin(
        self: &Arc<Self>,
        key: K,
        priority: Priority,
        answers: BoxStream<'static, Result<T>>,
    ) -> Reader<K, T> {
        let talk = Arc::new(Talk::new(answers, key.clone(), Arc::clone(self)));
        let reader = Reader::first(&talk);
        self.lock().insert(key, Call { talk: Arc::downgrade(&talk), priority });
        reader
    }
}

impl<K: Eq + Hash, T> Calls<K, T> {
    /// Nobody can join `talk` any more. A later one under the same key stays.
    pub(super) fn remove(&self, key: &K, talk: *const Talk<K, T>) {
        let mut calls = self.lock();
        if calls.get(key).is_some_and(|call| std::ptr::eq(call.talk.as_ptr(), talk)) {
            calls.remove(key);
        }
    }

    /// Whether no call is in flight.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Call<K, T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
