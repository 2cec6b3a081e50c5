//! The fixed pool of threads that run the local models.
//!
//! All local models share a few threads, so that they do not compete for the cores. A model registers an operation,
//! whose jobs carry a priority each. A thread that takes a job also takes the jobs of the same operation that wait at
//! that moment, up to the operation's largest batch. It never waits for a batch to fill.
//!
//! Jobs for which nobody waits in silence go another way than those of live turns (see `ready.rs`).
#![expect(clippy::disallowed_methods, reason = "threads without a runtime, whose work takes real time")]

mod activity;
mod ready;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use antiphon_core::measure::account::{self, Account};
use antiphon_core::measure::{Component, Gauge, Level, Tunable};
use antiphon_core::{BoxFuture, Deferred, Error, ErrorKind, Priority, Result, lock};
use tokio::sync::oneshot;

use self::activity::Activity;
use self::ready::{Duty, Lane, ReadyQueue};
use crate::background_thread;
use crate::live_work::{LiveJob, LiveWork, Pause};

/// Jobs that may wait in one lane of a pool. At 50 ms a job this is a minute of work: more would be answered too late.
const MAX_WAITING: usize = 1_024;
/// The largest batch of any model.
pub const MAX_BATCH: usize = 32;
/// The largest batch of jobs for which nobody waits in silence: a live turn that begins meanwhile may have to wait for it.
const MAX_BACKGROUND_BATCH: usize = 4;
/// How soon an idle thread looks whether calls are still under way while other jobs wait.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The threads and the jobs that wait for them. Dropping the pool ends each thread after its current job.
pub struct ModelPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    operations: Mutex<Vec<Arc<Activity>>>,
}

struct Shared {
    ready: Mutex<ReadyQueue>,
    /// Wakes an ordinary thread.
    wake: Condvar,
    /// Wakes the thread for background jobs.
    wake_background: Condvar,
    live: Arc<LiveWork>,
    /// How many ordinary threads run the models.
    workers: usize,
    /// No batch is larger than this, even if its operation allows it.
    max_batch: AtomicUsize,
    started: Instant,
}

impl Component for Shared {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn levels(&self) -> Vec<Level> {
        vec![Level::new("waiting", lock(&self.ready).len() as f64, "jobs").with_limit(MAX_WAITING as f64)]
    }

    fn live_wait(&self) -> Duration {
        lock(&self.ready).live_wait(self.started.elapsed())
    }

    fn backlog(&self) -> Duration {
        lock(&self.ready).backlog(self.started.elapsed())
    }

    fn gauges(&self) -> Vec<Gauge> {
        let waiting = lock(&self.ready).len();
        let labels = vec![("queue", "pool".to_owned()), ("priority", "all".to_owned())];
        vec![Gauge {
            name: "antiphon_queue_depth",
            help: "Requests that wait",
            labels,
            value: waiting as f64,
        }]
    }

    fn tunables(&self) -> Vec<Tunable> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = self.workers as f64;
        let max = (cores as f64).max(threads);
        vec![
            Tunable::new("threads", "advanced.model_threads", threads, 1.0..=max, "threads"),
            Tunable::new(
                "max_batch",
                "advanced.model_batch",
                self.max_batch.load(Ordering::Relaxed) as f64,
                1.0..=MAX_BATCH as f64,
                "jobs",
            )
            .live(),
        ]
    }

    fn set(&self, tunable: &str, value: f64) -> bool {
        let known = tunable == "max_batch" && (1.0..=MAX_BATCH as f64).contains(&value);
        if known {
            self.max_batch.store(value as usize, Ordering::Relaxed);
        }
        known
    }
}

/// An operation without its types, as the threads see it.
trait Work: Send + Sync {
    /// Runs the most urgent waiting jobs of this lane as one batch, with the model state of this worker.
    fn work(&self, lane: Lane, worker: usize);
}

