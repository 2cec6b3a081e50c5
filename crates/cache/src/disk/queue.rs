//! What waits for the writer.

use std::sync::Arc;

use antiphon_core::measure::Level;
use antiphon_core::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::super::{Entry, Selection};
use super::readers::Readers;
use super::trouble::Trouble;

/// Orders that may wait: some seconds of what a busy server makes, and a burst of speech made ahead.
const ORDERS: usize = 1_024;
/// What the entries among them may take: as much as the smallest cache in memory.
const BYTES: usize = 16 << 20;

/// What the writer is to do. They are carried out in order.
pub(super) enum Order {
    /// Keep it. The permit is its room in the queue.
    Put(Arc<Entry>, OwnedSemaphorePermit),
    /// Forget the entries of these numbers.
    Remove(Vec<i64>, Option<oneshot::Sender<Result<()>>>),
    /// Forget what is meant.
    Clear(Selection, oneshot::Sender<Result<u64>>),
    /// Say when all that came before is done.
    Flush(oneshot::Sender<()>),
    /// These could not read.
    Failed(Arc<Readers>, Trouble),
}

impl Order {
    /// Whether somebody waits until it is done.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Remove(_, Some(_)) | Self::Clear(..) | Self::Flush(_))
    }
}

/// The way to the writer. Clones share it.
#[derive(Clone)]
pub(super) struct Queue {
    orders: mpsc::Sender<Order>,
    room: Arc<Semaphore>,
}

impl Queue {
    pub(super) fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, waiting) = mpsc::channel(ORDERS);
        (Self { orders, room: Arc::new(Semaphore::new(BYTES)) }, waiting)
    }

    /// To be kept, if there is room; whether there is.
    pub(super) fn put(&self, entry: Arc<Entry>) -> bool {
        let Ok(bytes) = u32::try_from(entry.size()) else { return false };
        let Ok(permit) = self.room.clone().try_acquire_many_owned(bytes) else { return false };
        self.orders.try_send(Order::Put(entry, permit)).is_ok()
    }

    /// To be done some time; forgotten if there is no room.
    pub(super) fn hint(&self, order: Order) {
        let _ = self.orders.try_send(order);
    }

    /// Waits until it is done.
    pub(super) async fn done<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T> {
        let ended = || Error::unavailable("the cache on disk is closed");
        let (done, waiting) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| ended())?;
        waiting.await.map_err(|_| ended())
    }

    pub(super) fn level(&self) -> Level {
        let limit = self.orders.max_capacity();
        let value = (limit - self.orders.capacity()) as f64;
        Level { name: "queue".into(), value, limit: Some(limit as f64), unit: "orders".into() }
    }
}
