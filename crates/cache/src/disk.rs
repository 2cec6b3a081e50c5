//! Entries on the disk of one machine.
//!
//! They lie in one SQLite database, `cache.db`. One task writes: entries wait in a bounded queue and are written many at a time,
//! while three connections read, each on a thread of its own. A cache may always be lost: a database that is damaged, not ours
//! or of another version is replaced by an empty one, and while a disk is full or gone there is no cache on it.
//! Both are logged once.

mod failure;
mod files;
mod queue;
mod readers;
mod statistics;
mod tables;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Level, Stage};
use antiphon_core::{BoxFuture, Result, lock};
use tokio::time::timeout;

use super::{Clock, Entry, Key, Kind, Layer, Selection, Usage};
use failure::{DiskFailure, paused};
use files::Files;
use queue::{Order, Queue};
use readers::Readers;
use statistics::{Statistics, Timed};
use tables::Kept;
use writer::Writer;

/// The smallest size of the cache: an empty database takes a part of it.
const MIN_BYTES: u64 = 1 << 20;
/// An entry may take at most the eighth part of the whole size.
const SHARE: u64 = 8;
/// How often the time of an entry's use is written, at most: more often would hardly change which entries are evicted first.
const USED_STEP_MS: u64 = 60_000;
/// The most entries whose time of use may wait to be written.
const MAX_USED: usize = 4_096;
/// How long a flush waits: a disk that takes longer for what is queued does not answer at all.
const FLUSH: Duration = Duration::from_secs(10);

/// Entries on disk; the least recently used are evicted.
///
/// An entry is found once it is written, some ten milliseconds after it was put; until then [`Layer::get`] misses it or finds
/// its predecessor. [`Layer::remove`], [`Layer::clear`] and [`Layer::flush`] take effect after everything that was put before.
///
/// The space of removed entries is used again; if more than an eighth of the file is free, it is given back to the file system.
pub struct DiskLayer {
    shared: Arc<Shared>,
    queue: Queue,
}

/// What the layer and its writer share.
struct Shared {
    clock: Clock,
    max_bytes: u64,
    /// `None` while the disk cannot be used.
    readers: RwLock<Option<Arc<Readers>>>,
    /// Times at which entries were last used that are not written yet.
    used: Mutex<HashMap<i64, u64>>,
    statistics: Statistics,
}

impl DiskLayer {
    /// Opens the cache in `folder`, or makes both. The file takes about `max_bytes` at most, 1 MiB at least, and at times some
    /// more for its log. If the disk cannot be used now, that is logged and tried again, as later.
    ///
    /// # Errors
    /// `Invalid` if the folder's name cannot be that of a file.
    pub async fn open(folder: &Path, max_bytes: u64, clock: Clock) -> Result<Arc<Self>> {
        Ok(Self::start(Files::new(folder)?, max_bytes, clock).await)
    }

    async fn start(files: Files, max_bytes: u64, clock: Clock) -> Arc<Self> {
        let shared = Arc::new(Shared {
            clock,
            max_bytes: max_bytes.max(MIN_BYTES),
            readers: RwLock::default(),
            used: Mutex::default(),
            statistics: Statistics::default(),
        });
        let (queue, orders) = Queue::new();
        let mut writer = Writer::new(files, shared.clone());
        // A second time, if the first one found a damaged file and removed it.
        for _ in 0..2 {
            if writer.ready().await.is_ok() {
                break;
            }
        }
        tokio::spawn(writer.run(orders));
        Arc::new(Self { shared, queue })
    }
}

