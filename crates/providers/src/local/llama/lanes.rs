//! The two threads that decode, as the thread that makes the prompts sees them.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{SendError, Sender};

use antiphon_core::Error;

use super::Activity;
use super::slot::Job;

/// Where replies are decoded.
pub(super) struct Lanes {
    /// The thread for the turns of calls.
    pub(super) live: Sender<Job>,
    /// The thread for everything else, which gives way to it.
    pub(super) background: Sender<Job>,
}

impl Lanes {
    /// Hands a job to the thread that is to do it; false when that of live turns is gone. Without the other one calls go on.
    pub(super) fn send(&self, job: Job, activity: &Activity) -> bool {
        if job.is_of_turn {
            return self.live.send(job).is_ok();
        }
        if let Err(SendError(job)) = self.background.send(job) {
            activity.waiting(false).fetch_sub(1, Ordering::Relaxed);
            job.send(Err(Error::unavailable("the language model's thread for such requests has ended")));
        }
        true
    }
}
