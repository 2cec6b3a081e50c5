//! The latest outcomes of requests, and whether they are worse than usual for the engine.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many outcomes are considered: enough to tell one failure in ten from chance, few enough to forget an outage soon.
const OUTCOMES: usize = 50;
/// Outcomes older than this are not considered.
const SPAN: Duration = Duration::from_secs(30);
/// With fewer outcomes their share of failures proves nothing.
const MIN_OUTCOMES: usize = 10;
/// With a smaller share of failures the engine is of more use than none.
const MIN_SHARE: f64 = 0.1;
/// An engine that fails every other request is of no use, whatever it is used to.
const MAX_SHARE: f64 = 0.5;
/// The probability with which chance alone may open the breaker: at ten requests a second, less than once a day.
const CHANCE: f64 = 1e-6;
/// Outcomes over which the usual share of failures is averaged: an outage that opens the breaker with five failures
/// moves it by half a percent.
const MEMORY: f64 = 1_000.0;
/// Assumed failure rate of an engine without history.
const FIRST_GUESS: f64 = 0.01;
/// Bounds on the usual failure rate: no engine is perfect, and what fails more often is not working as usual.
const USUAL: (f64, f64) = (0.001, 0.2);

/// The outcomes of the last [`SPAN`].
pub(super) struct Window {
    /// When each request ended, and whether it failed.
    outcomes: VecDeque<(Instant, bool)>,
    failed: usize,
}

/// The share of requests that fail in the long run.
pub(super) struct Usual(f64);

impl Window {
    pub(super) fn new() -> Self {
        Self { outcomes: VecDeque::with_capacity(OUTCOMES), failed: 0 }
    }

    /// Adds an outcome. Outcomes that leave the window for it go into the usual failure rate.
    pub(super) fn push(&mut self, failed: bool, usual: &mut Usual, now: Instant) {
        let outdated = |(at, _): &(Instant, _)| now.saturating_duration_since(*at) > SPAN;
        while self.outcomes.len() == OUTCOMES || self.outcomes.front().is_some_and(outdated) {
            let gone = self.outcomes.pop_front().is_some_and(|(_, failed)| failed);
            self.failed -= usize::from(gone);
            usual.learn(gone);
        }
        self.outcomes.push_back((now, failed));
        self.failed += usize::from(failed);
    }

    /// Empties the window; all outcomes go into the usual failure rate.
    pub(super) fn end(&mut self, usual: &mut Usual) {
        self.outcomes.drain(..).for_each(|(_, failed)| usual.learn(failed));
        self.failed = 0;
    }

    /// Whether there are more failures than chance would produce at the usual rate.
    ///
    /// Chernoff (1952), Hoeffding (1963): of `n` requests that fail with probability `p` each, a share of `q > p` or
    /// more fails with a probability of at most exp(-n D(q, p)), where D(q, p) = q ln(q/p) + (1-q) ln((1-q)/(1-p)).
    /// When that is below [`CHANCE`], `p` is not what the engine does now. Unlike a normal approximation this holds
    /// for few requests and small `p`. It opens at 4 failures of 20 for `p` = 0.1 %, at 10 of 20 for `p` = 5 %.
    pub(super) fn is_worse_than(&self, usual: &Usual) -> bool {
        let n = self.outcomes.len() as f64;
        let (q, p) = (self.failed as f64 / n, usual.share());
        if self.outcomes.len() < MIN_OUTCOMES || q < MIN_SHARE || q <= p {
            return false;
        }
        q >= MAX_SHARE || n * (q * (q / p).ln() + (1.0 - q) * ((1.0 - q) / (1.0 - p)).ln()) > -CHANCE.ln()
    }
}

impl Usual {
    pub(super) fn unknown() -> Self {
        Self(FIRST_GUESS)
    }

    fn learn(&mut self, failed: bool) {
        self.0 += (f64::from(u8::from(failed)) - self.0) / MEMORY;
    }

    fn share(&self) -> f64 {
        self.0.clamp(USUAL.0, USUAL.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least number of failures among `n` outcomes that is worse than `usual`.
    fn opens_at(n: usize, usual: f64) -> Option<usize> {
        let now = Instant::now();
        (0..=n).find(|&failures| {
            let mut window = Window::new();
            (0..n).for_each(|i| window.push(i < failures, &mut Usual(usual), now));
            window.is_worse_than(&Usual(usual))
        })
    }

    #[test]
    fn the_better_the_record_the_earlier_it_is_worse() {
        assert_eq!(opens_at(20, 0.001), Some(4));
        assert_eq!(opens_at(20, 0.05), Some(10));
        assert_eq!(opens_at(50, 0.001), Some(5), "the least share");
        assert_eq!(opens_at(50, 0.05), Some(14));
        assert_eq!(opens_at(50, 0.9), Some(25), "the largest share");
        assert_eq!(opens_at(9, 0.001), None, "too few");
    }

    #[test]
    fn what_is_old_or_too_many_ago_becomes_usual() {
        let (mut window, mut usual, now) = (Window::new(), Usual::unknown(), Instant::now());
        (0..20).for_each(|_| window.push(true, &mut usual, now));
        assert!(window.is_worse_than(&usual));
        assert_eq!(usual.share(), FIRST_GUESS, "an outage does not hide itself");
        window.push(false, &mut usual, now + SPAN * 2);
        assert_eq!((window.outcomes.len(), window.failed), (1, 0));
        (0..20).for_each(|_| window.push(true, &mut usual, now + SPAN * 2));
        (0..OUTCOMES).for_each(|_| window.push(false, &mut usual, now + SPAN * 2));
        assert_eq!((window.outcomes.len(), window.failed), (OUTCOMES, 0));
    }

    #[test]
    fn the_usual_share_is_learnt() {
        let mut usual = Usual::unknown();
        (0..10_000).for_each(|n| usual.learn(n % 20 == 0));
        assert!((usual.share() - 0.05).abs() < 0.01, "{}", usual.share());
        (0..10_000).for_each(|_| usual.learn(false));
        assert_eq!(usual.share(), USUAL.0);
    }
}
