//! Why a request moved from one engine to the next.

use antiphon_core::{Error, ErrorKind};

/// Why another engine had to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// An error instead of an answer.
    Error,
    /// No useful item in time.
    Slow,
    /// No further item in time.
    Stall,
    /// An error after useful items.
    MidStream,
}

impl Reason {
    pub(super) const ALL: [Self; 4] = [Self::Error, Self::Slow, Self::Stall, Self::MidStream];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Stall => "stall",
            Self::MidStream => "mid-stream",
        }
    }

    /// The reason that an error stands for. A time-out may also come from a guard in front of the engine, so it is told by
    /// the error's kind and not by who noticed it. `begun`: useful items had come.
    pub(super) fn of(error: &Error, begun: bool) -> Self {
        match (error.kind() == ErrorKind::Timeout, begun) {
            (true, false) => Self::Slow,
            (true, true) => Self::Stall,
            (false, false) => Self::Error,
            (false, true) => Self::MidStream,
        }
    }
}
