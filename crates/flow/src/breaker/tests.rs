use std::time::Duration;

use antiphon_core::ErrorKind;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn breaker() -> Arc<Breaker> {
    Arc::new(Breaker::new("llm test".into()))
}

fn fail(breaker: &Arc<Breaker>, kind: ErrorKind, now: Instant) {
    breaker.allow(now).expect("lets through").failed(&Error::new(kind, "down"), now);
}

fn succeed(breaker: &Arc<Breaker>, now: Instant) {
    breaker.allow(now).expect("lets through").ok(now);
}

/// A breaker that has just opened.
fn opened(now: Instant) -> Arc<Breaker> {
    let breaker = breaker();
    (0..5).for_each(|_| fail(&breaker, ErrorKind::Unavailable, now));
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

#[test]
fn failures_in_a_row_open_it_and_probes_close_it() {
    let now = Instant::now();
    let breaker = opened(now);
    let error = breaker.allow(now + SECOND).err().expect("is open");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("llm test") && error.to_string().contains("down"), "{error}");
    assert!(error.retry_after().is_some_and(|wait| wait <= SECOND));
    let now = now + 2 * SECOND;
    let probe = breaker.allow(now).expect("a probe");
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert!(breaker.allow(now).is_err(), "one at a time");
    probe.ok(now);
    succeed(&breaker, now);
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.counts(), Counts { opened: 1, rejected: 2, failed: 5, slow: 0 });
}

#[test]
fn each_failed_probe_doubles_the_interval_up_to_a_minute() {
    let mut now = Instant::now();
    let breaker = opened(now);
    for longest in [2, 4, 8, 16, 32, 60, 60] {
        let wait = breaker.allow(now).err().and_then(|error| error.retry_after()).expect("says when");
        let longest = Duration::from_secs(longest);
        assert!(wait <= longest && wait >= longest.mul_f64(0.8), "{wait:?} of {longest:?}");
        now += wait;
        fail(&breaker, ErrorKind::Timeout, now);
    }
    assert_eq!(breaker.counts().opened, 1);
}

#[test]
fn a_share_of_failures_opens_it_the_sooner_the_better_its_record() {
    // How many failures open the breaker when an engine that used to fail one request in `one_in` begins to fail one in four.
    let failures_until_open = |one_in: u32| {
        let (breaker, mut now) = (breaker(), Instant::now());
        for n in 1..5_000 {
            now += SECOND;
            if n % one_in == 0 {
                fail(&breaker, ErrorKind::Internal, now);
            } else {
                succeed(&breaker, now);
            }
        }
        now += Duration::from_mins(1);
        (1..50).find(|_| {
            (0..3).for_each(|_| succeed(&breaker, now));
            fail(&breaker, ErrorKind::Internal, now);
            breaker.state() == BreakerState::Open
        })
    };
    assert_eq!(failures_until_open(5_000), Some(3));
    assert_eq!(failures_until_open(20), None);
}

#[test]
fn the_callers_faults_and_cancelled_requests_say_nothing() {
    let (breaker, now) = (breaker(), Instant::now());
    for _ in 0..100 {
        fail(&breaker, ErrorKind::Invalid, now);
        fail(&breaker, ErrorKind::NotFound, now);
        drop(breaker.allow(now));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.counts(), Counts::default());
}

#[test]
fn too_many_requests_open_it_only_if_nothing_else_comes() {
    let (breaker, now) = (breaker(), Instant::now());
    for n in 0..100 {
        if n % 10 == 0 { succeed(&breaker, now) } else { fail(&breaker, ErrorKind::RateLimited, now) }
    }
    let refused = (1..50).find(|_| {
        fail(&breaker, ErrorKind::RateLimited, now);
        breaker.state() == BreakerState::Open
    });
    assert_eq!(refused, Some(11), "after nine others");
}

#[test]
fn a_refused_key_opens_it_at_once_and_everybody_is_told() {
    let (breaker, mut now) = (breaker(), Instant::now());
    let mut probes = 0;
    for _ in 0..600 {
        match breaker.allow(now) {
            Ok(ticket) => {
                probes += 1;
                ticket.failed(&Error::new(ErrorKind::Unauthorized, "the key has expired"), now);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unauthorized);
                assert!(error.to_string().contains("the key has expired"), "{error}");
            }
        }
        now += SECOND;
    }
    assert!((10..=13).contains(&probes), "{probes} in ten minutes");
}

#[test]
fn a_probe_that_is_dropped_or_lasts_too_long_makes_room_for_the_next() {
    let now = Instant::now();
    let breaker = opened(now);
    let now = now + 2 * SECOND;
    drop(breaker.allow(now).expect("a probe"));
    let lasting = breaker.allow(now).expect("the next");
    assert!(breaker.allow(now + SECOND).is_err());
    let next = breaker.allow(now + 10 * SECOND).expect("it lasts too long");
    lasting.failed(&Error::unavailable("late"), now + 11 * SECOND);
    assert_eq!(breaker.state(), BreakerState::HalfOpen, "a late outcome does not count");
    next.failed(&Error::unavailable("down"), now + 11 * SECOND);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn outcomes_from_before_it_opened_do_not_count_and_their_tickets_are_renewed() {
    let now = Instant::now();
    let breaker = breaker();
    let (early, waiting) = (breaker.allow(now).expect("closed"), breaker.allow(now).expect("closed"));
    (0..5).for_each(|_| fail(&breaker, ErrorKind::Unavailable, now));
    assert!(waiting.renewed(now).is_err());
    let probe = breaker.allow(now + 2 * SECOND).expect("a probe");
    early.ok(now + 2 * SECOND);
    assert!(breaker.allow(now + 2 * SECOND).is_err(), "the probe is still under way");
    assert!(probe.renewed(now).is_ok(), "it is current");
}

#[test]
fn two_hundred_callers_and_a_dead_engine_make_only_probes() {
    let mut now = Instant::now();
    let breaker = opened(now);
    let mut asked = 0;
    // Each caller retries ten times a second for a minute.
    for _ in 0..600 {
        for _ in 0..200 {
            if let Ok(ticket) = breaker.allow(now) {
                asked += 1;
                ticket.failed(&Error::unavailable("down"), now);
            }
        }
        now += SECOND / 10;
    }
    assert!((4..=6).contains(&asked), "{asked}: after 2, 4, 8, 16, 32 s");
}

proptest! {
    /// Whatever happens, a working engine is found within the longest interval and the two probes.
    #[test]
    fn it_always_recovers(steps in prop::collection::vec((0_u64..40_000, 0_u8..8), 0..200)) {
        let (breaker, mut now) = (breaker(), Instant::now());
        let mut held = Vec::new();
        for (wait, what) in steps {
            now += Duration::from_millis(wait);
            let Ok(ticket) = breaker.allow(now) else { continue };
            match what {
                0 => ticket.ok(now),
                1 => held.push(ticket),
                2 => drop(held.pop()),
                3 => ticket.failed(&Error::new(ErrorKind::Unauthorized, "key"), now),
                4 => ticket.failed(&Error::new(ErrorKind::RateLimited, "busy"), now),
                _ => ticket.failed(&Error::unavailable("down"), now),
            }
        }
        now += Duration::from_mins(1);
        succeed(&breaker, now);
        if breaker.state() == BreakerState::HalfOpen {
            succeed(&breaker, now);
        }
        prop_assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
