//! Time as an argument: a position on one call's time line.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::SampleRate;

/// Microseconds since the call began. Advances with the audio received, so that a call fed faster than
/// real time behaves the same as one fed in real time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaTime(u64);

impl MediaTime {
    /// The start of the call.
    pub const ZERO: Self = Self(0);

    /// `ms` milliseconds into the call.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000)
    }

    /// The time at which `samples` of one channel at `rate` have been received.
    pub const fn from_samples(samples: u64, rate: SampleRate) -> Self {
        Self((samples as u128 * 1_000_000 / rate.hz() as u128) as u64)
    }

    /// Whole milliseconds into the call.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The span since the start of the call.
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// The span from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    #[must_use]
    /// `span` before this time, not before the start of the call.
    pub const fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_micros() as u64))
    }
}

impl Add<Duration> for MediaTime {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0 + span.as_micros() as u64)
    }
}

impl AddAssign<Duration> for MediaTime {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub for MediaTime {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}
