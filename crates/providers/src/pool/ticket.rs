//! The order in which jobs are done.

use std::sync::Weak;
use std::time::Duration;

use super::Work;

/// One waiting job: whose turn it is, not what it is.
pub(super) struct Ticket {
    /// Earliest first: the time of arrival, put off by the priority.
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
