//! The states of a breaker. Time is an argument.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{Error, ErrorKind, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::window::{Usual, Window};
use super::{BreakerState, Counts};

/// So many failures one after the other open the breaker, however few outcomes there are: even of an engine that
/// fails one request in twenty, chance makes them once in three million.
const FAILURES_IN_A_ROW: u32 = 5;
/// So many refusals for too many requests, one after the other, weigh as one failure, and they have no part in the
/// share of failures: the concurrency limit answers them, and only if that does not help the engine is left alone.
const REFUSALS_A_FAILURE: u32 = 4;
/// From the opening to the first probe: a restarted server is back in seconds, and somebody may be waiting.
const FIRST_INTERVAL: Duration = Duration::from_secs(2);
/// Each failed probe doubles the interval, up to this: no recovery is found later.
const MAX_INTERVAL: Duration = Duration::from_mins(1);
/// A refused key does not heal by itself: asking is only to notice that somebody has mended it.
const KEY_INTERVAL: Duration = Duration::from_mins(1);
/// Intervals are shortened by chance, by up to this share, so that servers that saw the same outage do not all probe
/// at once.
const JITTER: f64 = 0.2;
/// Probes that must succeed: one may be luck.
const PROBES: u32 = 2;
/// A probe that is still under way after so long no longer holds up the next: a person may speak for minutes.
const PROBE_FOR: Duration = Duration::from_secs(10);

pub(super) struct Circuit {
    target: Arc<str>,
    state: State,
    /// Of the tickets whose outcome counts: it grows with each change of state and each probe.
    serial: u64,
    usual: Usual,
    chance: SmallRng,
    pub(super) counts: Counts,
}

enum State {
    Closed(Closed),
    Open(Open),
    HalfOpen(HalfOpen),
}

/// Everything is let through, and watched.
struct Closed {
    window: Window,
    /// Without a success between them, in units of one refusal.
    bad_in_a_row: u32,
}

/// Nothing is let through until it is time for a probe.
struct Open {
    cause: Error,
    interval: Duration,
    until: Instant,
}

/// Probes are let through, one at a time.
struct HalfOpen {
    cause: Error,
    interval: Duration,
    /// When the one under way began.
    probe: Option<Instant>,
    succeeded: u32,
}

/// What the answer to a request says of the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Works,
    /// The error is the caller's.
    Nothing,
    TooMany,
    Slow,
    Fails,
    KeyRefused,
}

impl Circuit {
    pub(super) fn new(target: Arc<str>) -> Self {
        Self {
            target,
            state: State::Closed(Closed::new()),
            serial: 0,
            usual: Usual::unknown(),
            chance: SmallRng::from_os_rng(),
            counts: Counts::default(),
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed(_) => BreakerState::Closed,
            State::Open(_) => BreakerState::Open,
            State::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }

    /// Gives the ticket's serial.
    pub(super) fn allow(&mut self, now: Instant) -> Result<u64> {
        if let State::Open(open) = &self.state
            && now >= open.until
        {
            self.change(State::HalfOpen(HalfOpen::after(open)));
        }
        let (cause, wait) = match &mut self.state {
            State::Closed(_) => return Ok(self.serial),
            State::HalfOpen(half_open) => {
                if half_open.begin_probe(now) {
                    self.serial += 1;
                    return Ok(self.serial);
                }
                (&half_open.cause, None)
            }
            State::Open(open) => (&open.cause, Some(open.until - now)),
        };
        self.counts.rejected += 1;
        Err(rejection(&self.target, cause, wait))
    }

    pub(super) fn is_current(&self, serial: u64) -> bool {
        self.serial == serial
    }

    /// What the request of this serial came to. Those let through in an earlier state no longer count.
    pub(super) fn report(&mut self, serial: u64, answer: Result<(), &Error>, now: Instant) {
        if !self.is_current(serial) {
            return;
        }
        let says = answer.map_or_else(Says::of, |()| Says::Works);
        self.counts.slow += u64::from(says == Says::Slow);
        self.counts.failed += u64::from(matches!(says, Says::Fails | Says::KeyRefused));
        let interval = match &mut self.state {
            State::Closed(closed) => {
                closed.hear(says, &mut self.usual, now);
                closed.is_broken(says, &self.usual).then_some(FIRST_INTERVAL)
            }
            State::HalfOpen(half_open) => {
                half_open.hear(says);
                let closes = half_open.succeeded == PROBES;
                let interval = half_open.next_interval(says);
                if closes {
                    self.change(State::Closed(Closed::new()));
                }
                interval
            }
            State::Open(_) => None,
        };
        if let (Some(interval), Err(error)) = (interval, answer) {
            self.open(error.clone(), if says == Says::KeyRefused { KEY_INTERVAL } else { interval }, now);
        }
    }

    /// The request of this serial ended without saying anything.
    pub(super) fn cancel(&mut self, serial: u64) {
        if self.is_current(serial)
            && let State::HalfOpen(half_open) = &mut self.state
        {
            half_open.hear(Says::Nothing);
        }
    }

    fn open(&mut self, cause: Error, interval: Duration, now: Instant) {
        let wait = interval.mul_f64(1.0 - self.chance.random_range(0.0..JITTER));
        if let State::Closed(closed) = &mut self.state {
            closed.window.end(&mut self.usual);
            self.counts.opened += 1;
        }
        self.change(State::Open(Open { cause, interval, until: now + wait }));
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.serial += 1;
    }
}

impl Closed {
    fn new() -> Self {
        Self { window: Window::new(), bad_in_a_row: 0 }
    }

