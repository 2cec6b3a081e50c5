//! Threads for computations of some milliseconds, such as encoding audio, which would hold up everybody on a thread of the
//! runtime: [`CpuPool`].

mod sizing;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::Arc;

use antiphon_core::measure::{Component, Counter, Level, Stage};
use antiphon_core::{BoxFuture, Priority, Result};

pub use sizing::Bounds;
use threads::Threads;

/// The threads and what waits for them. Dropping it ends each thread after its present job, and fails the jobs that wait.
pub struct CpuPool(Arc<Threads>);

impl CpuPool {
    /// Starts the fewest threads that the bounds allow.
    pub fn new(bounds: Bounds) -> Result<Self> {
        Ok(Self(Threads::start(bounds)?))
    }

    /// Does `work` on one of the threads, the most urgent first. A panic becomes an error. Dropping the future takes the
    /// work out of the queue; once begun it goes on to its end. To be awaited within a tokio runtime with time.
    pub fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        self.0.run(priority, work)
    }

    /// The pool as the monitor measures it.
    pub fn component(&self) -> Arc<dyn Component> {
        Arc::clone(&self.0) as Arc<dyn Component>
    }
}

impl Drop for CpuPool {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Component for Threads {
    /// The name under which reports and alerts have always had it.
    fn name(&self) -> &'static str {
        "placement"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![self.wait()]
    }

    fn counters(&self) -> Vec<Counter> {
        vec![self.jobs()]
    }

    fn levels(&self) -> Vec<Level> {
        self.levels()
    }
}
