//! Measuring: what the parts of the system time, count and let be tuned, so that every table, page and search shows
//! whatever is built, by itself.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A part of the system that can be looked at.
pub trait Component: Send + Sync {
    /// In tables and on pages: `vad`, `stt`, `pool`.
    fn name(&self) -> &'static str;

    /// What it times.
    fn stages(&self) -> Vec<&Stage> {
        Vec::new()
    }

    /// What it counts, now.
    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }

    /// What of it can be set.
    fn tunables(&self) -> Vec<Tunable> {
        Vec::new()
    }
}

/// A step that is timed.
#[derive(Debug)]
pub struct Stage {
    name: &'static str,
    spans: Histogram,
    errors: AtomicU64,
}

impl Stage {
    /// A step that has not happened yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, spans: Histogram::default(), errors: AtomicU64::new(0) }
    }

    /// Its name within its component.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// It took this long.
    pub fn record(&self, span: Duration) {
        self.spans.record(span);
    }

    /// It failed.
    pub fn fail(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it failed.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// How long it took, so far.
    pub fn spans(&self) -> &Histogram {
        &self.spans
    }
}

/// Something counted: it only grows, unless it is a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Its name within its component.
    pub name: Cow<'static, str>,
    /// Now.
    pub value: u64,
}

/// Something that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tunable {
    /// Its name within its component.
    pub name: Cow<'static, str>,
    /// Now.
    pub value: f64,
    /// The least that makes sense.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// `ms`, `threads`, `tokens`.
    pub unit: Cow<'static, str>,
    /// Whether it may be set while calls are held.
    pub live: bool,
}

/// Bits of a value that are kept: 32 steps an octave, so that a percentile is at most 3 % off.
const PRECISION: u32 = 5;
/// The highest power of two of nanoseconds told apart: 69 s. What takes longer counts as that.
const OCTAVES: u32 = 36;
const BUCKETS: usize = ((OCTAVES - PRECISION) as usize + 2) << PRECISION;

/// Spans of time in buckets whose width grows with the value (as in Gil Tene's HdrHistogram). To record one is three
/// atomic additions; nothing waits.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    /// Nanoseconds.
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts a span.
    pub fn record(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).min(1 << OCTAVES);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
        self.max.fetch_max(nanos, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub fn snapshot(&self) -> Snapshot {
        let read = |(n, bucket): (usize, &AtomicU64)| {
            let count = bucket.load(Ordering::Relaxed);
            (count > 0).then_some((n, count))
        };
        let counts: Vec<(usize, u64)> = self.buckets.iter().enumerate().filter_map(read).collect();
        Snapshot {
            count: counts.iter().map(|(_, count)| count).sum(),
            counts,
            sum: self.sum.load(Ordering::Relaxed),
            max: self.max.load(Ordering::Relaxed),
        }
    }
}

fn bucket(nanos: u64) -> usize {
    let octave = (nanos | 1).ilog2();
    let shift = octave.saturating_sub(PRECISION);
    ((shift as usize) << PRECISION) + (nanos >> shift) as usize
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let shift = (bucket >> PRECISION).saturating_sub(1);
    let step = (bucket - (shift << PRECISION)) as u64;
    ((step + 1) << shift) - 1
}

/// What a histogram held at one time. It takes as much memory as there are different spans.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The buckets that are not empty, in order.
    counts: Vec<(usize, u64)>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Snapshot {
    /// How many spans.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The span that `share` (0 to 1) of all do not exceed; zero when there is none.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (n, count) in &self.counts {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper(*n).min(self.max));
            }
        }
        Duration::ZERO
    }

    /// What was counted since `earlier`, a snapshot of the same histogram. The longest is not known any more: it is
    /// that of the highest bucket.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut then = earlier.counts.iter().peekable();
        let mut counts = Vec::new();
        for &(n, count) in &self.counts {
            while then.next_if(|(bucket, _)| *bucket < n).is_some() {}
            let before = then.next_if(|(bucket, _)| *bucket == n).map_or(0, |(_, count)| *count);
            if count > before {
                counts.push((n, count - before));
            }
        }
        let max = counts.last().map_or(0, |(n, _)| upper(*n)).min(self.max);
        let count = counts.iter().map(|(_, count)| count).sum();
        Self { count, counts, sum: self.sum.saturating_sub(earlier.sum), max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn every_value_is_in_its_bucket_within_three_percent() {
        for octave in 0..=OCTAVES {
            for value in [1_u64 << octave, (1 << octave) + (1 << octave) / 3, (1 << octave) - 1] {
                let value = value.min(1 << OCTAVES);
                let bucket = bucket(value);
                assert!(bucket < BUCKETS, "{value}");
                let upper = upper(bucket);
                assert!(upper >= value && upper - value <= value / 32 + 1, "{value}: {upper}");
            }
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let histogram = Histogram::default();
        for n in 1..=1_000 {
            histogram.record(micros(n));
        }
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.count(), snapshot.max()), (1_000, micros(1_000)));
        for (share, expected) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = snapshot.percentile(share).as_secs_f64() * 1e6;
            assert!((found / expected - 1.0).abs() < 0.035, "{share}: {found}");
        }
        assert_eq!(snapshot.percentile(1.0), micros(1_000));
        assert_eq!(Histogram::default().snapshot().percentile(0.5), Duration::ZERO);
    }

    #[test]
    fn a_window_is_the_difference_of_two_snapshots() {
        let histogram = Histogram::default();
        histogram.record(micros(10));
        let before = histogram.snapshot();
        histogram.record(micros(5_000));
        histogram.record(Duration::from_hours(1));
        let window = histogram.snapshot().since(&before);
        assert_eq!(window.count(), 2);
        assert!(window.percentile(0.5) >= micros(5_000) && window.percentile(0.5) < micros(5_200));
        assert!(window.max() > Duration::from_mins(1), "longer than told apart, but counted");
    }
}
