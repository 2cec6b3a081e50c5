//! The readers of one call that wait for more of its answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use antiphon_core::lock;

/// Wakes all readers that wait whenever the engine has something new.
#[derive(Default)]
pub(super) struct Readers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The last number given to a reader.
    numbers: u64,
    wakers: HashMap<u64, Waker>,
}

impl Readers {
    /// Gives a new reader its number.
    pub(super) fn enter(&self) -> u64 {
        let mut waiting = lock(&self.0);
        waiting.numbers += 1;
        waiting.numbers
    }

    pub(super) fn wait(&self, reader: u64, waker: &Waker) {
        lock(&self.0).wakers.insert(reader, waker.clone());
    }

    pub(super) fn leave(&self, reader: u64) {
        lock(&self.0).wakers.remove(&reader);
    }
}

impl Wake for Readers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = std::mem::take(&mut lock(&self.0).wakers);
        wakers.into_values().for_each(Waker::wake);
    }
}
