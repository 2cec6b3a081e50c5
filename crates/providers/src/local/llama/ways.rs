//! Which thread decodes which replies.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{SendError, Sender};

use antiphon_core::Error;

use super::Activity;
use super::slot::Job;

/// Where jobs go.
pub(super) struct Ways {
    pub(super) of_turns: Sender<Job>,
    pub(super) of_others: Sender<Job>,
}

impl Ways {
    /// Hands a job to the thread that is to do it; false when that of turns is gone. Without the other one calls go on.
    pub(super) fn send(&self, job: Job, activity: &Activity) -> bool {
        if job.is_of_turn {
            return self.of_turns.send(job).is_ok();
        }
        if let Err(SendError(job)) = self.of_others.send(job) {
            activity.waiting(false).fetch_sub(1, Ordering::Relaxed);
            job.send(Err(Error::unavailable("the language model's thread for such requests has ended")));
        }
        true
    }
}
