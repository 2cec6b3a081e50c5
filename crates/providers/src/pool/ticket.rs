//! The order in which jobs are run.

use std::sync::Weak;
use std::time::Duration;

use super::Work;

/// A place in the queue for one job of an operation. The job itself waits with the operation.
pub(super) struct Ticket {
    /// Time of arrival plus the delay of the priority; the earliest comes first.
    pub(super) due: Duration,
    pub(super) sequence: u64,
    pub(super) operation: Weak<dyn Work>,
}

impl Ord for Ticket {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due, other.sequence).cmp(&(self.due, self.sequence))
    }
}

impl PartialOrd for Ticket {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ticket {}
