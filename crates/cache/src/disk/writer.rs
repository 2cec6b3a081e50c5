//! The task that writes to the database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use antiphon_core::Result;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::super::Selection;
use super::Shared;
use super::failure::{Cause, DiskFailure, Outage, paused};
use super::files::Files;
use super::queue::Order;
use super::statistics::Timed;
use super::tables::{self, Change, STEP};

/// Orders that are carried out together.
const BATCH: usize = 256;
/// How long the first order of a batch waits for others: the entries of a turn come together, and so each page is written once.
const WINDOW: Duration = Duration::from_millis(10);
/// How often expired entries are removed, and the file is checked to be still there.
const UPKEEP: Duration = Duration::from_secs(1);
/// How often the log is cut after entries have expired, at most. Until then it holds what they held. Cutting it more often would make
/// the disk wait for it all the time.
pub(super) const LOG_CUT_EVERY: Duration = Duration::from_mins(1);
/// The most steps of each kind in one upkeep.
const STEPS: usize = 8;

pub(super) struct Writer {
    files: Files,
    shared: Arc<Shared>,
    connection: Option<SqliteConnection>,
    outage: Outage,
    /// When the log was last cut.
    log_cut: Instant,
    /// Whether entries have expired since.
    is_log_stale: bool,
}

/// Changes that wait for their transaction, and the callers that wait for them.
#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    puts: u64,
    room: Vec<OwnedSemaphorePermit>,
    waiting: Vec<oneshot::Sender<Result<()>>>,
}

impl Writer {
    pub(super) fn new(files: Files, shared: Arc<Shared>) -> Self {
        let (outage, log_cut) = (Outage::default(), Instant::now());
        Self { files, shared, connection: None, outage, log_cut, is_log_stale: false }
    }

