//! The wall clock, for what is stored and shown.

use std::time::{Duration, SystemTime};

/// The time since 1970 in UTC; zero on a machine whose clock stands before that.
pub fn unix_time() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