impl ModelPool {
    /// Starts as many threads, at least one, and one more for background jobs.
    pub fn new(threads: usize) -> Result<Self> {
        let workers = threads.max(1);
        let shared = Arc::new(Shared {
            ready: Mutex::default(),
            wake: Condvar::new(),
            wake_background: Condvar::new(),
            live: Arc::default(),
            workers,
            max_batch: AtomicUsize::new(MAX_BATCH),
            started: Instant::now(),
        });
        let spawn = |worker: usize| {
            let shared = shared.clone();
            let (name, duty) = match worker {
                background if background == workers => ("model-background".to_owned(), Duty::Background),
                ordinary => (format!("model-{ordinary}"), Duty::Ordinary),
            };
            let thread = std::thread::Builder::new().name(name);
            thread
                .spawn(move || serve(&shared, duty, worker))
                .map_err(|e| Error::internal(format!("cannot start a model thread: {e}")))
        };
        let threads = (0..=workers).map(spawn).collect::<Result<_>>()?;
        Ok(Self { shared, threads, operations: Mutex::default() })
    }

    /// Limits all batches to this many jobs: 1 to [`MAX_BATCH`].
    pub fn set_max_batch(&self, jobs: usize) {
        self.shared.max_batch.store(jobs.clamp(1, MAX_BATCH), Ordering::Relaxed);
    }

    /// Adds an operation, which is measured under `name`. `open` makes the state of each thread, such as a session of
    /// the model. It is called here, so that a broken model is found at start-up and no call waits for one to load.
    /// `run` takes a batch of at most `max_batch` inputs and returns one output for each, in order.
    pub fn operation<S, I, O>(
        &self,
        name: &'static str,
        max_batch: usize,
        open: impl Fn() -> Result<S> + Send + Sync + 'static,
        run: impl Fn(&mut S, Vec<I>) -> Result<Vec<O>> + Send + Sync + 'static,
    ) -> Result<Operation<I, O>>
    where
        S: Send + 'static,
        I: Send + 'static,
        O: Send + 'static,
    {
        let state = |_| open().map(|state| Mutex::new(Some(state)));
        let mut states: Vec<_> = (0..self.shared.workers).map(state).collect::<Result<_>>()?;
        // The thread for background jobs opens its state when it first needs one: many servers have calls only.
        states.push(Mutex::new(None));
        let inner = Arc::new_cyclic(|this: &Weak<Inner<S, I, O>>| Inner {
            this: this.clone(),
            queue: Mutex::default(),
            states,
            max_batch,
            shared: self.shared.clone(),
            open: Box::new(open),
            run: Box::new(run),
            activity: Arc::new(Activity::new(name)),
        });
        lock(&self.operations).push(inner.activity.clone());
        Ok(Operation {
            queue: inner.clone(),
            activity: inner.activity.clone(),
            work: inner,
            shared: self.shared.clone(),
        })
    }

    /// The measurements of the pool and of its operations.
    pub fn components(&self) -> Vec<Arc<dyn Component>> {
        let pool: Arc<dyn Component> = self.shared.clone();
        let operations = lock(&self.operations);
        let operations = operations.iter().map(|activity| activity.clone() as Arc<dyn Component>);
        std::iter::once(pool).chain(operations).collect()
    }

    /// What is known of live turns here.
    pub fn live_work(&self) -> &Arc<LiveWork> {
        &self.shared.live
    }

    /// Number of jobs that wait now.
    pub fn waiting(&self) -> usize {
        lock(&self.shared.ready).len()
    }
}

impl Drop for ModelPool {
    fn drop(&mut self) {
        lock(&self.shared.ready).stopping = true;
        self.shared.wake.notify_all();
        self.shared.wake_background.notify_all();
        for thread in self.threads.drain(..) {
            // Jobs are run under `catch_unwind`: a thread does not panic.
            let _ = thread.join();
        }
    }
}

fn serve(shared: &Shared, duty: Duty, worker: usize) {
    if duty == Duty::Background {
        background_thread::give_way();
    }
    while let Some((lane, operation)) = shared.wait(duty) {
        // The jobs of an operation that was dropped are dropped with it.
        if let Some(operation) = operation.upgrade() {
            operation.work(lane, worker);
        }
    }
}

