use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

/// An engine that works on `capacity` requests at a time; more than that make all slower.
struct Engine {
    capacity: f64,
    latency: Duration,
    noise: SmallRng,
    now: Instant,
    /// Requests in flight: when each ends, when it began, and how many were in flight then.
    running: BinaryHeap<Reverse<(Instant, Instant, usize)>>,
}

impl Engine {
    fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity as f64,
            latency: Duration::from_millis(300),
            noise: SmallRng::seed_from_u64(1),
            now: Instant::now(),
            running: BinaryHeap::new(),
        }
    }

    /// Answers this many `requests`, while as many are in flight as the limit allows, but at most `wanted`.
    fn serve(&mut self, limit: &mut Limit, requests: usize, wanted: usize) {
        for _ in 0..requests {
            while self.running.len() < limit.now().min(wanted) {
                let in_flight = self.running.len() + 1;
                let slower = (in_flight as f64 / self.capacity).max(1.0) * self.noise.random_range(0.8..1.2);
                limit.sent();
                self.running.push(Reverse((self.now + self.latency.mul_f64(slower), self.now, in_flight)));
            }
            if let Some(Reverse((ended, began, in_flight))) = self.running.pop() {
                self.now = ended;
                limit.answered(Sample { began, latency: ended - began, in_flight });
            }
        }
    }
}

fn assert_near(limit: &Limit, capacity: usize) {
    let range = capacity..=capacity * 8 / 5 + 1;
    assert!(range.contains(&limit.now()), "{} for a capacity of {capacity}", limit.now());
}

#[test]
fn it_converges_near_the_engines_capacity_and_follows_it() {
    for capacity in [4, 20, 100] {
        let (mut limit, mut engine) = (Limit::new(LimitBounds::default()), Engine::new(capacity));
        engine.serve(&mut limit, 100, 1);
        engine.serve(&mut limit, 20_000, usize::MAX);
        assert_near(&limit, capacity);
        engine.capacity = (capacity * 2) as f64;
        engine.serve(&mut limit, 20_000, usize::MAX);
        assert_near(&limit, capacity * 2);
        engine.capacity = capacity as f64;
        engine.serve(&mut limit, 20_000, usize::MAX);
        assert_near(&limit, capacity);
    }
}

#[test]
fn a_lasting_overload_does_not_become_normal() {
    let (mut limit, mut engine) = (Limit::new(LimitBounds::default()), Engine::new(20));
    engine.serve(&mut limit, 200_000, usize::MAX);
    assert_near(&limit, 20);
}

#[test]
fn an_engine_that_became_slower_for_good_gets_its_limit_back() {
    let (mut limit, mut engine) = (Limit::new(LimitBounds::default()), Engine::new(20));
    engine.serve(&mut limit, 5_000, usize::MAX);
    engine.latency *= 3;
    engine.serve(&mut limit, 200, usize::MAX);
    assert!(limit.now() < 20, "{}", limit.now());
    engine.serve(&mut limit, 20_000, usize::MAX);
    assert_near(&limit, 20);
    engine.latency /= 3;
    engine.serve(&mut limit, 20_000, usize::MAX);
    // While there is always a queue, the latency without one can only be estimated.
    assert!((20..=40).contains(&limit.now()), "{}", limit.now());
    engine.running.clear();
    engine.serve(&mut limit, 100, 1);
    engine.serve(&mut limit, 20_000, usize::MAX);
    assert_near(&limit, 20);
}

#[test]
fn what_is_not_used_neither_grows_nor_shrinks() {
    let (mut limit, mut engine) = (Limit::new(LimitBounds::default()), Engine::new(20));
    engine.serve(&mut limit, 20_000, usize::MAX);
    let full = limit.now();
    engine.running.clear();
    engine.latency *= 2;
    engine.serve(&mut limit, 1_000, 3);
    assert_eq!(limit.now(), full, "hardly used");
    let (mut limit, mut engine) = (Limit::new(LimitBounds::default()), Engine::new(20));
    engine.serve(&mut limit, 1_000, 4);
    assert_eq!(limit.now(), 8, "half used");
}

#[test]
fn failures_of_overload_shrink_it_once_for_requests_sent_together() {
    let (mut limit, now) = (Limit::new(LimitBounds { min: 10, max: 100 }), Instant::now());
    assert_eq!(limit.now(), 10, "no less than the least");
    limit.value = 100.0;
    let refused = Error::new(ErrorKind::RateLimited, "slow down");
    (0..50).for_each(|_| limit.failed(&refused, now, now + Duration::from_secs(1)));
    assert_eq!(limit.now(), 70);
    (0..50).for_each(|_| limit.failed(&Error::invalid("no"), now, now));
    assert_eq!(limit.now(), 70, "the caller's fault");
    for s in 2..60 {
        limit.failed(&refused, now + Duration::from_secs(s), now + Duration::from_secs(s));
    }
    assert_eq!((limit.now(), limit.closed_until(1.0, now)), (10, None));
}

#[test]
fn it_waits_as_long_as_it_is_asked_to_but_not_for_ever() {
    let (mut limit, now) = (Limit::new(LimitBounds::default()), Instant::now());
    let wait = |s| Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::from_secs(s));
    limit.failed(&wait(7), now, now);
    assert_eq!(limit.closed_until(1.0, now), Some(now + Duration::from_secs(7)));
    assert_eq!(limit.closed_until(1.0, now + Duration::from_secs(7)), None);
    limit.failed(&wait(1_000_000), now, now);
    assert_eq!(limit.closed_until(1.0, now), Some(now + MAX_PAUSE));
}

#[test]
fn what_the_engine_will_still_take_is_kept_for_the_urgent() {
    let (mut limit, now) = (Limit::new(LimitBounds::default()), Instant::now());
    let reset = Duration::from_secs(20);
    limit.told(RateLimit { remaining: 60, reset, limit: Some(100) }, now);
    (0..9).for_each(|_| limit.sent());
    assert_eq!(limit.closed_until(0.5, now), None);
    limit.sent();
    assert_eq!(limit.closed_until(0.5, now), Some(now + reset), "half is left");
    assert_eq!(limit.closed_until(1.0, now), None);
    (0..60).for_each(|_| limit.sent());
    assert_eq!(limit.closed_until(1.0, now), Some(now + reset), "nothing is left");
    assert_eq!(limit.closed_until(0.5, now + reset), None);
}
