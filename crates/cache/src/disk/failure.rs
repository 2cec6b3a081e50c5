//! What goes wrong with the database on disk, and for how long.

use std::time::Duration;

use antiphon_core::Error;
use tokio::time::Instant;

/// How long a disk is left alone after a failure: short compared to the time that somebody takes to make room.
pub(super) const RETRY: Duration = Duration::from_secs(10);

/// Where a failure lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// In the file: its content is not what this program wrote.
    File,
    /// The disk is full; what is there can still be read.
    Full,
    /// In the disk, the folder or its rights.
    Disk,
}

/// Why the database could not be used.
#[derive(Clone, Debug)]
pub(super) struct DiskFailure {
    pub(super) cause: Cause,
    pub(super) message: String,
}

impl DiskFailure {
    pub(super) fn file(message: impl Into<String>) -> Self {
        Self { cause: Cause::File, message: message.into() }
    }
}

impl From<sqlx::Error> for DiskFailure {
    fn from(error: sqlx::Error) -> Self {
        let cause = match &error {
            sqlx::Error::Io(_) => Cause::Disk,
            sqlx::Error::Database(error) => {
                cause(error.code().and_then(|code| code.parse().ok()).unwrap_or_default())
            }
            // What was read is not of the type that was written.
            _ => Cause::File,
        };
        Self { cause, message: error.to_string() }
    }
}

/// The error of requests while the disk is left alone.
pub(super) fn paused() -> Error {
    Error::unavailable("the cache on disk is in trouble: it is tried again in a while")
}

impl From<DiskFailure> for Error {
    fn from(failure: DiskFailure) -> Self {
        Self::unavailable(format!("the cache on disk cannot be used: {}", failure.message))
    }
}

/// The cause of an SQLite result code (<https://www.sqlite.org/rescode.html>), of which the low byte is enough here. A read-only
/// file counts as damaged, since one flipped bit in its header makes it look so; if it really is read-only, it cannot be
/// removed either.
fn cause(code: i32) -> Cause {
    const PERM: i32 = 3;
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const NOMEM: i32 = 7;
    const INTERRUPT: i32 = 9;
    const IOERR: i32 = 10;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const PROTOCOL: i32 = 15;
    match code & 0xff {
        FULL => Cause::Full,
        PERM | BUSY | LOCKED | NOMEM | INTERRUPT | IOERR | CANTOPEN | PROTOCOL => Cause::Disk,
        _ => Cause::File,
    }
}

/// An outage of the disk, as a state machine: it is logged once when it begins and once when it is over, however often the disk
/// is tried in between. Time is an argument.
#[derive(Debug, Default)]
pub(super) struct Outage {
    state: OutageState,
    /// When the disk was last tried again without waiting.
    hurried: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
enum OutageState {
    #[default]
    Well,
    /// The disk is not tried before this time.
    Waiting(Instant),
    /// The disk works again, but the outage is over only if it still does at this time: a nearly full disk accepts small writes.
    Proving(Instant),
}

impl Outage {
    /// Whether anything may be tried.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        !matches!(self.state, OutageState::Waiting(until) if now < until)
    }

    /// A write or read failed; whether an outage begins with that.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let news = matches!(self.state, OutageState::Well);
        self.state = OutageState::Waiting(now + RETRY);
        news
    }

    /// The cause was removed, so the next try does not have to wait, unless that was tried just before and did not help.
    pub(super) fn hurry(&mut self, now: Instant) {
        if self.hurried.is_none_or(|last| last + RETRY <= now) {
            self.hurried = Some(now);
            self.state = OutageState::Waiting(now);
        }
    }

    /// Entries were written; whether the outage is over with that.
    pub(super) fn worked(&mut self, now: Instant) -> bool {
        match self.state {
            OutageState::Well => false,
            OutageState::Waiting(_) => {
                self.state = OutageState::Proving(now + RETRY);
                false
            }
            OutageState::Proving(until) => {
                let over = until <= now;
                if over {
                    self.state = OutageState::Well;
                }
                over
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_is_told_once_and_ends_when_it_has_worked_for_a_while() {
        let (mut outage, now) = (Outage::default(), Instant::now());
        assert!(outage.may_try(now) && !outage.worked(now));
        assert!(outage.failed(now), "news");
        assert!(!outage.may_try(now) && outage.may_try(now + RETRY));
        assert!(!outage.failed(now + RETRY), "no news");
        let now = now + 2 * RETRY;
        assert!(!outage.worked(now), "once is not enough");
        assert!(!outage.failed(now), "all but full: no news either");
        assert!(!outage.worked(now + RETRY) && !outage.worked(now + RETRY * 3 / 2));
        assert!(outage.worked(now + 2 * RETRY));
        assert!(!outage.worked(now + 2 * RETRY), "told once");
        assert!(outage.failed(now + 2 * RETRY), "another one");
    }

    #[test]
    fn a_remedy_is_tried_at_once_but_not_over_and_over() {
        let (mut outage, now) = (Outage::default(), Instant::now());
        outage.failed(now);
        outage.hurry(now);
        assert!(outage.may_try(now));
        outage.failed(now);
        outage.hurry(now);
        assert!(!outage.may_try(now), "it did not help");
        outage.failed(now + RETRY);
        outage.hurry(now + RETRY);
        assert!(outage.may_try(now + RETRY));
    }

    #[test]
    fn extended_codes_tell_the_same_cause() {
        // SQLITE_IOERR_SHORT_READ, SQLITE_CORRUPT_INDEX, SQLITE_NOTADB, SQLITE_READONLY_DBMOVED, SQLITE_FULL
        let codes = [522, 779, 26, 1032, 13].map(cause);
        assert_eq!(codes, [Cause::Disk, Cause::File, Cause::File, Cause::File, Cause::Full]);
    }
}
