//! Requests that arrive while others are served, served together: adaptive batching.
//!
//! What arrives when nothing runs starts at once and alone, so that one request at a time takes as long as without a
//! batcher. What arrives while a batch runs forms the next one: the busier the engine, the larger the batches, and
//! nothing waits for a timer. Identical requests in flight share one place in a batch.
//!
//! There is no background task. Each batch is a task of its own, which starts the next one when it ends; it is cancelled
//! when nobody waits for any of it.

mod queue;
mod size;
mod statistics;
#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use antiphon_core::{BoxFuture, Error, Priority, Result, lock};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

use queue::{Batch, Queue, Request};
use size::Size;
pub use statistics::BatchStatistics;

/// The largest batch of any operation. Beyond it an engine's fixed cost per call is small against the rest.
pub const MAX_BATCH: usize = 50;
/// Items that may wait for one operation: at 50 a batch and 100 ms a batch, two seconds of work.
const MAX_WAITING: usize = 1_024;
/// How much longer than an item alone a batch may take: a quarter of the 400 ms in which half of the turns are to be answered.
const LATENCY_GOAL: Duration = Duration::from_millis(100);

/// Work for which several items together cost less than one by one.
pub trait Operation: Send + Sync + 'static {
    /// What one caller asks for, such as a text to embed.
    type Item: Send + 'static;
    /// The answer to one request; cloned for each caller that asked the same.
    type Output: Clone + Send + 'static;
    /// What makes two items the same. Keys are compared, not only their hashes.
    type Key: Clone + Eq + Hash + Send + 'static;

    /// For metrics, and the configuration's section of its tunables: `embed`.
    fn name(&self) -> &'static str;

    /// The limits, which [`Batcher::new`] asks for once.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Items of the same key are served once while the first of them is in flight; `None` is shared with nobody.
    fn key(&self, item: &Self::Item) -> Option<Self::Key>;

    /// Only items of the same group share a batch.
    fn group(&self, _item: &Self::Item) -> u64 {
        0
    }

    /// Answers each item, in order. `priority` is that of the most urgent one. Dropping the future cancels the work.
    fn run(
        &self,
        items: Vec<Self::Item>,
        priority: Priority,
    ) -> BoxFuture<'static, Vec<Result<Self::Output>>>;
}

/// How far a batcher may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Items in one batch, 1 to [`MAX_BATCH`]; live tunable `max_batch`.
    pub max_batch: usize,
    /// Batches at a time, at least 1.
    pub max_runs: usize,
    /// The longest that an item waits for company while another batch runs and one more could. It matters only if
    /// `max_runs` is over 1: zero starts whatever arrives as long as a run is free.
    pub window: Duration,
    /// Items that may wait.
    pub max_waiting: usize,
    /// How much longer than an item alone a batch may take. The size under load follows from it.
    pub latency_goal: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_batch: MAX_BATCH,
            max_runs: 1,
            window: Duration::ZERO,
            max_waiting: MAX_WAITING,
            latency_goal: LATENCY_GOAL,
        }
    }
}

/// Serves an operation in batches. Clones share it.
pub struct Batcher<O: Operation>(Arc<Inner<O>>);

impl<O: Operation> Clone for Batcher<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<O: Operation> Batcher<O> {
    /// A batcher for `operation` that has nothing to do yet.
    pub fn new(operation: O) -> Self {
        let limits = operation.limits();
        let state =
            BatcherState { queue: Queue::default(), size: Size::default(), burst: false, starting: false };
        Self(Arc::new(Inner {
            statistics: Arc::new(BatchStatistics::new(operation.name(), limits)),
            state: Mutex::new(state),
            created: Instant::now(),
            operation,
            limits,
        }))
    }

    /// Serves an item. To be called within a tokio runtime. Dropping the ticket takes the item back, unless somebody
    /// else asks the same.
    pub fn run(&self, item: O::Item, priority: Priority) -> Ticket<O> {
        let burst = lock(&self.0.state).queue.is_idle();
        let ticket = self.0.enter(item, priority);
        self.0.start(burst);
        ticket
    }

    /// Serves several items. If nothing runs or waits they start together, as far as one batch can hold them.
    pub fn run_all(&self, items: Vec<O::Item>, priority: Priority) -> Vec<Ticket<O>> {
        let burst = lock(&self.0.state).queue.is_idle();
        let tickets = items.into_iter().map(|item| self.0.enter(item, priority)).collect();
        self.0.start(burst);
        tickets
    }

    /// What was measured of the batches until now; the handle goes on counting.
    pub fn statistics(&self) -> Arc<BatchStatistics> {
        Arc::clone(&self.0.statistics)
    }
}

struct Inner<O: Operation> {
    operation: O,
    limits: Limits,
    statistics: Arc<BatchStatistics>,
    /// Under its lock, an operation's own `Key` may panic, which leaves the state whole.
    state: Mutex<BatcherState<O>>,
    created: Instant,
}

struct BatcherState<O: Operation> {
    queue: Queue<O>,
    size: Size,
    /// The next batch arrived while nothing ran or waited: it is not cut to the size for loaded times.
    burst: bool,
    /// Some thread is in the loop that starts batches, and will find whatever is ready by then.
    starting: bool,
}

