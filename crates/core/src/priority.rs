//! How urgent a request is, and for how long more urgent ones may overtake it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one step of priority is worth in every queue: a request yields to requests one step more urgent that arrive up to this
/// much later. It is longer than most requests take, so that urgency counts, and short enough that nothing waits for ever.
const STEP: Duration = Duration::from_secs(2);

/// How urgent a request is. Lower runs first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody is waiting in silence.
    #[default]
    LiveTurn,
    /// A reply that may be thrown away.
    Speculation,
    /// Somebody is waiting in front of a screen.
    Interactive,
    /// Learning after the turn.
    Extraction,
    /// Work for which nobody is waiting.
    Batch,
}

impl Priority {
    /// Whether it is for a turn of a call, be it that the turn is only expected.
    pub fn is_live(self) -> bool {
        self <= Self::Speculation
    }

    /// How much earlier a request of this priority must have arrived to go before a live turn. A queue that serves the smallest
    /// sum of arrival and patience first prefers urgent requests and starves none.
    pub fn patience(self) -> Duration {
        STEP * self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_urgency_is_worth_two_seconds() {
        assert_eq!(Priority::LiveTurn.patience(), Duration::ZERO);
        assert_eq!(Priority::Batch.patience(), Duration::from_secs(8));
    }
}
