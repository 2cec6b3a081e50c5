//! The threads of the pool and the jobs that wait for them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use antiphon_core::measure::account::{self, Account, Worker};
use antiphon_core::measure::{Counter, Level, Stage};
use antiphon_core::{BoxFuture, Error, Priority, Result, lock};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::sizing::{Bounds, GROW_AFTER, SHRINK_AFTER, Sizing};

/// Jobs that may wait, as in the pool of model threads: more would be answered too late.
const MAX_WAITING: usize = 1_024;

/// A job's place in the queue: when it is due, and its number, which tells jobs apart that are due at the same time.
type Place = (Duration, u64);

pub(super) struct Threads {
    state: Mutex<PoolState>,
    wake: Condvar,
    started: Instant,
    worker: Worker,
    /// From the request until a thread took the job; fails when the queue is full.
    wait: Stage,
    jobs: AtomicU64,
}

struct PoolState {
    queue: BTreeMap<Place, Job>,
    sizing: Sizing,
    threads: usize,
    busy: usize,
    /// The last number given to a job or a thread.
    numbers: u64,
    stopping: bool,
}

struct Job {
    work: Box<dyn FnOnce() + Send>,
    since: Duration,
    /// The account of the call that asks, which the thread's time is charged to.
    account: Option<Arc<Account>>,
}

impl Threads {
    /// Starts the least threads.
    #[expect(clippy::disallowed_methods, reason = "its threads do their work in real time")]
    pub(super) fn start(bounds: Bounds) -> Result<Arc<Self>> {
        let sizing = Sizing::new(bounds);
        let state =
            PoolState { queue: BTreeMap::new(), sizing, threads: 0, busy: 0, numbers: 0, stopping: false };
        let pool = Arc::new(Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            started: Instant::now(),
            worker: Worker::new("cpu"),
            wait: Stage::new("cpu wait"),
            jobs: AtomicU64::new(0),
        });
        for _ in 0..sizing.bounds().min {
            // Unlocked again before the pool is stopped, which locks it, too.
            let added = pool.add_thread(&mut lock(&pool.state));
            if let Err(error) = added {
                pool.stop();
                return Err(error);
            }
        }
        Ok(pool)
    }

    /// Ends each thread after its present job; jobs that wait are dropped.
    pub(super) fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopping = true;
        let unserved = std::mem::take(&mut state.queue);
        drop(state);
        self.wake.notify_all();
        // After the lock is released, because dropping a job runs whatever its captures do when dropped.
        drop(unserved);
    }

    pub(super) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        priority: Priority,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()));
            // Whoever asked may be gone by now.
            let _ = answer.send(result);
        });
        let queued = self.enqueue(work, priority);
        Box::pin(async move {
            let queued = queued?;
            let mut answered = pin!(answered);
            while queued.still_waits() {
                if let Ok(answer) = timeout(GROW_AFTER, answered.as_mut()).await {
                    return answer.unwrap_or_else(|_| Err(stopped()));
                }
                queued.grow();
            }
            answered.await.unwrap_or_else(|_| Err(stopped()))
        })
    }

    pub(super) fn wait(&self) -> &Stage {
        &self.wait
    }

    pub(super) fn jobs(&self) -> Counter {
        Counter::new("cpu jobs", self.jobs.load(Ordering::Relaxed))
    }

    pub(super) fn levels(&self) -> Vec<Level> {
        let state = lock(&self.state);
        let level = |name: &'static str, value: usize, limit: usize, unit: &'static str| {
            Level::new(name, value as f64, unit).with_limit(limit as f64)
        };
        vec![
            level("cpu busy", state.busy, state.sizing.bounds().max, "threads"),
            level("cpu waiting", state.queue.len(), MAX_WAITING, "jobs"),
        ]
    }

    fn enqueue(self: &Arc<Self>, work: Box<dyn FnOnce() + Send>, priority: Priority) -> Result<Queued> {
        let account = account::current();
        let mut state = lock(&self.state);
        if state.stopping {
            return Err(stopped());
        }
        if state.queue.len() >= MAX_WAITING {
            drop(state);
            self.wait.fail();
            let message = format!("{MAX_WAITING} computations wait already: the machine is overloaded");
            return Err(Error::unavailable(message));
        }
        let since = self.now();
        state.numbers += 1;
        let place = (since + priority.patience(), state.numbers);
        state.queue.insert(place, Job { work, since, account });
        drop(state);
        self.wake.notify_one();
        Ok(Queued { pool: Arc::clone(self), place })
    }

    fn add_thread(self: &Arc<Self>, state: &mut PoolState) -> Result<()> {
        state.numbers += 1;
        let pool = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("cpu-{}", state.numbers));
        thread
            .spawn(move || pool.serve())
            .map_err(|e| Error::internal(format!("cannot start a thread for computations: {e}")))?;
        state.threads += 1;
        Ok(())
    }

    /// What each thread does from its start to its end.
    fn serve(&self) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let threads = state.threads;
            if let Some((_, job)) = state.queue.pop_first() {
                state.busy += 1;
                let (now, busy) = (self.now(), state.busy);
                state.sizing.works(now, busy, threads);
                drop(state);
                self.wait.record(now.saturating_sub(job.since));
                self.work(job);
                state = lock(&self.state);
                let (now, busy, threads) = (self.now(), state.busy, state.threads);
                state.sizing.works(now, busy, threads);
                state.busy -= 1;
            } else if state.sizing.shrinks(self.now(), threads) {
                break;
            } else {
                let waited = self.wake.wait_timeout(state, SHRINK_AFTER);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.threads -= 1;
    }

    #[expect(clippy::disallowed_methods, reason = "a thread's work takes real time")]
    fn work(&self, job: Job) {
        let working = self.worker.begin_for(job.account.clone());
        let began = Instant::now();
        (job.work)();
        drop(working);
        self.jobs.fetch_add(1, Ordering::Relaxed);
        if let Some(account) = job.account {
            account.charge(began.elapsed());
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The error of a job that panicked. The panic's message went to the panic handler, which logs it.
fn panicked() -> Error {
    Error::internal("a computation panicked: this is a bug, and the log says where")
}

fn stopped() -> Error {
    Error::unavailable("the threads for computations have stopped")
}

/// A job in the queue; dropping it takes the job out.
struct Queued {
    pool: Arc<Threads>,
    place: Place,
}

impl Queued {
    fn still_waits(&self) -> bool {
        lock(&self.pool.state).queue.contains_key(&self.place)
    }

    /// Adds a thread if this job still waits and the sizing allows it.
    fn grow(&self) {
        let mut state = lock(&self.pool.state);
        let now = self.pool.now();
        let Some(job) = state.queue.get(&self.place) else { return };
        let waited = now.saturating_sub(job.since);
        let (busy, threads) = (state.busy, state.threads);
        if state.sizing.grows(now, busy, threads, waited) {
            // If no thread can be started, the job waits for one of the present ones.
            let _ = self.pool.add_thread(&mut state);
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let job = lock(&self.pool.state).queue.remove(&self.place);
        // After the lock is released, because dropping a job runs whatever its captures do when dropped.
        drop(job);
    }
}
