//! The orders that wait for the writer.

use std::sync::Arc;

use antiphon_core::measure::Level;
use antiphon_core::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::super::{Entry, Selection};
use super::failure::DiskFailure;
use super::readers::Readers;

/// Orders that may wait: some seconds of what a busy server produces, and a burst of warmed-up speech.
const ORDERS: usize = 1_024;
/// Bytes that the entries among them may take: as much as the smallest cache in memory.
const BYTES: usize = 16 << 20;

/// An order to the writer. Orders are carried out one after the other.
pub(super) enum Order {
    /// Keep this entry. The permit stands for its bytes in the queue.
    Put(Arc<Entry>, OwnedSemaphorePermit),
    /// Remove the entries with these ids.
    Remove(Vec<i64>, Option<oneshot::Sender<Result<()>>>),
    /// Remove the selected entries.
    Clear(Selection, oneshot::Sender<Result<u64>>),
    /// Answer when all orders before this one are carried out.
    Flush(oneshot::Sender<()>),
    /// Reading with these readers failed: open the database anew, unless that was done since.
    Failed(Arc<Readers>, DiskFailure),
}

impl Order {
    /// Whether somebody waits until the order is carried out.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Remove(_, Some(_)) | Self::Clear(..) | Self::Flush(_))
    }
}

/// The queue of orders to the writer. Clones share it.
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

    /// Queues an entry to be kept; false if there is no room.
    pub(super) fn put(&self, entry: Arc<Entry>) -> bool {
        let Ok(bytes) = u32::try_from(entry.size()) else { return false };
        let Ok(permit) = self.room.clone().try_acquire_many_owned(bytes) else { return false };
        self.orders.try_send(Order::Put(entry, permit)).is_ok()
    }

    /// Queues an order that nobody waits for; it is dropped if there is no room.
    pub(super) fn hint(&self, order: Order) {
        let _ = self.orders.try_send(order);
    }

    /// Queues an order and waits until it is carried out.
    pub(super) async fn done<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T> {
        let ended = || Error::unavailable("the cache on disk is closed");
        let (done, waiting) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| ended())?;
        waiting.await.map_err(|_| ended())
    }

    pub(super) fn level(&self) -> Level {
        let limit = self.orders.max_capacity();
        let value = (limit - self.orders.capacity()) as f64;
        Level::new("queue", value, "orders").with_limit(limit as f64)
    }
}