impl Shared {
    /// Waits for a job that a thread with this duty may run; `None` when the pool was dropped.
    fn wait(&self, duty: Duty) -> Option<(Lane, Weak<dyn Work>)> {
        let wake = if duty == Duty::Ordinary { &self.wake } else { &self.wake_background };
        let mut ready = lock(&self.ready);
        let mut pause = Pause::default();
        loop {
            if ready.stopping {
                return None;
            }
            let pauses = duty == Duty::Background
                && ready.has_background()
                && !ready.helps_a_call()
                && self.live.is_running()
                && pause.goes_on();
            if !pauses && let Some(next) = ready.next(duty, self.live.is_recent()) {
                return Some(next);
            }
            let look_again = if pauses { Pause::LOOK_AGAIN } else { LOOK_AGAIN };
            ready = if ready.has_background() {
                wake.wait_timeout(ready, look_again).unwrap_or_else(PoisonError::into_inner).0
            } else {
                wake.wait(ready).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }
}

/// A handle to an operation of the pool. Clones refer to the same operation.
pub struct Operation<I, O> {
    queue: Arc<dyn Queue<I, O>>,
    work: Arc<dyn Work>,
    activity: Arc<Activity>,
    shared: Arc<Shared>,
}

impl<I, O> Clone for Operation<I, O> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            work: self.work.clone(),
            activity: self.activity.clone(),
            shared: self.shared.clone(),
        }
    }
}

impl<I: Send + 'static, O: Send + 'static> Operation<I, O> {
    /// Queues a job. Dropping the future takes it out of the queue.
    pub fn run(&self, input: I, priority: Priority) -> BoxFuture<'static, Result<O>> {
        self.run_unless_deferred(input, priority, Deferred::default())
    }

    /// The same. While the job waits, it may turn out that nobody waits for it in silence: it then goes to the other lane.
    pub fn run_unless_deferred(
        &self,
        input: I,
        priority: Priority,
        deferred: Deferred,
    ) -> BoxFuture<'static, Result<O>> {
        let (answer, answered) = oneshot::channel();
        let priority = deferred.urgency(priority);
        let live = (Lane::of(priority) == Lane::Live).then(|| self.shared.live.begin());
        let (since, account) = (Instant::now(), account::current());
        let queued = self.enqueue(Job { input, priority, deferred, answer, since, account, live });
        Box::pin(async move {
            queued?;
            answered.await.map_err(|_| Error::unavailable("the model threads have stopped"))?
        })
    }

    fn enqueue(&self, job: Job<I, O>) -> Result<()> {
        let lane = Lane::of(job.priority);
        let mut ready = lock(&self.shared.ready);
        if ready.len_of(lane) >= MAX_WAITING {
            let message =
                format!("{MAX_WAITING} jobs wait for the model threads already: the machine is overloaded");
            return Err(Error::unavailable(message));
        }
        ready.push(job.priority, self.shared.started.elapsed(), Arc::downgrade(&self.work));
        self.queue.push(job);
        drop(ready);
        if lane == Lane::Background {
            self.shared.wake_background.notify_one();
        }
        if lane == Lane::Live || !self.shared.live.is_recent() {
            self.shared.wake.notify_one();
        }
        Ok(())
    }
}

struct Job<I, O> {
    input: I,
    /// That of the lane in which it waits.
    priority: Priority,
    deferred: Deferred,
    answer: oneshot::Sender<Result<O>>,
    since: Instant,
    /// The account of the call that asks.
    account: Option<Arc<Account>>,
    /// Tells others, until the job is dropped, that there is a job of a live turn.
    live: Option<LiveJob>,
}

trait Queue<I, O>: Send + Sync {
    fn push(&self, job: Job<I, O>);
}

type Open<S> = Box<dyn Fn() -> Result<S> + Send + Sync>;
/// Runs a batch with the state of a thread; returns one output for each input, in order.
type BatchFn<S, I, O> = Box<dyn Fn(&mut S, Vec<I>) -> Result<Vec<O>> + Send + Sync>;

/// What the handles of an operation and the threads share.
struct Inner<S, I, O> {
    this: Weak<Self>,
    queue: Mutex<VecDeque<Job<I, O>>>,
    /// One for each worker, locked by that worker alone; `None` after a panic, until it is opened again.
    states: Vec<Mutex<Option<S>>>,
    max_batch: usize,
    shared: Arc<Shared>,
    open: Open<S>,
    run: BatchFn<S, I, O>,
    activity: Arc<Activity>,
}

