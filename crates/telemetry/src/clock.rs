//! The wall clock, for what is kept and shown.

use std::time::{Duration, SystemTime};

/// Since 1970, UTC; zero on a machine whose clock stands before that.
pub fn unix_time() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
