//! The result of a search for better settings. `antiphon optimize` stores it, and the dashboard recommends it.

mod overlay;

use std::collections::BTreeMap;

use antiphon_lab::compare::{Comparison, Verdict};
use antiphon_lab::search::Value;
use serde::{Deserialize, Serialize};

pub(crate) use overlay::Overlay;

/// What a search should improve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// How long a caller waits after the end of a turn.
    Latency,
    /// How many replies can be made at the same time.
    Capacity,
    /// How much CPU time a reply takes.
    Cost,
}

impl Goal {
    /// The benchmark that measures it.
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

/// Configuration keys and their values.
pub(crate) type Settings = BTreeMap<String, Value>;

/// The result of a search, with its evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) goal: Goal,
    /// The settings to change; empty when nothing is better.
    pub(crate) settings: Settings,
    /// The comparison of the present settings with these, measured alternately after the search.
    pub(crate) comparison: Option<Comparison>,
    /// How many settings were measured.
    pub(crate) trials: usize,
    pub(crate) machine: String,
    pub(crate) commit: String,
    pub(crate) engines: String,
    /// When the search ended, in seconds since 1970.
    pub(crate) at: u64,
}

/// Whether a comparison shows that the second side is better.
pub(crate) fn is_better(comparison: &Comparison) -> bool {
    // An improvement of less than 1 % does not justify a setting.
    comparison.verdict(0.01) == Verdict::Improvement && comparison.high < 1.0
}
