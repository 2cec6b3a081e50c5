//! Spans of time in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bits of a value that are kept: 64 steps an octave. A percentile is the middle of its bucket, so it is at most
/// 0.8 % off.
const PRECISION: u32 = 6;
/// The highest power of two of nanoseconds told apart: 69 s. What takes longer counts as that.
const OCTAVES: u32 = 36;
const BUCKETS: usize = ((OCTAVES - PRECISION) as usize + 2) << PRECISION;

/// Spans of time in buckets whose width grows with the value (as in Gil Tene's HdrHistogram). To record one is three
/// atomic additions; nothing waits.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    /// The sum of all values, in nanoseconds.
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
    /// Counts a span of time.
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
            (count > 0).then_some((n as u16, count))
        };
        let counts: Vec<(u16, u64)> = self.buckets.iter().enumerate().filter_map(read).collect();
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

/// The least value of a bucket and how many it has.
fn range(bucket: usize) -> (u64, u64) {
    let shift = (bucket >> PRECISION).saturating_sub(1);
    let step = (bucket - (shift << PRECISION)) as u64;
    (step << shift, 1 << shift)
}

fn middle(bucket: usize) -> u64 {
    let (least, width) = range(bucket);
    least + width / 2
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let (least, width) = range(bucket);
    least + width - 1
}

/// What a histogram held at one time. It takes as much memory as there are different spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The buckets that are not empty, in order.
    counts: Vec<(u16, u64)>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Snapshot {
    /// How many spans were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The longest span that was counted; zero when there is none.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// On average; zero when there is none.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum / self.count.max(1))
    }

    /// The span that `share` (0 to 1) of all do not exceed, within 0.8 %; zero when there is none.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share).ceil().max(1.0) as u64;
        if rank >= self.count {
            return self.max();
        }
        let mut seen = 0;
        for (n, count) in &self.counts {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(middle(*n as usize).min(self.max));
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
        let max = counts.last().map_or(0, |(n, _)| upper(*n as usize)).min(self.max);
        let count = counts.iter().map(|(_, count)| count).sum();
        Self { count, counts, sum: self.sum.saturating_sub(earlier.sum), max }
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for &(n, count) in &other.counts {
            match self.counts.binary_search_by_key(&n, |(bucket, _)| *bucket) {
                Ok(at) => self.counts[at].1 += count,
                Err(at) => self.counts.insert(at, (n, count)),
            }
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// As bytes, to be kept: sum and longest in nanoseconds (u64), then each bucket's number (u16) and count (u32),
    /// all little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.counts.len() * 6);
        bytes.extend(self.sum.to_le_bytes());
        bytes.extend(self.max.to_le_bytes());
        for (n, count) in &self.counts {
            bytes.extend(n.to_le_bytes());
            bytes.extend(u32::try_from(*count).unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes
    }

    /// What [`Snapshot::to_bytes`] wrote; `None` if it did not.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sum, rest) = bytes.split_first_chunk()?;
        let (max, rest) = rest.split_first_chunk()?;
        let (buckets, []) = rest.as_chunks::<6>() else { return None };
        let counts: Vec<(u16, u64)> = buckets
            .iter()
            .map(|[a, b, c @ ..]| (u16::from_le_bytes([*a, *b]), u64::from(u32::from_le_bytes(*c))))
            .collect();
        let ordered = counts.is_sorted_by(|a, b| a.0 < b.0);
        let known = counts.last().is_none_or(|(n, _)| (*n as usize) < BUCKETS);
        (ordered && known).then(|| Self {
            count: counts.iter().map(|(_, count)| count).sum(),
            counts,
            sum: u64::from_le_bytes(*sum),
            max: u64::from_le_bytes(*max),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn every_value_is_near_the_middle_of_its_bucket() {
        for octave in 0..=OCTAVES {
            for value in [1_u64 << octave, (1 << octave) + (1 << octave) / 3, (1 << octave) - 1] {
                let value = value.min(1 << OCTAVES);
                let bucket = bucket(value);
                assert!(bucket < BUCKETS, "{value}");
                let (least, width) = range(bucket);
                assert!((least..least + width).contains(&value), "{value}: {least} + {width}");
                assert!(middle(bucket).abs_diff(value) <= value / 128 + 1, "{value}: {}", middle(bucket));
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
            assert!((found / expected - 1.0).abs() < 0.01, "{share}: {found}");
        }
        assert_eq!(snapshot.percentile(1.0), micros(1_000));
        assert_eq!(Histogram::default().snapshot().percentile(0.5), Duration::ZERO);
    }

    #[test]
    fn nonsense_is_no_snapshot() {
        for bytes in [&[][..], &[0; 15], &[0; 17], &[255; 22], &[0; 28]] {
            assert_eq!(Snapshot::from_bytes(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn percentiles_agree_with_the_raw_samples_to_one_percent(
            mut nanos in prop::collection::vec(1_000_u64..60_000_000_000, 1..400),
            share in 0.0..1.0_f64,
        ) {
            let histogram = Histogram::default();
            for n in &nanos {
                histogram.record(Duration::from_nanos(*n));
            }
            nanos.sort_unstable();
            let rank = (nanos.len() as f64 * share).ceil().max(1.0) as usize;
            let (exact, found) = (nanos[rank - 1] as f64, histogram.snapshot().percentile(share));
            prop_assert!((found.as_nanos() as f64 / exact - 1.0).abs() < 0.01, "{exact}: {found:?}");
        }

        #[test]
        fn parts_merge_to_the_whole_and_survive_being_kept(
            first in prop::collection::vec(0_u64..70_000_000_000, 0..50),
            second in prop::collection::vec(0_u64..70_000_000_000, 0..50),
        ) {
            let histogram = Histogram::default();
            let record = |nanos: &[u64]| nanos.iter().for_each(|n| histogram.record(Duration::from_nanos(*n)));
            record(&first);
            let before = histogram.snapshot();
            record(&second);
            let after = histogram.snapshot();
            let mut merged = before.clone();
            merged.merge(&after.since(&before));
            prop_assert_eq!(&merged, &after);
            prop_assert_eq!(Snapshot::from_bytes(&after.to_bytes()), Some(after));
        }
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
