//! One alert condition over time. It fires and resolves with a delay, so that alerts do not flap.

use std::time::Duration;

/// A condition must hold this long before it fires.
const FIRES_AFTER: Duration = Duration::from_secs(30);
/// A value must be well for this long before a firing alert is resolved.
const ENDS_AFTER: Duration = Duration::from_mins(5);

/// How long one condition has been bad or well.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) bad_for: Duration,
    well_for: Duration,
    /// When it began to fire, in seconds since 1970; `None` while it does not.
    pub(super) since: Option<u64>,
}

impl Watch {
    /// Takes the next period. True when the condition begins to fire or is resolved with it.
    pub(super) fn step(&mut self, bad: bool, well: bool, length: Duration, now: u64) -> bool {
        self.bad_for = if bad { self.bad_for + length } else { Duration::ZERO };
        self.well_for = if well { self.well_for + length } else { Duration::ZERO };
        let fires = self.since.is_none() && self.bad_for >= FIRES_AFTER;
        let ends = self.since.is_some() && self.well_for >= ENDS_AFTER;
        if fires {
            self.since = Some(now);
            self.well_for = Duration::ZERO;
        }
        if ends {
            self.since = None;
        }
        fires || ends
    }

    /// Takes a period without any finding. True when that resolves the condition.
    pub(super) fn quiet(&mut self, length: Duration) -> bool {
        let fired = self.since;
        self.step(false, true, length, 0);
        fired.is_some() && self.since.is_none()
    }
}
