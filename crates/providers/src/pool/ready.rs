//! The jobs that wait for the threads, in two lanes.
//!
//! Live turns have a lane of their own, which all ordinary threads serve. Other jobs are run by one thread that is less
//! urgent to the operating system, so that a live job takes the processor away from it at any moment. Where no call is under
//! way, the ordinary threads help it.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use antiphon_core::Priority;

use super::Work;

/// For whom a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// For somebody who waits in silence, or soon may.
    Live,
    /// For anybody else.
    Background,
}

impl Lane {
    pub(super) fn of(priority: Priority) -> Self {
        if priority.is_live() { Self::Live } else { Self::Background }
    }
}

/// Which jobs a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Live jobs first, and others while no call is under way.
    Ordinary,
    /// Background jobs alone, less urgent to the operating system.
    Background,
}

/// The entry of a job, which itself waits with its operation.
struct Entry {
    priority: Priority,
    operation: Weak<dyn Work>,
}

/// One entry for each job that waits. Each stands with the time at which its job is due, which is that of its arrival plus the delay of
/// its priority, and with its number. The earliest comes first.
type Due = BTreeMap<(Duration, u64), Entry>;

#[derive(Default)]
pub(super) struct ReadyQueue {
    live: Due,
    background: Due,
    /// The number of the latest entry.
    sequence: u64,
    /// The pool was dropped.
    pub(super) stopping: bool,
}

impl ReadyQueue {
    /// Jobs that wait, those whose callers have gone included until their operation is asked for its next ones.
    pub(super) fn len(&self) -> usize {
        self.live.len() + self.background.len()
    }