impl<O: Operation> Inner<O> {
    fn enter(self: &Arc<Self>, item: O::Item, priority: Priority) -> Ticket<O> {
        let (answer, answered) = oneshot::channel();
        let (key, group) = (self.operation.key(&item), self.operation.group(&item));
        let mut state = lock(&self.state);
        let full = state.queue.waiting() >= self.limits.max_waiting;
        let request = Request { item, key, group, priority, answer };
        let entered = state.queue.enter(request, self.created.elapsed(), full);
        self.statistics.waiting(state.queue.waiting());
        drop(state);
        let entry = match entered {
            Ok(entered) => {
                self.statistics.entered(entered.shared);
                Some(entered.entry)
            }
            Err(answer) => {
                self.statistics.wait.fail();
                // The receiver is alive: it goes into the ticket below.
                let _ = answer.send(Err(self.overload()));
                None
            }
        };
        let patience = entry.is_some() && !self.limits.window.is_zero();
        let patience = patience.then(|| Box::pin(sleep(self.limits.window)));
        Ticket { inner: Arc::clone(self), answered, entry, patience }
    }

    fn overload(&self) -> Error {
        let (most, name) = (self.limits.max_waiting, self.operation.name());
        Error::unavailable(format!("{most} items wait for {name} already: it is overloaded; try again later"))
    }

    /// Starts all batches that may start. `burst`: what will start has just arrived while nothing ran.
    fn start(self: &Arc<Self>, burst: bool) {
        {
            let mut state = lock(&self.state);
            state.burst |= burst;
            if std::mem::replace(&mut state.starting, true) {
                return;
            }
        }
        while let Some(batch) = self.next() {
            let running = Running { inner: Arc::clone(self), run: batch.run };
            let run = serve(running, batch);
            // Without a runtime the batch is dropped, which gives everybody who waits an error.
            if let Ok(runtime) = Handle::try_current() {
                drop(runtime.spawn(run));
            }
        }
    }

    fn next(&self) -> Option<Batch<O>> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let max = self.statistics.max_batch();
        let most = if std::mem::take(&mut state.burst) { max } else { state.size.most(max) };
        let free = state.queue.running() < self.limits.max_runs.max(1);
        let batch =
            free.then(|| state.queue.take(most, self.created.elapsed(), self.limits.window)).flatten();
        self.statistics.waiting(state.queue.waiting());
        match &batch {
            Some(batch) => self.statistics.started(&batch.waited),
            None => state.starting = false,
        }
        batch
    }

    fn leave(&self, entry: u64) {
        let mut state = lock(&self.state);
        let cancelled = state.queue.leave(entry);
        self.statistics.waiting(state.queue.waiting());
        drop(state);
        if cancelled {
            self.statistics.cancelled();
        }
    }
}

/// A place in a batch; resolves to the item's answer.
#[must_use = "dropping it takes the item back"]
pub struct Ticket<O: Operation> {
    inner: Arc<Inner<O>>,
    answered: oneshot::Receiver<Result<O::Output>>,
    /// `None` when there is nothing to take back.
    entry: Option<u64>,
    /// Runs out when the item has waited long enough for others to join its batch.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<O: Operation> Future for Ticket<O> {
    type Output = Result<O::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready()) {
            self.patience = None;
            self.inner.start(false);
        }
        let answer = ready!(self.answered.poll_unpin(cx));
        self.entry = None;
        let stopped = || Error::unavailable("the runtime that served the batch has stopped");
        Poll::Ready(answer.unwrap_or_else(|_| Err(stopped())))
    }
}

impl<O: Operation> Drop for Ticket<O> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            self.answered.close();
            self.inner.leave(entry);
        }
    }
}

/// A batch that runs. However it ends, even by a panic, its items are removed and the next batch starts.
struct Running<O: Operation> {
    inner: Arc<Inner<O>>,
    run: u64,
}

impl<O: Operation> Running<O> {
    fn end(&self, answers: Vec<Result<O::Output>>, span: Duration) {
        let (inner, count) = (&self.inner, answers.len());
        let mut state = lock(&inner.state);
        // A failed call says nothing about how long calls take.
        if answers.iter().all(Result::is_ok) {
            state.size.ran(count, span, inner.limits.latency_goal);
        }
        let waiting = state.queue.finish(self.run);
        drop(state);
        for (callers, answer) in waiting.into_iter().zip(answers) {
            for caller in callers {
                // Whoever asked may be gone by now.
                let _ = caller.send(answer.clone());
            }
        }
    }
}

impl<O: Operation> Drop for Running<O> {
    fn drop(&mut self) {
        lock(&self.inner.state).queue.finish(self.run);
        self.inner.start(false);
    }
}

async fn serve<O: Operation>(running: Running<O>, batch: Batch<O>) {
    let (name, count) = (running.inner.operation.name(), batch.items.len());
    let began = Instant::now();
    let operation = Arc::clone(&running.inner);
    let work = async move { operation.operation.run(batch.items, batch.priority).await };
    let work = std::pin::pin!(AssertUnwindSafe(work).catch_unwind());
    let answers = match select(work, batch.abandoned).await {
        Either::Left((Ok(answers), _)) if answers.len() == count => answers,
        Either::Left((outcome, _)) => {
            let answered =
                outcome.map_or_else(|_| "panicked".to_owned(), |a| format!("gave {} answers", a.len()));
            let error = Error::internal(format!("{name} {answered} for a batch of {count}: this is a bug"));
            vec![Err(error); count]
        }
        // Nobody waits for any of its items any more.
        Either::Right(_) => return,
    };
    running.end(answers, began.elapsed());
}
