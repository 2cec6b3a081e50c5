//! What prefetching may cost in a minute.

use std::time::Duration;

use tokio::time::Instant;

/// What all calls together may spend on prefetching. The count bounds the money: each prefetch asks the model for one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefetchBudget {
    /// Prefetches begun in a minute.
    pub prefetches: u32,
    /// How long engines may work on them in a minute.
    pub engine_time: Duration,
}

impl Default for PrefetchBudget {
    /// A third of one engine's time, and about as many short replies as fit into it.
    fn default() -> Self {
        Self { prefetches: 20, engine_time: Duration::from_secs(20) }
    }
}

/// A token bucket for each bound: it holds a minute's worth and fills evenly.
#[derive(Debug)]
pub(super) struct Budget {
    per_minute: PrefetchBudget,
    prefetches: f64,
    /// Seconds left; below zero if a prefetch took longer than was left.
    engine_time: f64,
    at: Instant,
}

impl Budget {
    pub(super) fn new(per_minute: PrefetchBudget, now: Instant) -> Self {
        Self {
            per_minute,
            prefetches: f64::from(per_minute.prefetches),
            engine_time: per_minute.engine_time.as_secs_f64(),
            at: now,
        }
    }

    /// Takes one prefetch out of the budget, if both bounds allow it.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let left = self.prefetches >= 1.0 && self.engine_time > 0.0;
        if left {
            self.prefetches -= 1.0;
        }
        left
    }

    /// Returns one prefetch that cost nothing: its answer was in a cache already.
    pub(super) fn give_back(&mut self) {
        self.prefetches += 1.0;
    }

    /// Engines worked on a prefetch for this long.
    pub(super) fn spent(&mut self, took: Duration) {
        self.engine_time -= took.as_secs_f64();
    }

    fn fill(&mut self, now: Instant) {
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / 60.0;
        let PrefetchBudget { prefetches, engine_time } = self.per_minute;
        let (prefetches, engine_time) = (f64::from(prefetches), engine_time.as_secs_f64());
        self.prefetches = (self.prefetches + minutes * prefetches).min(prefetches);
        self.engine_time = (self.engine_time + minutes * engine_time).min(engine_time);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn taken(budget: &mut Budget, now: Instant) -> usize {
        std::iter::repeat_with(|| budget.take(now)).take_while(|taken| *taken).count()
    }

    #[test]
    fn so_many_prefetches_begin_in_a_minute() {
        let mut now = Instant::now();
        let mut budget = Budget::new(PrefetchBudget { prefetches: 6, engine_time: SECOND }, now);
        assert_eq!(taken(&mut budget, now), 6);
        budget.give_back();
        assert_eq!(taken(&mut budget, now), 1);
        now += SECOND * 10;
        assert_eq!(taken(&mut budget, now), 1);
        now += SECOND * 3_600;
        assert_eq!(taken(&mut budget, now), 6, "what is not used in a minute is lost");
    }

    #[test]
    fn engines_are_at_it_for_so_long_in_a_minute() {
        let mut now = Instant::now();
        let mut budget = Budget::new(PrefetchBudget { prefetches: 100, engine_time: SECOND * 6 }, now);
        assert!(budget.take(now));
        budget.spent(SECOND * 9);
        assert!(!budget.take(now));
        now += SECOND * 29;
        assert!(!budget.take(now), "3 s too much take half a minute to make up for");
        now += SECOND * 2;
        assert!(budget.take(now));
    }
}
