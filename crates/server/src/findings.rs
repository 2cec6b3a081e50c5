//! What a search for better settings found: `antiphon optimize` keeps it, the dashboard recommends it.

mod overlay;

use std::collections::BTreeMap;

use antiphon_lab::compare::{Comparison, Verdict};
use antiphon_lab::search::Value;
use serde::{Deserialize, Serialize};

pub(crate) use overlay::Overlay;

/// What is to become better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// How long a caller waits once the turn is over.
    Latency,
    /// How many replies at a time.
    Capacity,
    /// CPU time a reply.
    Cost,
}

impl Goal {
    /// The benchmark that shows it.
    pub(crate) const fn component(self) -> &'static str {
        match self {
            Self::Latency => "reply",
            Self::Capacity | Self::Cost => "replies",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Latency => "ms from the end of a question to the first audio",
            Self::Capacity => "ms for eight replies at a time",
            Self::Cost => "ms of CPU time for eight replies",
        }
    }
}

/// Keys of the configuration and their values.
pub(crate) type Settings = BTreeMap<String, Value>;

/// What a search found, and why it is believed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) goal: Goal,
    /// What is set differently; empty when nothing is better.
    pub(crate) settings: Settings,
    /// Today's settings against these, measured in turn after the search.
    pub(crate) comparison: Option<Comparison>,
    /// Settings that were measured.
    pub(crate) trials: usize,
    pub(crate) machine: String,
    pub(crate) commit: String,
    pub(crate) engines: String,
    /// When, in seconds since 1970.
    pub(crate) at: u64,
}

/// Whether a comparison shows that the second is better.
pub(crate) fn is_better(comparison: &Comparison) -> bool {
    // Less than 1 % is worth no setting of its own.
    comparison.verdict(0.01) == Verdict::Improvement && comparison.high < 1.0
}
