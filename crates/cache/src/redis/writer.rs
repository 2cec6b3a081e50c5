//! What is on its way to Redis: one task puts many commands into one pipeline.

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

/// What an entry may take in Redis: on a gigabit line this much needs 8 ms, and a get waits for 15.
pub(super) const MAX_ENTRY: usize = 1 << 20;
/// Entries that wait: a second's worth of a busy server. Whatever waits longer is not worth it.
const QUEUE: usize = 1_024;
/// What they take in memory.
const QUEUE_BYTES: usize = 16 << 20;
/// Commands in one pipeline: the way there and back is paid once.
const PIPELINE: usize = 128;
/// A pipeline is sent when it holds so much: a get behind it waits 2 ms on a gigabit line.
const PIPELINE_BYTES: usize = 256 << 10;
/// Names in one command: Redis does nothing else meanwhile.
const FORGOTTEN_AT_ONCE: usize = 512;
/// Nobody waits for an entry to be written, but the next must not wait for ever.
const WRITE_WITHIN: Duration = Duration::from_millis(250);
/// For all that waits: a Redis so slow that this is not enough has been given up by the breaker before.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// Milliseconds; Redis refuses times that its clock cannot count to.
const LONGEST: u64 = 1 << 53;

/// Where whatever is to be written waits.
pub(super) struct Queue {
    jobs: mpsc::Sender<Job>,
    /// Bytes that there is room for.
    room: Arc<Semaphore>,
    tally: Arc<Tally>,
}

/// What came of it.
pub(super) struct Tally {
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) write: Stage,
}

enum Job {
    /// With the room that it takes.
    Put(Arc<Entry>, OwnedSemaphorePermit),
    Forget(Vec<Name>, oneshot::Sender<Result<()>>),
    Flush(oneshot::Sender<()>),
}

impl Queue {
    /// An empty queue, and who works it off.
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

    /// Jobs that wait, and how many may.
    pub(super) fn jobs(&self) -> (usize, usize) {
        (QUEUE - self.jobs.capacity(), QUEUE)
    }

    /// What they take in bytes, and how much they may.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (QUEUE_BYTES - self.room.available_permits(), QUEUE_BYTES)
    }

    /// Lets the entry wait; without room it is dropped.
    pub(super) fn put(&self, entry: Arc<Entry>) {
        let size = u32::try_from(entry.size()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(size).ok();
        if room.is_none_or(|room| self.jobs.try_send(Job::Put(entry, room)).is_err()) {
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets names wait to be forgotten, after all that is before them: an entry that is on its way does not come back.
    pub(super) fn forget(&self, names: Vec<Name>) -> Result<oneshot::Receiver<Result<()>>> {
        let (done, answer) = oneshot::channel();
        let full = || Error::unavailable("more is to be written to Redis than it takes: try again");
        self.jobs.try_send(Job::Forget(names, done)).map_err(|_| full())?;
        Ok(answer)
    }

    /// As [`Self::forget`], and waits for it.
    pub(super) async fn forgotten(&self, names: Vec<Name>) -> Result<()> {
        let late = || Error::unavailable("Redis took too long to forget: what is left expires");
        let answer = timeout(DONE_WITHIN, self.forget(names)?).await.map_err(|_| late())?;
        answer.map_err(|_| late())?
    }

    /// Waits until all that waits now is written or dropped.
    pub(super) async fn flush(&self) {
        let (done, answer) = oneshot::channel();
        let written = async {
            if self.jobs.send(Job::Flush(done)).await.is_ok() {
                // Without an answer the writer is gone, and the queue with it.
                let _ = answer.await;
            }
        };
        let _ = timeout(DONE_WITHIN, written).await;
    }
}

/// Works the queue off. Ends when the queue is gone and empty.
pub(super) struct Writer {
    link: Arc<Link>,
    clock: Clock,
    jobs: mpsc::Receiver<Job>,
    tally: Arc<Tally>,
    /// Redis answers, but does not keep what it is given.
    refused: bool,
}

/// Commands that go together.
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
                    // Whether anybody still waits for it makes no difference.
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

    /// An entry that is too large, or whose time was over before it was its turn, is dropped.
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

    /// Redis may be full, or a replica that only reads: said once, and once when that is over.
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
