//! Work runs where it belongs: waiting on the runtime, computing on threads of its own kind, so that no kind of work that
//! has more than it can do holds up another.

mod pool;
mod sizing;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use antiphon_core::measure::{Component, Counter, Level, Stage};
use antiphon_core::{BoxFuture, Error, Priority, Result};
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use pool::Pool;
pub use sizing::Bounds;

/// Tasks of I/O at a time: each call has few, and a machine some hundred calls.
const MAX_IO: usize = 4_096;

/// Kinds of work that keep a thread busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Computations of at most some milliseconds: parsing, hashing, encoding.
    Cpu,
    /// Steps of a model, which may take long.
    Model,
}

/// The threads of each kind, and tasks of I/O. Dropping it ends the threads after the work they are at, and fails what
/// waits.
pub struct Placement(Arc<Places>);

struct Places {
    cpu: Arc<Pool>,
    model: Arc<Pool>,
    io: Arc<Io>,
}

impl Placement {
    /// Starts the fewest threads of each kind.
    pub fn new(cpu: Bounds, model: Bounds) -> Result<Self> {
        let cpu = Pool::start("cpu", "cpu wait", cpu)?;
        let model = Pool::start("model", "model wait", model)?;
        Ok(Self(Arc::new(Places { cpu, model, io: Arc::new(Io::new()) })))
    }

    /// Does `work` on a thread of its kind, the most urgent first. A panic becomes an error. Dropping the future takes
    /// the work out of the queue; once begun it goes on to its end. To be awaited within a tokio runtime with time.
    pub fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        priority: Priority,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let pool = match kind {
            Kind::Cpu => &self.0.cpu,
            Kind::Model => &self.0.model,
        };
        pool.run(priority, work)
    }

    /// Starts `work`, which must not block, as a task of the tokio runtime this is called in. A panic becomes an error.
    /// Dropping the future cancels the work.
    pub fn io<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let place = match Io::enter(&self.0.io) {
            Ok(place) => place,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let since = Instant::now();
        // Cancels its task when it is dropped.
        let mut task = JoinSet::new();
        task.spawn(async move {
            place.0.wait.record(since.elapsed());
            AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(panicked("io")))
        });
        Box::pin(async move {
            let stopped = || Error::unavailable("the runtime has stopped");
            task.join_next().await.and_then(Result::ok).unwrap_or_else(|| Err(stopped()))
        })
    }

    /// As it is measured.
    pub fn component(&self) -> Arc<dyn Component> {
        Arc::clone(&self.0) as Arc<dyn Component>
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        self.0.cpu.stop();
        self.0.model.stop();
    }
}

impl Component for Places {
    fn name(&self) -> &'static str {
        "placement"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.io.wait, self.cpu.wait(), self.model.wait()]
    }

    fn counters(&self) -> Vec<Counter> {
        let io = Counter { name: "io jobs".into(), value: self.io.jobs.load(Ordering::Relaxed) };
        vec![io, self.cpu.jobs(), self.model.jobs()]
    }

    fn levels(&self) -> Vec<Level> {
        let io = Level {
            name: "io busy".into(),
            value: self.io.busy.load(Ordering::Relaxed) as f64,
            limit: Some(MAX_IO as f64),
            unit: "tasks".into(),
        };
        [vec![io], self.cpu.levels(), self.model.levels()].concat()
    }
}

/// Work of `kind` panicked; the message went where panics go.
fn panicked(kind: &str) -> Error {
    Error::internal(format!("work of kind {kind} panicked: this is a bug, and the log says where"))
}

/// Tasks on the runtime.
struct Io {
    busy: AtomicUsize,
    jobs: AtomicU64,
    /// From the start until the runtime came to it.
    wait: Stage,
}

impl Io {
    fn new() -> Self {
        Self { busy: AtomicUsize::new(0), jobs: AtomicU64::new(0), wait: Stage::new("io wait") }
    }

    fn enter(io: &Arc<Self>) -> Result<IoPlace> {
        let place = IoPlace(Arc::clone(io));
        if io.busy.fetch_add(1, Ordering::Relaxed) >= MAX_IO {
            io.wait.fail();
            let message = format!("{MAX_IO} tasks of I/O run already: the machine is overloaded");
            return Err(Error::unavailable(message));
        }
        io.jobs.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }
}

/// One of the tasks that may run.
struct IoPlace(Arc<Io>);

impl Drop for IoPlace {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