    fn hear(&mut self, says: Says, usual: &mut Usual, now: Instant) {
        match says {
            Says::Nothing => {}
            Says::TooMany => self.bad_in_a_row += 1,
            Says::Works => {
                self.bad_in_a_row = 0;
                self.window.push(false, usual, now);
            }
            Says::Slow | Says::Fails | Says::KeyRefused => {
                self.bad_in_a_row += REFUSALS_A_FAILURE;
                self.window.push(true, usual, now);
            }
        }
    }

    fn is_broken(&self, latest: Says, usual: &Usual) -> bool {
        match latest {
            Says::Works | Says::Nothing => false,
            Says::KeyRefused => true,
            Says::TooMany | Says::Slow | Says::Fails => {
                self.bad_in_a_row >= FAILURES_IN_A_ROW * REFUSALS_A_FAILURE
                    || self.window.is_worse_than(usual)
            }
        }
    }
}

impl HalfOpen {
    fn after(open: &Open) -> Self {
        Self { cause: open.cause.clone(), interval: open.interval, probe: None, succeeded: 0 }
    }

    /// Whether a probe may go now.
    fn begin_probe(&mut self, now: Instant) -> bool {
        let free = self.probe.is_none_or(|since| now.saturating_duration_since(since) >= PROBE_FOR);
        if free {
            self.probe = Some(now);
        }
        free
    }

    fn hear(&mut self, says: Says) {
        self.probe = None;
        self.succeeded += u32::from(says == Says::Works);
    }

    /// How long to leave the engine alone if that was no success.
    fn next_interval(&self, latest: Says) -> Option<Duration> {
        let failed = !matches!(latest, Says::Works | Says::Nothing);
        failed.then(|| (self.interval * 2).min(MAX_INTERVAL))
    }
}

impl Says {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Invalid | ErrorKind::NotFound => Self::Nothing,
            ErrorKind::Unauthorized => Self::KeyRefused,
            ErrorKind::RateLimited => Self::TooMany,
            ErrorKind::Timeout => Self::Slow,
            ErrorKind::Unavailable | ErrorKind::Protocol | ErrorKind::Internal => Self::Fails,
        }
    }
}

fn rejection(target: &str, cause: &Error, wait: Option<Duration>) -> Error {
    let kind = match cause.kind() {
        ErrorKind::Unauthorized => ErrorKind::Unauthorized,
        _ => ErrorKind::Unavailable,
    };
    let when = match wait {
        Some(wait) => format!("is asked again in {:.1} s", wait.as_secs_f64()),
        None => "is just being tried again".to_owned(),
    };
    let error =
        Error::new(kind, format!("{target} does not work at present and {when}; its last error: {cause}"));
    match wait {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}
