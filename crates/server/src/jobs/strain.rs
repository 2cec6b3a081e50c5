//! Measures whether this machine keeps up with its calls and its other requests, for admission.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_core::measure::Component;
use antiphon_desk::{Calls, FRAME};
use tokio::time::{Instant, sleep_until};

/// Every so many frames the engines are asked how long requests wait.
const FRAMES_A_LOOK: u32 = 5;

/// Requests are answered within a minute or not at all, and they pass through the queue of the engines several times, once for each
/// sentence. So while the oldest has waited for so long, it is better for newcomers to come back later.
const LONG_BACKLOG: Duration = Duration::from_secs(10);

/// For how long requests wait for engines, those of live turns aside.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    milliseconds: AtomicU64,
}

impl Backlog {
    /// Whether newcomers would wait too long.
    pub(crate) fn is_long(&self) -> bool {
        Duration::from_millis(self.milliseconds.load(Ordering::Relaxed)) > LONG_BACKLOG
    }

    pub(crate) fn set(&self, waited: Duration) {
        let milliseconds = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.store(milliseconds, Ordering::Relaxed);
    }
}

/// Tells the admission every [`FRAME`] how late frames are, and for how long requests of live turns wait for engines; and the
/// backlog. Frames of calls
/// are as late as this task, and then they may wait to be judged. To be run as a task of its own, among those of calls. It ends only
/// by being dropped.
pub(crate) async fn run(calls: Calls, backlog: Arc<Backlog>, components: Vec<Arc<dyn Component>>) {
    let mut waits = Duration::ZERO;
    let longest = |wait: fn(&dyn Component) -> Duration| {
        components.iter().map(|component| wait(component.as_ref())).max().unwrap_or_default()
    };
    for frame in (0..FRAMES_A_LOOK).cycle() {
        let due = Instant::now() + FRAME;
        sleep_until(due).await;
        let late = due.elapsed();
        if frame == 0 {
            waits = longest(|component| component.live_wait());
            backlog.set(longest(|component| component.backlog()));
        }
        calls.measured(late + longest(|component| component.frame_wait()), waits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_come_back_later_while_the_oldest_waits_long() {
        let backlog = Backlog::default();
        assert!(!backlog.is_long());
        backlog.set(LONG_BACKLOG * 2);
        assert!(backlog.is_long());
        backlog.set(LONG_BACKLOG);
        assert!(!backlog.is_long());
    }
}