    /// Carries out orders until the queue is closed.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut upkeep = interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                taken = orders.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    gather(&mut orders, &mut batch).await;
                    self.carry_out(&mut batch).await;
                }
                _ = upkeep.tick() => {
                    // A failure was logged where it happened.
                    let _ = self.keep_up(&orders).await;
                }
            }
        }
        self.close().await;
    }

    async fn carry_out(&mut self, batch: &mut Vec<Order>) {
        let mut pending = Pending::default();
        for order in batch.drain(..) {
            match order {
                Order::Put(entry, room) => {
                    pending.changes.push(Change::Put(entry));
                    pending.puts += 1;
                    pending.room.push(room);
                }
                Order::Remove(ids, waiting) => {
                    pending.changes.push(Change::Remove(ids));
                    pending.waiting.extend(waiting);
                }
                Order::Clear(selection, waiting) => {
                    self.commit(std::mem::take(&mut pending)).await;
                    let _ = waiting.send(self.clear(&selection).await);
                }
                Order::Flush(waiting) => {
                    self.commit(std::mem::take(&mut pending)).await;
                    // A failure was logged where it happened.
                    let _ = self.cut_log().await;
                    let _ = waiting.send(());
                }
                Order::Failed(readers, failure) => {
                    // Ignored if the database was opened anew since, after a failure of other readers.
                    if self.shared.readers().is_some_and(|now| Arc::ptr_eq(&now, &readers)) {
                        self.failed(&failure).await;
                    }
                }
            }
        }
        self.commit(pending).await;
    }

    /// Writes the changes, and evicts entries if they took too much room.
    async fn commit(&mut self, pending: Pending) {
        let Pending { changes, puts, room, waiting } = pending;
        let done = self.write(&changes, puts).await;
        drop(room);
        for waiting in waiting {
            let _ = waiting.send(done.clone());
        }
        let count =
            if done.is_ok() { &self.shared.statistics.written } else { &self.shared.statistics.dropped };
        count.add(puts);
        if done.is_ok() && puts > 0 {
            // A failure was logged where it happened.
            let _ = self.evict().await;
        }
    }

    async fn write(&mut self, changes: &[Change], puts: u64) -> Result<()> {
        let used = self.shared.take_used();
        if changes.is_empty() && used.is_empty() {
            return Ok(());
        }
        let (shared, now_ms) = (self.shared.clone(), (self.shared.clock)());
        let connection = self.ready().await?;
        let timed = Timed::new(&shared.statistics.write);
        let done = tables::change(connection, changes, &used, now_ms).await;
        drop(timed);
        self.settle(done).await.inspect_err(|_| shared.statistics.write.fail())?;
        if puts > 0 && self.outage.worked(Instant::now()) {
            tracing::info!(file = %self.files.path().display(), "the cache on disk works again");
        }
        Ok(())
    }

    /// Evicts the least recently used entries, step by step, until the rest fits.
    async fn evict(&mut self) -> Result<()> {
        while self.measure().await?.used_bytes() > self.shared.max_bytes {
            let connection = self.ready().await?;
            let evicted = tables::evict(connection).await;
            let evicted = self.settle(evicted).await?;
            self.shared.statistics.evicted.add(evicted);
            if evicted == 0 {
                let failure = DiskFailure::file("it takes more room than it may, although no entry is left");
                self.failed(&failure).await;
                return Err(failure.into());
            }
        }
        Ok(())
    }

    async fn clear(&mut self, selection: &Selection) -> Result<u64> {
        let (mut from, mut cleared) = (i64::MIN, 0);
        loop {
            let connection = self.ready().await?;
            let step = tables::clear(connection, selection, from).await;
            let step = self.settle(step).await?;
            cleared += step.len() as u64;
            let next = step.iter().max().and_then(|last| last.checked_add(1));
            match next {
                Some(next) if step.len() == STEP => from = next,
                _ => break,
            }
        }
        self.cut_log().await?;
        self.measure().await?;
        Ok(cleared)
    }

    /// Cuts the log, so that nothing is left on disk of what was removed. If somebody reads for so long that it cannot be cut, the
    /// database is closed, which cuts it as well.
    async fn cut_log(&mut self) -> Result<()> {
        let cut = tables::cut_log(self.ready().await?).await;
        if !self.settle(cut).await? {
            self.close().await;
        }
        (self.log_cut, self.is_log_stale) = (Instant::now(), false);
        Ok(())
    }

    /// Does the regular upkeep, and as little of it as possible while orders wait.
    async fn keep_up(&mut self, orders: &mpsc::Receiver<Order>) -> Result<()> {
        self.ready().await?;
        if !self.files.exist().await {
            self.failed(&DiskFailure::file("it was removed")).await;
        }
        self.write(&[], 0).await?;
        for _ in 0..STEPS {
            let now_ms = (self.shared.clock)();
            let expired = tables::expire(self.ready().await?, now_ms).await;
            let expired = self.settle(expired).await?;
            self.shared.statistics.expired.add(expired);
            self.is_log_stale |= expired > 0;
            if expired < STEP as u64 || !orders.is_empty() {
                break;
            }
        }
        for _ in 0..STEPS {
            if !self.measure().await?.is_loose() || !orders.is_empty() {
                break;
            }
            let given = tables::give_back(self.ready().await?).await;
            self.settle(given).await?;
        }
        if self.is_log_stale && orders.is_empty() && self.log_cut.elapsed() >= LOG_CUT_EVERY {
            self.cut_log().await?;
        }
        Ok(())
    }

    async fn measure(&mut self) -> Result<tables::Size> {
        let size = tables::size(self.ready().await?).await;
        let size = self.settle(size).await?;
        self.shared.statistics.used_bytes.store(size.used_bytes(), Ordering::Relaxed);
        Ok(size)
    }

    /// The connection; opens the database if it is not open. An error while the disk is left alone after a failure.
    pub(super) async fn ready(&mut self) -> Result<&mut SqliteConnection> {
        if !self.outage.may_try(Instant::now()) {
            return Err(paused());
        }
        if self.connection.is_none() {
            match self.files.open().await {
                Ok((writer, readers)) => {
                    self.connection = Some(writer);
                    self.shared.set_readers(Some(readers));
                }
                Err(failure) => {
                    self.failed(&failure).await;
                    return Err(failure.into());
                }
            }
        }
        self.connection.as_mut().ok_or_else(paused)
    }

    async fn settle<T>(&mut self, done: sqlx::Result<T>) -> Result<T> {
        match done.map_err(DiskFailure::from) {
            Ok(done) => Ok(done),
            Err(failure) => {
                self.failed(&failure).await;
                Err(failure.into())
            }
        }
    }

    /// Reacts to a failure: closes the database, removes it if it is damaged, and logs that if an outage begins.
    async fn failed(&mut self, failure: &DiskFailure) {
        let now = Instant::now();
        self.shared.statistics.failures.add(1);
        let news = self.outage.failed(now);
        if failure.cause != Cause::Full {
            self.close().await;
        }
        let anew = failure.cause == Cause::File && self.files.remove().await.is_ok();
        if anew {
            self.outage.hurry(now);
        }
        if news {
            let (file, reason) = (self.files.path().display(), &failure.message);
            let then = if anew {
                "it is begun anew"
            } else {
                "make room on the disk and allow writing in its folder; it is tried again now and then"
            };
            tracing::warn!(%file, reason, "the cache on disk cannot be used: {then}");
        }
    }

    async fn close(&mut self) {
        if let Some(readers) = self.shared.set_readers(None) {
            readers.close().await;
        }
        if let Some(writer) = self.connection.take() {
            // A connection that cannot be closed properly is closed by dropping it.
            let _ = writer.close().await;
        }
    }
}

/// Waits a moment for more orders, unless there are enough already or somebody waits for one of them.
async fn gather(orders: &mut mpsc::Receiver<Order>, batch: &mut Vec<Order>) {
    let until = Instant::now() + WINDOW;
    let mut awaited = batch.iter().any(Order::is_awaited);
    while !awaited && batch.len() < BATCH {
        let Ok(Some(order)) = timeout_at(until, orders.recv()).await else { break };
        awaited = order.is_awaited();
        batch.push(order);
    }
}
