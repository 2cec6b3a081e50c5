//! How many threads the pool has. It reads no clock and starts no thread: time is an argument.

use std::time::Duration;

/// Work that waits longer than one audio frame (20 ms) while all threads are busy gets another thread. The same time must pass
/// before the next one is added, to see what the last one changed.
pub(super) const GROW_AFTER: Duration = Duration::from_millis(20);
/// A thread that was not needed for this long ends. Starting one costs some 50 µs, so this only has to be long against the
/// pauses between turns.
pub(super) const SHRINK_AFTER: Duration = Duration::from_secs(30);

/// The least and the most threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Threads kept even when there is nothing to do; at least 1.
    pub min: usize,
    /// The most threads; at least `min`.
    pub max: usize,
}

/// Decides when a thread is added or taken away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizing {
    bounds: Bounds,
    /// When the last thread was added.
    grown: Option<Duration>,
    /// When all threads were last needed, or one was taken away.
    needed: Duration,
}

impl Sizing {
    pub(super) fn new(bounds: Bounds) -> Self {
        let min = bounds.min.max(1);
        let bounds = Bounds { min, max: bounds.max.max(min) };
        Self { bounds, grown: None, needed: Duration::ZERO }
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// A thread begins or ends its work while `busy` of `threads` are at work, itself included.
    pub(super) fn works(&mut self, now: Duration, busy: usize, threads: usize) {
        if busy >= threads {
            self.needed = now;
        }
    }

    /// Whether a thread is to be added, since some work has `waited`.
    pub(super) fn grows(&mut self, now: Duration, busy: usize, threads: usize, waited: Duration) -> bool {
        let settled = self.grown.is_none_or(|grown| now.saturating_sub(grown) >= GROW_AFTER);
        let grows = busy >= threads && threads < self.bounds.max && waited >= GROW_AFTER && settled;
        if grows {
            (self.grown, self.needed) = (Some(now), now);
        }
        grows
    }

    /// Whether a thread without work is to end.
    pub(super) fn shrinks(&mut self, now: Duration, threads: usize) -> bool {
        let shrinks = threads > self.bounds.min && now.saturating_sub(self.needed) >= SHRINK_AFTER;
        if shrinks {
            self.needed = now;
        }
        shrinks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sizing() -> Sizing {
        Sizing::new(Bounds { min: 1, max: 3 })
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_thread_is_added_when_work_waits_and_all_are_busy() {
        let mut sizing = sizing();
        assert!(!sizing.grows(Duration::ZERO, 1, 1, GROW_AFTER / 2), "may still be taken");
        assert!(!sizing.grows(GROW_AFTER, 1, 2, GROW_AFTER), "one is free and about to take it");
        assert!(sizing.grows(GROW_AFTER, 1, 1, GROW_AFTER));
        assert!(!sizing.grows(GROW_AFTER + MS, 2, 2, GROW_AFTER), "one at a time");
        assert!(sizing.grows(GROW_AFTER * 2, 2, 2, GROW_AFTER));
        assert!(!sizing.grows(GROW_AFTER * 9, 3, 3, GROW_AFTER), "the most");
    }

    #[test]
    fn threads_end_one_by_one_when_not_all_are_needed() {
        let mut sizing = sizing();
        let start = Duration::from_secs(5);
        sizing.works(start, 3, 3);
        sizing.works(start + SHRINK_AFTER / 2, 2, 3);
        assert!(!sizing.shrinks(start + SHRINK_AFTER * 3 / 4, 3));
        assert!(sizing.shrinks(start + SHRINK_AFTER, 3));
        assert!(!sizing.shrinks(start + SHRINK_AFTER + MS, 2), "one at a time");
        assert!(sizing.shrinks(start + SHRINK_AFTER * 2, 2));
        assert!(!sizing.shrinks(start + SHRINK_AFTER * 9, 1), "the least");
    }

    #[test]
    fn bounds_that_make_no_sense_are_mended() {
        assert_eq!(Sizing::new(Bounds { min: 0, max: 0 }).bounds(), Bounds { min: 1, max: 1 });
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_nothing_flaps(
            steps in prop::collection::vec((0_u64..40_000, 0_usize..8, 0_u64..100), 0..200),
        ) {
            let (mut sizing, mut threads, mut now) = (sizing(), 1, Duration::ZERO);
            let (mut grown, mut changed) = (None::<Duration>, None::<Duration>);
            for (pause, busy, waited) in steps {
                now += Duration::from_millis(pause);
                let busy = busy.min(threads);
                sizing.works(now, busy, threads);
                let passed = |then: Option<Duration>, span| then.is_none_or(|then| then + span <= now);
                if sizing.grows(now, busy, threads, Duration::from_millis(waited)) {
                    threads += 1;
                    prop_assert!(passed(grown, GROW_AFTER));
                    (grown, changed) = (Some(now), Some(now));
                } else if sizing.shrinks(now, threads) {
                    threads -= 1;
                    prop_assert!(passed(changed, SHRINK_AFTER));
                    changed = Some(now);
                }
                prop_assert!((1..=3).contains(&threads));
            }
        }
    }
}
