//! The queue of entries on their way to Redis, and the task that sends many commands in one pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_core::measure::Stage;
use antiphon_core::{Error, Result};
use redis::{Pipeline, RedisResult, Value, cmd};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::link::Link;
use super::name::Name;
use crate::{Clock, Entry};

/// The most bytes of an entry: on a gigabit line this takes 8 ms, and a get waits 15.
pub(super) const MAX_ENTRY: usize = 1 << 20;
/// Entries that may wait: a second's worth of a busy server.
const QUEUE: usize = 1_024;
/// Bytes that the waiting entries may take.
const QUEUE_BYTES: usize = 16 << 20;
/// Commands in one pipeline, which together take one round trip.
const PIPELINE: usize = 128;
/// Bytes after which a pipeline is sent: a get behind it waits 2 ms on a gigabit line.
const PIPELINE_BYTES: usize = 256 << 10;
/// Names removed by one command, during which Redis does nothing else.
const FORGOTTEN_AT_ONCE: usize = 512;
/// How long a write may take: nobody waits for it, but the next one must not wait for ever.
const WRITE_WITHIN: Duration = Duration::from_millis(250);
/// How long a flush or a removal waits for the queue before it: if Redis is slower than that, the breaker has opened before.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// The longest time to live in milliseconds: Redis refuses longer ones.
const LONGEST: u64 = 1 << 53;

/// The queue of what is to be written.
pub(super) struct Queue {
    jobs: mpsc::Sender<Job>,
    /// Bytes that there is room for.
    room: Arc<Semaphore>,
    tally: Arc<Tally>,
}

/// Counts what became of the entries.
pub(super) struct Tally {
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) write: Stage,
}

enum Job {
    /// An entry, with the permit for its bytes.
    Put(Arc<Entry>, OwnedSemaphorePermit),
    Forget(Vec<Name>, oneshot::Sender<Result<()>>),
    Flush(oneshot::Sender<()>),
}

impl Queue {
    /// An empty queue, and the writer that empties it.
    pub(super) fn new(link: Arc<Link>, clock: Clock) -> (Self, Writer) {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let write = Stage::new("write");
        let tally = Arc::new(Tally { written: AtomicU64::new(0), dropped: AtomicU64::new(0), write });
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let writer = Writer { link, clock, jobs, tally: tally.clone(), refused: false };
        (Self { jobs: sender, room, tally }, writer)
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many jobs wait, and how many may.
    pub(super) fn jobs(&self) -> (usize, usize) {
        (QUEUE - self.jobs.capacity(), QUEUE)
    }

    /// How many bytes the waiting entries take, and how many they may.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (QUEUE_BYTES - self.room.available_permits(), QUEUE_BYTES)
    }