    /// The same in one lane.
    pub(super) fn len_of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Live => self.live.len(),
            Lane::Background => self.background.len(),
        }
    }

    pub(super) fn has_background(&self) -> bool {
        !self.background.is_empty()
    }

    /// For how long the most urgent job of a live turn has been due at this time. A job whose caller has gone counts until its turn comes.
    pub(super) fn live_wait(&self, now: Duration) -> Duration {
        self.live.first_key_value().map_or(Duration::ZERO, |((due, _), _)| now.saturating_sub(*due))
    }

    /// The same of the other jobs.
    pub(super) fn backlog(&self, now: Duration) -> Duration {
        self.background.first_key_value().map_or(Duration::ZERO, |((due, _), _)| now.saturating_sub(*due))
    }

    /// A job with this priority has arrived at this time.
    pub(super) fn push(&mut self, priority: Priority, now: Duration, operation: Weak<dyn Work>) {
        self.sequence += 1;
        let place = (now + priority.patience(), self.sequence);
        self.lane(Lane::of(priority)).insert(place, Entry { priority, operation });
    }

    /// Whether the next background job is for the sake of a call, such as the transcript of what somebody has said so far.
    pub(super) fn helps_a_call(&self) -> bool {
        self.background.first_key_value().is_some_and(|(_, entry)| entry.priority == Priority::Extraction)
    }

    /// The operation whose turn it is, for a thread with this duty. `calls`: whether calls are under way.
    pub(super) fn next(&mut self, duty: Duty, calls: bool) -> Option<(Lane, Weak<dyn Work>)> {
        if duty == Duty::Ordinary
            && let Some((_, entry)) = self.live.pop_first()
        {
            return Some((Lane::Live, entry.operation));
        }
        let helps = duty == Duty::Background || !calls;
        let next = if helps { self.background.pop_first() } else { None };
        next.map(|(_, entry)| (Lane::Background, entry.operation))
    }

    /// Of this operation so many jobs are left in this lane. Others went in one batch with one that had its turn, or their callers have
    /// gone; without this their entries would pile up, because each turn takes only one away.
    pub(super) fn left(&mut self, lane: Lane, operation: &dyn Work, jobs: usize) {
        let this = std::ptr::from_ref(operation).cast::<()>();
        let is_this = |entry: &Entry| entry.operation.as_ptr().cast::<()>() == this;
        let lane = self.lane(lane);
        let mut gone = lane.values().filter(|entry| is_this(entry)).count().saturating_sub(jobs);
        if gone > 0 {
            lane.retain(|_, entry| {
                let goes = gone > 0 && is_this(entry);
                gone -= usize::from(goes);
                !goes
            });
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut Due {
        match lane {
            Lane::Live => &mut self.live,
            Lane::Background => &mut self.background,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Nothing;

    /// Not of size zero, so that two of them have two addresses.
    struct Named(&'static str);

    impl Work for Named {
        fn work(&self, _: Lane, _: usize) {
            unreachable!("{} is not asked", self.0);
        }
    }

    impl Work for Nothing {
        fn work(&self, _: Lane, _: usize) {}
    }

    #[test]
    fn a_live_job_that_is_due_waits() {
        let work: Arc<dyn Work> = Arc::new(Nothing);
        let mut ready = ReadyQueue::default();
        ready.push(Priority::Batch, Duration::ZERO, Arc::downgrade(&work));
        assert_eq!(ready.live_wait(Duration::from_secs(9)), Duration::ZERO, "nobody waits in silence");
        for due in [7, 3, 5] {
            ready.push(Priority::LiveTurn, Duration::from_secs(due), Arc::downgrade(&work));
        }
        assert_eq!(ready.live_wait(Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(ready.live_wait(Duration::from_secs(9)), Duration::from_secs(6));
    }

    #[test]
    fn other_jobs_that_are_due_are_a_backlog() {
        let work: Arc<dyn Work> = Arc::new(Nothing);
        let mut ready = ReadyQueue::default();
        ready.push(Priority::LiveTurn, Duration::ZERO, Arc::downgrade(&work));
        assert_eq!(ready.backlog(Duration::from_secs(9)), Duration::ZERO);
        ready.push(Priority::Interactive, Duration::ZERO, Arc::downgrade(&work));
        assert_eq!(
            ready.backlog(Duration::from_secs(9)),
            Duration::from_secs(5),
            "four later than a live turn"
        );
    }

    #[test]
    fn what_helps_a_call_is_told_from_other_jobs() {
        let work: Arc<dyn Work> = Arc::new(Nothing);
        let mut ready = ReadyQueue::default();
        assert!(!ready.helps_a_call());
        ready.push(Priority::Extraction, Duration::ZERO, Arc::downgrade(&work));
        assert!(ready.helps_a_call());
        ready.push(Priority::Interactive, Duration::ZERO, Arc::downgrade(&work));
        assert!(!ready.helps_a_call(), "the other one comes first");
    }

    #[test]
    fn jobs_that_went_with_others_have_no_turn_of_their_own() {
        let [batched, other]: [Arc<dyn Work>; 2] = [Arc::new(Named("batched")), Arc::new(Named("other"))];
        let mut ready = ReadyQueue::default();
        for (due, operation) in [(1, &batched), (2, &other), (3, &batched), (4, &batched)] {
            ready.push(Priority::Interactive, Duration::from_secs(due), Arc::downgrade(operation));
        }
        ready.left(Lane::Live, batched.as_ref(), 0);
        assert_eq!(ready.len_of(Lane::Background), 4, "the other lane");
        ready.left(Lane::Background, batched.as_ref(), 1);
        let due: Vec<_> = ready.background.keys().map(|(due, _)| due.as_secs()).collect();
        assert_eq!(due, [6, 8], "the earliest went");
        ready.left(Lane::Background, batched.as_ref(), 0);
        assert_eq!(ready.len(), 1, "the other operation's");
    }

    #[test]
    fn ordinary_threads_help_with_other_jobs_while_there_are_no_calls() {
        let work: Arc<dyn Work> = Arc::new(Nothing);
        let mut ready = ReadyQueue::default();
        let lane = |next: Option<(Lane, Weak<dyn Work>)>| next.map(|(lane, _)| lane);
        ready.push(Priority::Batch, Duration::ZERO, Arc::downgrade(&work));
        assert_eq!(lane(ready.next(Duty::Ordinary, true)), None, "a call may want the thread at any moment");
        assert_eq!(lane(ready.next(Duty::Ordinary, false)), Some(Lane::Background));
        ready.push(Priority::Batch, Duration::ZERO, Arc::downgrade(&work));
        ready.push(Priority::LiveTurn, Duration::from_secs(30), Arc::downgrade(&work));
        assert_eq!(lane(ready.next(Duty::Ordinary, false)), Some(Lane::Live), "although it is due later");
        ready.push(Priority::LiveTurn, Duration::ZERO, Arc::downgrade(&work));
        assert_eq!(lane(ready.next(Duty::Background, true)), Some(Lane::Background));
        assert_eq!(lane(ready.next(Duty::Background, true)), None, "it would be too slow for a live turn");
    }
}
