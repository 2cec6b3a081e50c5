//! The jobs that wait for the threads, in two lanes.
//!
//! Live turns have a lane of their own, which all ordinary threads serve. Other jobs are run by one thread that is less
//! urgent to the operating system, so that a live job takes the processor away from it at any moment. Where no call is under
//! way, the ordinary threads help it.

use std::collections::BinaryHeap;
use std::sync::Weak;
use std::time::Duration;

use antiphon_core::Priority;

use super::Work;
use super::ticket::Ticket;

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
        if priority <= Priority::Speculation { Self::Live } else { Self::Background }
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

#[derive(Default)]
pub(super) struct ReadyQueue {
    live: BinaryHeap<Ticket>,
    background: BinaryHeap<Ticket>,
    /// The number of the latest ticket.
    sequence: u64,
    /// The pool was dropped.
    pub(super) stopping: bool,
}

impl ReadyQueue {
    pub(super) fn len(&self) -> usize {
        self.live.len() + self.background.len()
    }

    pub(super) fn has_background(&self) -> bool {
        !self.background.is_empty()
    }

    /// For how long the most urgent job of a live turn has been due at this time. A job whose caller has gone counts until its turn comes.
    pub(super) fn live_wait(&self, now: Duration) -> Duration {
        self.live.peek().map_or(Duration::ZERO, |ticket| now.saturating_sub(ticket.due))
    }

    pub(super) fn push(&mut self, lane: Lane, due: Duration, operation: Weak<dyn Work>) {
        self.sequence += 1;
        let ticket = Ticket { due, sequence: self.sequence, operation };
        match lane {
            Lane::Live => self.live.push(ticket),
            Lane::Background => self.background.push(ticket),
        }
    }

    /// The next ticket for a thread with this duty. `calls`: whether calls are under way.
    pub(super) fn next(&mut self, duty: Duty, calls: bool) -> Option<(Lane, Ticket)> {
        let urgent = if duty == Duty::Ordinary { self.live.pop() } else { None };
        if let Some(ticket) = urgent {
            return Some((Lane::Live, ticket));
        }
        let helps = duty == Duty::Background || !calls;
        let ticket = if helps { self.background.pop() } else { None };
        ticket.map(|ticket| (Lane::Background, ticket))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Nothing;

    impl Work for Nothing {
        fn work(&self, _: Lane, _: usize) {}
    }

    #[test]
    fn a_live_job_that_is_due_waits() {
        let work: Arc<dyn Work> = Arc::new(Nothing);
        let mut ready = ReadyQueue::default();
        ready.push(Lane::Background, Duration::ZERO, Arc::downgrade(&work));
        assert_eq!(ready.live_wait(Duration::from_secs(9)), Duration::ZERO, "nobody waits in silence");
        for due in [7, 3, 5] {
            ready.push(Lane::Live, Duration::from_secs(due), Arc::downgrade(&work));
        }
        assert_eq!(ready.live_wait(Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(ready.live_wait(Duration::from_secs(9)), Duration::from_secs(6));
    }

    #[test]
    fn ordinary_threads_help_with_other_jobs_while_there_are_no_calls() {
        let work: Arc<dyn Work> = Arc::new(Nothing);
        let mut ready = ReadyQueue::default();
        let lane = |next: Option<(Lane, Ticket)>| next.map(|(lane, _)| lane);
        ready.push(Lane::Background, Duration::ZERO, Arc::downgrade(&work));
        assert_eq!(lane(ready.next(Duty::Ordinary, true)), None, "a call may want the thread at any moment");
        assert_eq!(lane(ready.next(Duty::Ordinary, false)), Some(Lane::Background));
        ready.push(Lane::Background, Duration::ZERO, Arc::downgrade(&work));
        ready.push(Lane::Live, Duration::from_secs(1), Arc::downgrade(&work));
        assert_eq!(lane(ready.next(Duty::Ordinary, false)), Some(Lane::Live), "although it is due later");
        ready.push(Lane::Live, Duration::ZERO, Arc::downgrade(&work));
        assert_eq!(lane(ready.next(Duty::Background, true)), Some(Lane::Background));
        assert_eq!(lane(ready.next(Duty::Background, true)), None, "it would be too slow for a live turn");
    }
}