    /// Queues an entry; it is dropped if there is no room.
    pub(super) fn put(&self, entry: Arc<Entry>) {
        let size = u32::try_from(entry.size()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(size).ok();
        if room.is_none_or(|room| self.jobs.try_send(Job::Put(entry, room)).is_err()) {
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Queues the removal of these names, behind everything queued before, so that an entry on its way does not reappear.
    pub(super) fn forget(&self, names: Vec<Name>) -> Result<oneshot::Receiver<Result<()>>> {
        let (done, answer) = oneshot::channel();
        let full = || Error::unavailable("more is to be written to Redis than it takes: try again");
        self.jobs.try_send(Job::Forget(names, done)).map_err(|_| full())?;
        Ok(answer)
    }

    /// As [`Self::forget`], and waits until it is done.
    pub(super) async fn forgotten(&self, names: Vec<Name>) -> Result<()> {
        let late = || Error::unavailable("Redis took too long to forget: what is left expires");
        let answer = timeout(DONE_WITHIN, self.forget(names)?).await.map_err(|_| late())?;
        answer.map_err(|_| late())?
    }

    /// Waits until everything that is queued now is written or dropped.
    pub(super) async fn flush(&self) {
        let (done, answer) = oneshot::channel();
        let written = async {
            if self.jobs.send(Job::Flush(done)).await.is_ok() {
                // No answer means that the writer is gone, and the queue with it.
                let _ = answer.await;
            }
        };
        let _ = timeout(DONE_WITHIN, written).await;
    }
}

/// Empties the queue. It ends when the queue is closed and empty.
pub(super) struct Writer {
    link: Arc<Link>,
    clock: Clock,
    jobs: mpsc::Receiver<Job>,
    tally: Arc<Tally>,
    /// Whether Redis answered the last writes but refused to keep the entries.
    refused: bool,
}

/// Commands that are sent together.
#[derive(Default)]
struct Batch {
    commands: Pipeline,
    bytes: usize,
}

impl Writer {
    pub(super) async fn run(mut self) {
        let mut jobs = Vec::with_capacity(PIPELINE);
        while self.jobs.recv_many(&mut jobs, PIPELINE).await > 0 {
            let mut batch = Batch::default();
            for job in jobs.drain(..) {
                match job {
                    Job::Put(entry, room) => {
                        self.add(&mut batch, &entry);
                        drop(room);
                        if batch.bytes >= PIPELINE_BYTES {
                            self.write(&mut batch).await;
                        }
                    }
                    // It is done even if nobody waits for it any more.
                    Job::Forget(names, done) => {
                        self.write(&mut batch).await;
                        let _ = done.send(self.forget(&names).await);
                    }
                    Job::Flush(done) => {
                        self.write(&mut batch).await;
                        let _ = done.send(());
                    }
                }
            }
            self.write(&mut batch).await;
        }
    }

    /// Adds an entry to the batch, unless it is too large or has expired while it waited.
    fn add(&self, batch: &mut Batch, entry: &Entry) {
        let left = entry.expires_ms.saturating_sub((self.clock)()).min(LONGEST);
        let value = entry.to_bytes();
        if left == 0 || value.len() > MAX_ENTRY {
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let name = Name { kind: entry.kind, key: entry.key };
        batch.bytes += value.len();
        batch.commands.cmd("SET").arg(name.to_bytes()).arg(value).arg("PX").arg(left);
    }

    async fn write(&mut self, batch: &mut Batch) {
        let Batch { mut commands, .. } = std::mem::take(batch);
        let (count, began) = (commands.len() as u64, Instant::now());
        if count == 0 {
            return;
        }
        commands.ignore_errors();
        let answers = self.link.ask(WRITE_WITHIN, |mut connection| async move {
            commands.query_async::<Vec<RedisResult<Value>>>(&mut connection).await
        });
        let mut written = 0;
        if let Ok(answers) = answers.await {
            self.tally.write.record(began.elapsed());
            written = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
            self.note_refusal(&answers);
        } else {
            self.tally.write.fail();
        }
        self.tally.written.fetch_add(written, Ordering::Relaxed);
        self.tally.dropped.fetch_add(count - written, Ordering::Relaxed);
    }

    /// Logs once that Redis refuses entries, because it is full or a read-only replica, and once when that is over.
    fn note_refusal(&mut self, answers: &[RedisResult<Value>]) {
        let refusal = answers.iter().find_map(|answer| answer.as_ref().err());
        if let Some(refusal) = refusal
            && !self.refused
        {
            tracing::warn!("{}; it keeps no entries", self.link.error(refusal));
        } else if refusal.is_none() && self.refused {
            tracing::info!("{} keeps entries again", self.link.name());
        }
        self.refused = refusal.is_some();
    }

    async fn forget(&self, names: &[Name]) -> Result<()> {
        for names in names.chunks(FORGOTTEN_AT_ONCE) {
            let mut unlink = cmd("UNLINK");
            unlink.arg(names.iter().map(|name| name.to_bytes()).collect::<Vec<_>>());
            let forget = |mut connection| async move { unlink.exec_async(&mut connection).await };
            self.link.ask(WRITE_WITHIN, forget).await?;
        }
        Ok(())
    }
}