impl Layer for DiskLayer {
    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'static, Result<Option<Arc<Entry>>>> {
        let (shared, queue) = (self.shared.clone(), self.queue.clone());
        Box::pin(async move {
            let readers = shared.readers().ok_or_else(paused)?;
            let _timed = Timed::new(&shared.statistics.get);
            let id = tables::id(kind, &key);
            let found = answered(&queue, &readers, find(&readers, id).await);
            let Some(kept) = found.inspect_err(|_| shared.statistics.get.fail())? else { return Ok(None) };
            let entry = shared.whole(&queue, &kept).filter(|entry| entry.kind == kind && entry.key == key);
            let now = (shared.clock)();
            let fresh = entry.filter(|entry| entry.is_fresh(now));
            if fresh.is_some() && kept.used_ms.saturating_add(USED_STEP_MS) <= now {
                shared.used([kept.id], now);
            }
            Ok(fresh)
        })
    }

    fn put(&self, entry: Arc<Entry>) {
        let fits = entry.size() as u64 <= self.shared.max_bytes / SHARE;
        if !fits || !self.queue.put(entry) {
            self.shared.statistics.dropped.add(1);
        }
    }

    fn touch(&self, kind: Kind, keys: &[Key]) {
        self.shared.used(keys.iter().map(|key| tables::id(kind, key)), (self.shared.clock)());
    }

    fn remove(&self, kind: Kind, keys: Vec<Key>) -> BoxFuture<'static, Result<()>> {
        let queue = self.queue.clone();
        let ids = keys.iter().map(|key| tables::id(kind, key)).collect();
        Box::pin(async move { queue.done(|done| Order::Remove(ids, Some(done))).await? })
    }

    fn clear(&self, selection: Selection) -> BoxFuture<'static, Result<u64>> {
        let queue = self.queue.clone();
        Box::pin(async move { queue.done(|done| Order::Clear(selection, done)).await? })
    }

    fn list(&self, selection: Selection, limit: usize) -> BoxFuture<'static, Result<Vec<Arc<Entry>>>> {
        let (shared, queue) = (self.shared.clone(), self.queue.clone());
        Box::pin(async move {
            let readers = shared.readers().ok_or_else(paused)?;
            let now = (shared.clock)();
            let found = list(&readers, &selection, limit, now).await;
            let found = answered(&queue, &readers, found)?;
            let whole = found.iter().filter_map(|kept| shared.whole(&queue, kept));
            Ok(whole.filter(|entry| entry.is_fresh(now) && selection.matches(entry)).collect())
        })
    }

    fn usage(&self, kind: Kind) -> BoxFuture<'static, Result<Usage>> {
        let (shared, queue) = (self.shared.clone(), self.queue.clone());
        Box::pin(async move {
            let readers = shared.readers().ok_or_else(paused)?;
            answered(&queue, &readers, usage(&readers, kind).await)
        })
    }

    fn flush(&self) -> BoxFuture<'static, ()> {
        let queue = self.queue.clone();
        Box::pin(async move {
            // A time-out is ignored, since entries may be lost.
            let _ = timeout(FLUSH, queue.done(Order::Flush)).await;
        })
    }
}

impl Component for DiskLayer {
    fn name(&self) -> &'static str {
        "cache disk"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.shared.statistics.get, &self.shared.statistics.write]
    }

    fn counters(&self) -> Vec<Counter> {
        self.shared.statistics.counters()
    }

    fn levels(&self) -> Vec<Level> {
        let value = self.shared.statistics.used_bytes.load(Ordering::Relaxed) as f64;
        let limit = Some(self.shared.max_bytes as f64);
        vec![Level::new("bytes", value, "bytes").with_limit(limit), self.queue.level()]
    }
}

impl Shared {
    fn readers(&self) -> Option<Arc<Readers>> {
        self.readers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the readers; gives those before.
    fn set_readers(&self, readers: Option<Readers>) -> Option<Arc<Readers>> {
        let mut now = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *now, readers.map(Arc::new))
    }

    /// The entry, unless it is damaged: then it is removed and `None`.
    fn whole(&self, queue: &Queue, kept: &Kept) -> Option<Arc<Entry>> {
        let entry = kept.entry();
        if entry.is_none() {
            self.statistics.damaged.add(1);
            queue.hint(Order::Remove(vec![kept.id], None));
        }
        entry
    }

    /// These entries were used now.
    fn used(&self, ids: impl IntoIterator<Item = i64>, now_ms: u64) {
        let mut used = lock(&self.used);
        for id in ids {
            if used.len() < MAX_USED {
                used.insert(id, now_ms);
            }
        }
    }

    fn take_used(&self) -> HashMap<i64, u64> {
        std::mem::take(&mut *lock(&self.used))
    }
}

/// Passes an answer on; if reading failed, the writer is told.
fn answered<T>(queue: &Queue, readers: &Arc<Readers>, answer: Result<T, DiskFailure>) -> Result<T> {
    answer.map_err(|failure| {
        queue.hint(Order::Failed(readers.clone(), failure.clone()));
        failure.into()
    })
}

async fn find(readers: &Readers, id: i64) -> Result<Option<Kept>, DiskFailure> {
    Ok(tables::find(readers.one().await?.connection()?, id).await?)
}

async fn list(
    readers: &Readers,
    selection: &Selection,
    limit: usize,
    now_ms: u64,
) -> Result<Vec<Kept>, DiskFailure> {
    let _one = readers.list().await?;
    Ok(tables::list(readers.one().await?.connection()?, selection, limit, now_ms).await?)
}

async fn usage(readers: &Readers, kind: Kind) -> Result<Usage, DiskFailure> {
    Ok(tables::usage(readers.one().await?.connection()?, kind).await?)
}

#[cfg(test)]
mod tests;
