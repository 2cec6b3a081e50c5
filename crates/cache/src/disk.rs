//! Entries on the disk of one machine.
//!
//! They lie in one SQLite database, `cache.db`. One task writes: entries wait in a bounded queue and go in many at a time;
//! three connections read meanwhile, each on a thread of its own. A cache may always be lost: a database that is damaged,
//! foreign or of another version is begun anew, and a disk that is full or gone means that there is no cache until it is
//! back. Both are told once.

mod files;
mod queue;
mod readers;
mod statistics;
mod tables;
mod trouble;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Level, Stage};
use antiphon_core::{BoxFuture, Result};
use tokio::time::timeout;

use super::{Clock, Entry, Key, Kind, Layer, Selection, Usage};
use files::Files;
use queue::{Order, Queue};
use readers::Readers;
use statistics::{Statistics, Timed};
use tables::Kept;
use trouble::{Trouble, paused};
use writer::Writer;

/// An empty database takes a part of it.
const MIN_BYTES: u64 = 1 << 20;
/// No entry takes more of all there is room for.
const SHARE: u64 = 8;
/// When an entry was used is written again after this: more often would change nothing about who goes first.
const USED_STEP_MS: u64 = 60_000;
/// Entries of which that may wait to be written.
const MAX_USED: usize = 4_096;
/// A disk that takes longer for what is queued does not answer at all.
const FLUSH: Duration = Duration::from_secs(10);

/// Entries on disk, the least recently used of which give way.
///
/// What was put is found once it is written, some ten milliseconds later; until then [`Layer::get`] misses it or finds the
/// entry before it. [`Layer::remove`], [`Layer::clear`] and [`Layer::flush`] follow all that was put before them.
///
/// The space of what is forgotten is used again; more than an eighth of the file is given back to the file system.
pub struct DiskLayer {
    shared: Arc<Shared>,
    queue: Queue,
}

/// What the layer and its writer share.
struct Shared {
    clock: Clock,
    max_bytes: u64,
    /// None in times of trouble.
    readers: RwLock<Option<Arc<Readers>>>,
    /// When entries were last used, as far as it is not written yet.
    used: Mutex<HashMap<i64, u64>>,
    statistics: Statistics,
}

impl DiskLayer {
    /// Opens the cache in `folder`, or makes both. The file takes at most about `max_bytes`, not less than 1 MiB, and at
    /// times some for its log. Trouble with the disk is told and tried again, as later;
    /// [`Invalid`](antiphon_core::ErrorKind::Invalid) is only a name that cannot be a file's.
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
        // A second time if the first found a file to be begun anew.
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
            // Late or not at all: entries may be lost.
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
        vec![Level { name: "bytes".into(), value, limit, unit: "bytes".into() }, self.queue.level()]
    }
}

impl Shared {
    fn readers(&self) -> Option<Arc<Readers>> {
        self.readers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives those before.
    fn set_readers(&self, readers: Option<Readers>) -> Option<Arc<Readers>> {
        let mut now = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *now, readers.map(Arc::new))
    }

    /// The entry; one that is damaged is not served, but removed.
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
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if used.len() < MAX_USED {
                used.insert(id, now_ms);
            }
        }
    }

    fn take_used(&self) -> HashMap<i64, u64> {
        std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What was read; if nothing could be, the writer is told.
fn answered<T>(queue: &Queue, readers: &Arc<Readers>, answer: Result<T, Trouble>) -> Result<T> {
    answer.map_err(|trouble| {
        queue.hint(Order::Failed(readers.clone(), trouble.clone()));
        trouble.into()
    })
}

async fn find(readers: &Readers, id: i64) -> Result<Option<Kept>, Trouble> {
    Ok(tables::find(readers.one().await?.connection()?, id).await?)
}

async fn list(
    readers: &Readers,
    selection: &Selection,
    limit: usize,
    now_ms: u64,
) -> Result<Vec<Kept>, Trouble> {
    let _one = readers.list().await?;
    Ok(tables::list(readers.one().await?.connection()?, selection, limit, now_ms).await?)
}

async fn usage(readers: &Readers, kind: Kind) -> Result<Usage, Trouble> {
    Ok(tables::usage(readers.one().await?.connection()?, kind).await?)
}

#[cfg(test)]
mod tests;
