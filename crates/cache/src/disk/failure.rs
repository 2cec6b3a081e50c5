//! What goes wrong with a disk, and for how long.

use std::time::Duration;

use antiphon_core::Error;
use tokio::time::Instant;

/// How long a disk in trouble is left alone: short beside the time it takes somebody to make room.
pub(super) const RETRY: Duration = Duration::from_secs(10);

/// Where the trouble lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// In the file: it is not, or no longer, what this program wrote.
    File,
    /// There is no room; what is there can still be read.
    Full,
    /// In the disk, the folder or its rights.
    Disk,
}

/// Why the database could not be used.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) cause: Cause,
    pub(super) message: String,
}

impl Trouble {
    pub(super) fn file(message: impl Into<String>) -> Self {
        Self { cause: Cause::File, message: message.into() }
    }
}

impl From<sqlx::Error> for Trouble {
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

/// The answer while nothing is tried.
pub(super) fn paused() -> Error {
    Error::unavailable("the cache on disk is in trouble: it is tried again in a while")
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        Self::unavailable(format!("the cache on disk cannot be used: {}", trouble.message))
    }
}

/// By SQLite's result code (<https://www.sqlite.org/rescode.html>), whose low byte says all that matters here. A file that
/// may only be read counts as damaged: one flipped bit of its header makes it so, and where it is true it cannot be removed.
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

/// A spell of trouble: told once when it begins and once when it is over, however often it is tried between. It reads no
/// clock.
#[derive(Debug, Default)]
pub(super) struct Spell {
    state: State,
    /// When it was last tried again without waiting.
    hurried: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Well,
    /// Nothing is tried before.
    Waiting(Instant),
    /// It works, but has to go on until then: a disk that is all but full takes little things.
    Proving(Instant),
}

impl Spell {
    /// Whether anything may be tried.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        !matches!(self.state, State::Waiting(until) if now < until)
    }

    /// Something failed; whether that is news.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let news = matches!(self.state, State::Well);
        self.state = State::Waiting(now + RETRY);
        news
    }

    /// The reason was removed: the next try need not wait, unless that did not help just now.
    pub(super) fn hurry(&mut self, now: Instant) {
        if self.hurried.is_none_or(|last| last + RETRY <= now) {
            self.hurried = Some(now);
            self.state = State::Waiting(now);
        }
    }

    /// Entries were written; whether the trouble is over with that.
    pub(super) fn worked(&mut self, now: Instant) -> bool {
        match self.state {
            State::Well => false,
            State::Waiting(_) => {
                self.state = State::Proving(now + RETRY);
                false
            }
            State::Proving(until) => {
                let over = until <= now;
                if over {
                    self.state = State::Well;
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
        let (mut spell, now) = (Spell::default(), Instant::now());
        assert!(spell.may_try(now) && !spell.worked(now));
        assert!(spell.failed(now), "news");
        assert!(!spell.may_try(now) && spell.may_try(now + RETRY));
        assert!(!spell.failed(now + RETRY), "no news");
        let now = now + 2 * RETRY;
        assert!(!spell.worked(now), "once is not enough");
        assert!(!spell.failed(now), "all but full: no news either");
        assert!(!spell.worked(now + RETRY) && !spell.worked(now + RETRY * 3 / 2));
        assert!(spell.worked(now + 2 * RETRY));
        assert!(!spell.worked(now + 2 * RETRY), "told once");
        assert!(spell.failed(now + 2 * RETRY), "another one");
    }

    #[test]
    fn a_remedy_is_tried_at_once_but_not_over_and_over() {
        let (mut spell, now) = (Spell::default(), Instant::now());
        spell.failed(now);
        spell.hurry(now);
        assert!(spell.may_try(now));
        spell.failed(now);
        spell.hurry(now);
        assert!(!spell.may_try(now), "it did not help");
        spell.failed(now + RETRY);
        spell.hurry(now + RETRY);
        assert!(spell.may_try(now + RETRY));
    }

    #[test]
    fn extended_codes_tell_the_same_cause() {
        // SQLITE_IOERR_SHORT_READ, SQLITE_CORRUPT_INDEX, SQLITE_NOTADB, SQLITE_READONLY_DBMOVED, SQLITE_FULL
        let codes = [522, 779, 26, 1032, 13].map(cause);
        assert_eq!(codes, [Cause::Disk, Cause::File, Cause::File, Cause::File, Cause::Full]);
    }
}
