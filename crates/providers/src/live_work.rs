//! What the embedded engines know of live turns, so that work for which nobody waits in silence gives way to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long other work waits at most for that of live turns to end, so that nothing waits for ever.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Calls are taken to be under way for so long after the latest sign of one. Calls send audio all the time.
const RECENT: Duration = Duration::from_secs(10);

/// Whether calls are under way, and whether the machine is working for one at this moment.
#[derive(Debug)]
pub struct LiveWork {
    started: Instant,
    running: AtomicUsize,
    /// Milliseconds from `started` to the latest sign of a call, plus one; 0 if there was none.
    latest: AtomicU64,
}

/// A job of a live turn. It counts as running until this is dropped.
#[derive(Debug)]
pub struct LiveJob(Arc<LiveWork>);

impl Default for LiveWork {
    #[expect(clippy::disallowed_methods, reason = "engines work in real time")]
    fn default() -> Self {
        Self { started: Instant::now(), running: AtomicUsize::new(0), latest: AtomicU64::new(0) }
    }
}

impl LiveWork {
    /// There is a call: its audio arrives, or it has something to do.
    pub fn seen(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.latest.store(now + 1, Ordering::Relaxed);
    }

    /// A job of a live turn has arrived.
    pub fn begin(self: &Arc<Self>) -> LiveJob {
        self.seen();
        self.running.fetch_add(1, Ordering::Relaxed);
        LiveJob(self.clone())
    }

    /// Whether a job of a live turn waits or runs now.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Whether there was a sign of a call in the last ten seconds.
    pub fn is_recent(&self) -> bool {
        let latest = self.latest.load(Ordering::Relaxed);
        latest > 0 && self.started.elapsed() < Duration::from_millis(latest) + RECENT
    }
}

/// The time for which one piece of other work has waited while the machine works for a live turn. The operating system would let that go
/// first, but cores that share a cache, or that are two halves of one, slow each other down.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    began: Option<Instant>,
}

impl Pause {
    /// How often to look whether it is over.
    pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(2);

    /// Whether it may wait for longer.
    #[expect(clippy::disallowed_methods, reason = "engines work in real time")]
    pub(crate) fn goes_on(&mut self) -> bool {
        self.began.get_or_insert_with(Instant::now).elapsed() < LONGEST_PAUSE
    }
}

impl Drop for LiveJob {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_has_an_end() {
        let mut pause = Pause::default();
        assert!(pause.goes_on());
        let long_ago =
            LiveWork::default().started.checked_sub(LONGEST_PAUSE).expect("the machine runs for longer");
        assert!(!Pause { began: Some(long_ago) }.goes_on());
    }

    #[test]
    fn work_runs_until_its_job_is_dropped_and_is_remembered() {
        let work = Arc::new(LiveWork::default());
        assert!(!work.is_running() && !work.is_recent(), "nobody has called");
        let job = work.begin();
        assert!(work.is_running() && work.is_recent());
        drop(job);
        assert!(!work.is_running() && work.is_recent(), "the call may go on");
    }
}
