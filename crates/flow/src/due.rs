//! Whose turn it is: urgency that ages.

use std::time::Duration;

use antiphon_core::Priority;

/// What one step of priority is worth, as in the pool of model threads: work yields to more urgent work that came up to
/// this much later, so that none starves.
const PRIORITY_STEP: Duration = Duration::from_secs(2);

/// What arrives `now` is due then; the earliest first.
pub(crate) fn due(now: Duration, priority: Priority) -> Duration {
    now + PRIORITY_STEP * priority as u32
}
