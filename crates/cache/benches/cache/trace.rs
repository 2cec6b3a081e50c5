//! The traces of requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::policies::policies;

const SEED: u64 = 7;
/// The size of entries in traces with a single size.
const SIZE: usize = 1_024;
/// The number of requests between two scans.
const BETWEEN_SCANS: usize = 20_000;
/// Keys from here on belong to scans and do not count.
const SCANNED: u32 = 1 << 31;
/// The number of requests after which a new key replaces a popular one.
const BETWEEN_MOVES: usize = 20;
/// How many requests a burst lasts, and how often its key is asked for at most; half of them only once.
const BURST: (f64, f64) = (3_000.0, 20.0);

/// A key and the size of its value.
pub(crate) type Request = (u32, usize);

/// A trace: the requests, and the sizes of the values that are requested by Zipf's law.
pub(crate) struct Trace {
    keys: Vec<u32>,
    sizes: Vec<usize>,
}

/// Draws ranks by Zipf's law: rank n with a probability proportional to 1 / n^alpha.
struct Zipf {
    sums: Vec<f64>,
    random: SmallRng,
}

impl Zipf {
    fn new(ranks: u32, alpha: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks).map(|rank| {
            sum += f64::from(rank).powf(-alpha);
            sum
        });
        Self { sums: sums.collect(), random: SmallRng::seed_from_u64(SEED) }
    }

    /// Draws a rank, from 0 on.
    fn draw(&mut self) -> u32 {
        let at = self.random.random::<f64>() * self.sums.last().copied().unwrap_or_default();
        self.sums.partition_point(|sum| *sum < at) as u32
    }
}

impl Trace {
    /// Requests by Zipf's law; the keys are ranks.
    pub(crate) fn zipf(keys: u32, alpha: f64, requests: usize) -> Self {
        let mut zipf = Zipf::new(keys, alpha);
        Self { keys: (0..requests).map(|_| zipf.draw()).collect(), sizes: vec![SIZE; keys as usize] }
    }

    /// Adds scans: now and then `length` keys in a row that are never asked for again.
    pub(crate) fn with_scans(mut self, length: u32) -> Self {
        let mut next = SCANNED;
        let parts = self.keys.chunks(BETWEEN_SCANS).map(|part| {
            let scan = next..next + length;
            next += length;
            part.iter().copied().chain(scan)
        });
        self.keys = parts.flatten().collect();
        self
    }

    /// Draws sizes from 0.5 to 50 kB: as many between 0.5 and 5 as between 5 and 50.
    pub(crate) fn with_sizes(mut self) -> Self {
        let mut random = SmallRng::seed_from_u64(SEED);
        self.sizes.fill_with(|| (500.0 * 100_f64.powf(random.random())) as usize);
        self
    }

    /// Lets popularity change over time.
    pub(crate) fn with_moves(mut self) -> Self {
        let count = self.sizes.len() as u32;
        let mut keys: Vec<u32> = (0..count).collect();
        let (mut zipf, mut random) = (Zipf::new(count, 1.0), SmallRng::seed_from_u64(SEED));
        for (number, key) in self.keys.iter_mut().enumerate() {
            if number % BETWEEN_MOVES == 0 {
                keys.swap(zipf.draw() as usize, random.random_range(0..count) as usize);
            }
            *key = keys[*key as usize];
        }
        self
    }

    /// Replaces half of the requests by bursts: keys that are asked for a few times within a short time, and then no more.
    pub(crate) fn with_bursts(mut self) -> Self {
        let mut random = SmallRng::seed_from_u64(SEED);
        let mut due = BinaryHeap::new();
        let mut next = self.sizes.len() as u32;
        for (now, key) in self.keys.iter_mut().enumerate() {
            if random.random() {
                continue;
            }
            if due.peek().is_some_and(|Reverse((at, _))| *at <= now)
                && let Some(Reverse((_, again))) = due.pop()
            {
                *key = again;
                continue;
            }
            *key = next;
            next += 1;
            let times = 1.0 / (1.0 - random.random::<f64>() * (1.0 - 1.0 / BURST.1));
            for _ in 1..times as u32 {
                due.push(Reverse((now + (random.random::<f64>() * BURST.0) as usize, *key)));
            }
        }
        self
    }

    /// The percentage of requests after the first `warm_up` that each policy answers, with room for `part` of all bytes.
    pub(crate) fn ratios(&self, part: f64, warm_up: usize) -> [f64; 5] {
        let room = self.sizes.iter().sum::<usize>() as f64 * part;
        policies(room as usize, self).map(|mut policy| {
            let (mut hits, mut counted) = (0, 0);
            for (number, request) in self.requests().enumerate() {
                let hit = policy.request(request);
                if number >= warm_up && request.0 < SCANNED {
                    counted += 1;
                    hits += u32::from(hit);
                }
            }
            f64::from(hits) / f64::from(counted) * 100.0
        })
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = Request> {
        self.keys.iter().map(|key| (*key, self.sizes.get(*key as usize).copied().unwrap_or(SIZE)))
    }
}
