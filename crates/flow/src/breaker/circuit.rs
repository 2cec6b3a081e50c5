//! The state machine of a breaker. Time is an argument, so that tests need no clock.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{Error, ErrorKind, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::window::{Usual, Window};
use super::{BreakerState, Counts};

/// This many failures in a row open the breaker, however few outcomes there are: even with an engine that fails one request in
/// twenty, chance produces them once in three million.
const FAILURES_IN_A_ROW: u32 = 5;
/// This many refusals for too many requests in a row count as one failure in a row, and they are not part of the failure rate:
/// the concurrency limit reacts to them, and the breaker only if that does not help.
const REFUSALS_A_FAILURE: u32 = 4;
/// From opening to the first probe: a restarted server is back in seconds, and somebody may be waiting.
const FIRST_INTERVAL: Duration = Duration::from_secs(2);
/// Each failed probe doubles the interval up to this, which bounds how late a recovery is noticed.
const MAX_INTERVAL: Duration = Duration::from_mins(1);
/// The interval after a refused key. That does not recover by itself, so the engine is asked only to notice a corrected key.
const KEY_INTERVAL: Duration = Duration::from_mins(1);
/// Intervals are shortened at random by up to this share, so that servers that saw the same outage do not all probe at once.
const JITTER: f64 = 0.2;
/// How many probes must succeed before the breaker closes: one may be luck.
const PROBES: u32 = 2;
/// After this time another probe may begin although the last one has not ended: a person may speak for minutes.
const PROBE_FOR: Duration = Duration::from_secs(10);

pub(super) struct Circuit {
    target: Arc<str>,
    state: CircuitState,
    /// The serial of the tickets whose outcome counts. It rises with each change of state and each probe.
    serial: u64,
    usual: Usual,
    chance: SmallRng,
    pub(super) counts: Counts,
}

enum CircuitState {
    Closed(Closed),
    Open(Open),
    HalfOpen(HalfOpen),
}

/// All requests are let through, and their outcomes are watched.
struct Closed {
    window: Window,
    /// Failures and refusals without a success between them, in units of one refusal.
    bad_in_a_row: u32,
}

/// No request is let through until it is time for a probe.
struct Open {
    cause: Error,
    interval: Duration,
    until: Instant,
}

/// Probes are let through, one at a time.
struct HalfOpen {
    cause: Error,
    interval: Duration,
    /// When the probe under way began.
    probe: Option<Instant>,
    succeeded: u32,
}

/// What the outcome of a request says about the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Works,
    /// Nothing: the error is the caller's.
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
            state: CircuitState::Closed(Closed::new()),
            serial: 0,
            usual: Usual::unknown(),
            chance: SmallRng::from_os_rng(),
            counts: Counts::default(),
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            CircuitState::Closed(_) => BreakerState::Closed,
            CircuitState::Open(_) => BreakerState::Open,
            CircuitState::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }

    /// Lets a request through; gives its ticket's serial.
    pub(super) fn allow(&mut self, now: Instant) -> Result<u64> {
        if let CircuitState::Open(open) = &self.state
            && now >= open.until
        {
            self.change(CircuitState::HalfOpen(HalfOpen::after(open)));
        }
        let (cause, wait) = match &mut self.state {
            CircuitState::Closed(_) => return Ok(self.serial),
            CircuitState::HalfOpen(half_open) => {
                if half_open.begin_probe(now) {
                    self.serial += 1;
                    return Ok(self.serial);
                }
                (&half_open.cause, None)
            }
            CircuitState::Open(open) => (&open.cause, Some(open.until - now)),
        };
        self.counts.rejected += 1;
        Err(rejection(&self.target, cause, wait))
    }

    pub(super) fn is_current(&self, serial: u64) -> bool {
        self.serial == serial
    }

    /// Takes the outcome of the request with this serial. Requests let through in an earlier state no longer count.
    pub(super) fn report(&mut self, serial: u64, answer: Result<(), &Error>, now: Instant) {
        if !self.is_current(serial) {
            return;
        }
        let verdict = answer.map_or_else(Verdict::of, |()| Verdict::Works);
        self.counts.slow += u64::from(verdict == Verdict::Slow);
        self.counts.failed += u64::from(matches!(verdict, Verdict::Fails | Verdict::KeyRefused));
        let interval = match &mut self.state {
            CircuitState::Closed(closed) => {
                closed.hear(verdict, &mut self.usual, now);
                closed.is_broken(verdict, &self.usual).then_some(FIRST_INTERVAL)
            }
            CircuitState::HalfOpen(half_open) => {
                half_open.hear(verdict);
                let closes = half_open.succeeded == PROBES;
                let interval = half_open.next_interval(verdict);
                if closes {
                    self.change(CircuitState::Closed(Closed::new()));
                }
                interval
            }
            CircuitState::Open(_) => None,
        };
        if let (Some(interval), Err(error)) = (interval, answer) {
            self.open(
                error.clone(),
                if verdict == Verdict::KeyRefused { KEY_INTERVAL } else { interval },
                now,
            );
        }
    }

    /// The request with this serial was cancelled, which says nothing about the engine.
    pub(super) fn cancel(&mut self, serial: u64) {
        if self.is_current(serial)
            && let CircuitState::HalfOpen(half_open) = &mut self.state
        {
            half_open.hear(Verdict::Nothing);
        }
    }

    fn open(&mut self, cause: Error, interval: Duration, now: Instant) {
        let wait = interval.mul_f64(1.0 - self.chance.random_range(0.0..JITTER));
        if let CircuitState::Closed(closed) = &mut self.state {
            closed.window.end(&mut self.usual);
            self.counts.opened += 1;
        }
        self.change(CircuitState::Open(Open { cause, interval, until: now + wait }));
    }

    fn change(&mut self, state: CircuitState) {
        self.state = state;
        self.serial += 1;
    }
}

impl Closed {
    fn new() -> Self {
        Self { window: Window::new(), bad_in_a_row: 0 }
    }

    fn hear(&mut self, verdict: Verdict, usual: &mut Usual, now: Instant) {
        match verdict {
            Verdict::Nothing => {}
            Verdict::TooMany => self.bad_in_a_row += 1,
            Verdict::Works => {
                self.bad_in_a_row = 0;
                self.window.push(false, usual, now);
            }
            Verdict::Slow | Verdict::Fails | Verdict::KeyRefused => {
                self.bad_in_a_row += REFUSALS_A_FAILURE;
                self.window.push(true, usual, now);
            }
        }
    }

    fn is_broken(&self, latest: Verdict, usual: &Usual) -> bool {
        match latest {
            Verdict::Works | Verdict::Nothing => false,
            Verdict::KeyRefused => true,
            Verdict::TooMany | Verdict::Slow | Verdict::Fails => {
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

    /// Begins a probe; false if one is under way.
    fn begin_probe(&mut self, now: Instant) -> bool {
        let free = self.probe.is_none_or(|since| now.saturating_duration_since(since) >= PROBE_FOR);
        if free {
            self.probe = Some(now);
        }
        free
    }

    fn hear(&mut self, verdict: Verdict) {
        self.probe = None;
        self.succeeded += u32::from(verdict == Verdict::Works);
    }

    /// How long to wait before the next probe, if the latest one failed.
    fn next_interval(&self, latest: Verdict) -> Option<Duration> {
        let failed = !matches!(latest, Verdict::Works | Verdict::Nothing);
        failed.then(|| (self.interval * 2).min(MAX_INTERVAL))
    }
}

impl Verdict {
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
