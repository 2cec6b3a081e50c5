//! How large a batch may be under load.
//!
//! As Clipper does (Crankshaw et al. 2017, "Clipper: A Low-Latency Online Prediction Serving System", section 4.3.1): the
//! size rises by one with each full batch and falls by a tenth when one takes too long. It also falls when a smaller size
//! is known to get more items through. Unlike there it begins at the top:
//! an engine is batched because it is known to pay.

use std::time::Duration;

use super::MAX_BATCH;

/// The smallest size under load.
const MIN: f64 = 2.0;
/// The factor by which a size falls. It is close to 1, as Clipper's, because the best size hardly moves.
const BACK_OFF: f64 = 0.9;
/// The weight of a new batch in the running mean of its size, which so follows about three batches.
const WEIGHT: f64 = 0.3;
/// A smaller size counts as better only if it gets this much more through: the times of HTTP calls vary by as much.
const MARGIN: f64 = 0.2;

pub(super) struct Size {
    /// Items a second, by batch size; 0 where it is not known.
    rates: [f64; MAX_BATCH + 1],
    now: f64,
}

impl Default for Size {
    fn default() -> Self {
        Self { rates: [0.0; MAX_BATCH + 1], now: MAX_BATCH as f64 }
    }
}

impl Size {
    /// Items in a batch under load, if no batch may have more than `max`.
    pub(super) fn most(&self, max: usize) -> usize {
        (self.now as usize).min(max).max(1)
    }

    /// A batch of `items` took `span`; it may take `goal` longer than one item alone.
    pub(super) fn ran(&mut self, items: usize, span: Duration, goal: Duration) {
        let items = items.min(MAX_BATCH);
        let rate = items as f64 / span.max(Duration::from_micros(1)).as_secs_f64();
        let mean = &mut self.rates[items];
        *mean = if *mean == 0.0 { rate } else { *mean + (rate - *mean) * WEIGHT };
        if (items as f64) < MIN {
            return;
        }
        let alone = if self.rates[1] == 0.0 { 0.0 } else { self.rates[1].recip() };
        let full = items >= self.now as usize;
        if span.as_secs_f64() > goal.as_secs_f64() + alone || full && self.beaten(items) {
            self.now = (self.now.min(items as f64) * BACK_OFF).max(MIN);
        } else if full {
            self.now = (self.now + 1.0).min(MAX_BATCH as f64);
        }
    }

    fn beaten(&self, items: usize) -> bool {
        self.rates[..items].iter().any(|rate| rate * (1.0 - MARGIN) > self.rates[items])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL: Duration = Duration::from_millis(100);

    /// Runs full batches on an engine that takes `span(items)`, and returns the size in the end.
    fn settled(size: &mut Size, runs: usize, span: impl Fn(usize) -> Duration) -> usize {
        for _ in 0..runs {
            let items = size.most(MAX_BATCH);
            size.ran(items, span(items), GOAL);
        }
        size.most(MAX_BATCH)
    }

    fn linear(fixed_ms: u64, each_ms: u64) -> impl Fn(usize) -> Duration {
        move |items| Duration::from_millis(fixed_ms + each_ms * items as u64)
    }

    #[test]
    fn it_stays_at_the_top_while_batches_keep_the_goal() {
        assert_eq!(settled(&mut Size::default(), 100, linear(20, 1)), MAX_BATCH);
    }

    #[test]
    fn it_falls_to_what_the_goal_allows_and_rises_when_the_engine_is_faster_again() {
        let mut size = Size::default();
        let slow = settled(&mut size, 200, linear(20, 8));
        assert!((8..=11).contains(&slow), "{slow}: 20 + 8 * 10 ms is the goal");
        assert_eq!(settled(&mut size, 200, linear(20, 1)), MAX_BATCH);
    }

    #[test]
    fn what_one_item_takes_alone_is_not_held_against_a_batch() {
        let mut size = Size::default();
        size.ran(1, linear(300, 1)(1), GOAL);
        assert_eq!(settled(&mut size, 100, linear(300, 1)), MAX_BATCH);
    }

    #[test]
    fn it_leaves_a_size_at_which_less_gets_through() {
        let mut size = Size::default();
        // Beyond 16 items the engine needs more memory than there is and becomes much slower, but still reaches the goal.
        let cliff = |items: usize| Duration::from_millis(if items > 16 { 90 } else { 2 + items as u64 });
        size.ran(16, cliff(16), GOAL);
        let found = settled(&mut size, 200, cliff);
        assert!((12..=18).contains(&found), "{found}");
    }

    #[test]
    fn a_limit_set_meanwhile_holds_at_once() {
        assert_eq!(Size::default().most(7), 7);
        assert_eq!(Size::default().most(1), 1);
    }
}