impl<S: Send + 'static, I: Send + 'static, O: Send + 'static> Inner<S, I, O> {
    /// The most urgent job of this lane and others of the same priority, up to the largest batch. Jobs whose caller
    /// is gone are dropped.
    fn take(&self, lane: Lane) -> Vec<Job<I, O>> {
        // Jobs come and go together with their entries among the ready ones.
        let mut ready = lock(&self.shared.ready);
        let mut queue = lock(&self.queue);
        queue.retain(|job| !job.answer.is_closed());
        if lane == Lane::Live {
            self.defer(&mut queue, &mut ready);
        }
        let batch = self.most_urgent(&mut queue, lane);
        for lane in [Lane::Live, Lane::Background] {
            let left = queue.iter().filter(|job| Lane::of(job.priority) == lane).count();
            ready.left(lane, self, left);
        }
        batch
    }

    /// Sends the jobs to the other lane for which nobody waits in silence after all.
    fn defer(&self, queue: &mut VecDeque<Job<I, O>>, ready: &mut ReadyQueue) {
        for job in queue.iter_mut().filter(|job| job.live.is_some()) {
            job.priority = job.deferred.urgency(job.priority);
            if Lane::of(job.priority) == Lane::Background {
                job.live = None;
                ready.push(job.priority, self.shared.started.elapsed(), self.this.clone());
                self.shared.wake_background.notify_one();
            }
        }
    }

    fn most_urgent(&self, queue: &mut VecDeque<Job<I, O>>, lane: Lane) -> Vec<Job<I, O>> {
        let of_lane = queue.iter().map(|job| job.priority).filter(|priority| Lane::of(*priority) == lane);
        let Some(urgent) = of_lane.min() else { return Vec::new() };
        let most = self.max_batch.min(self.shared.max_batch.load(Ordering::Relaxed));
        let most = if lane == Lane::Live { most } else { most.min(MAX_BACKGROUND_BATCH) };
        let mut batch = Vec::new();
        let mut at = 0;
        while at < queue.len() && batch.len() < most {
            if queue[at].priority == urgent {
                batch.extend(queue.remove(at));
            } else {
                at += 1;
            }
        }
        batch
    }

    fn answer(&self, worker: usize, inputs: Vec<I>) -> Result<Vec<O>> {
        let mut state = lock(&self.states[worker]);
        let opened = match state.take() {
            Some(opened) => opened,
            None => (self.open)()?,
        };
        // After a panic the state is not put back, so that it is not used again.
        let mut running = opened;
        let answers = catch_unwind(AssertUnwindSafe(|| (self.run)(&mut running, inputs))).map_err(|_| {
            Error::internal("a model failed unexpectedly; it is loaded again for the next request")
        })?;
        *state = Some(running);
        answers
    }
}

impl<S: Send, I: Send, O: Send> Queue<I, O> for Inner<S, I, O> {
    fn push(&self, job: Job<I, O>) {
        lock(&self.queue).push_back(job);
    }
}

impl<S: Send + 'static, I: Send + 'static, O: Send + 'static> Work for Inner<S, I, O> {
    fn work(&self, lane: Lane, worker: usize) {
        let jobs = self.take(lane);
        if jobs.is_empty() {
            return;
        }
        let (mut inputs, mut waiting, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
        let mut live = Vec::new();
        for job in jobs {
            live.push(job.live);
            self.activity.wait.record(job.since.elapsed());
            inputs.push(job.input);
            waiting.push(job.answer);
            accounts.extend(job.account);
        }
        let count = inputs.len();
        // A profile attributes the batch to its first call; its time is charged to all of them in equal shares.
        let working = self.activity.worker.begin_for(accounts.first().cloned());
        let began = Instant::now();
        let answers = self.answer(worker, inputs).and_then(|answers| {
            let short = || Error::new(ErrorKind::Internal, "a model answered only part of its batch");
            if answers.len() == count { Ok(answers) } else { Err(short()) }
        });
        let span = began.elapsed();
        drop(working);
        self.activity.ran(count, span, answers.is_ok());
        drop(live);
        for account in &accounts {
            account.charge(span / count as u32);
        }
        // The callers may be gone by now.
        match answers {
            Ok(answers) => {
                for (waiter, answer) in waiting.into_iter().zip(answers) {
                    let _ = waiter.send(Ok(answer));
                }
            }
            Err(error) => {
                for waiter in waiting {
                    let _ = waiter.send(Err(error.clone()));
                }
            }
        }
    }
}
