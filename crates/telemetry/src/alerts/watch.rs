//! A condition over time: it fires and ends late, so that nothing flaps.

use std::time::Duration;

/// A condition must hold this long before it fires.
const FIRES_AFTER: Duration = Duration::from_secs(30);
/// And be well this long before it is over.
const ENDS_AFTER: Duration = Duration::from_mins(5);

/// A condition over time.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) bad_for: Duration,
    well_for: Duration,
    /// Since when it fires.
    pub(super) since: Option<u64>,
}

impl Watch {
    /// True when it begins to fire or is over.
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

    /// Nothing was found: true when that ends it.
    pub(super) fn quiet(&mut self, length: Duration) -> bool {
        let fired = self.since;
        self.step(false, true, length, 0);
        fired.is_some() && self.since.is_none()
    }
}
