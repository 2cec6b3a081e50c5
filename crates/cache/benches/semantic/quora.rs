//! Questions of Quora: one of each pair is cached, then the other is asked.
//!
//! A hit on another pair's question has a label only if people's words connect both: equal texts, and pairs that were
//! called the same, and what follows from both. Hits without a label are counted apart, and nothing is learned from them.

use std::collections::{BTreeSet, HashMap, HashSet};

use antiphon_cache::guards::{Guard, differs};
use antiphon_cache::{Decision, Key, KeyBuilder, Kind, SemanticIndex, SemanticOptions};
use antiphon_testkit::vectors::Vectors;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::data::Pair;
use crate::labels::Labels;
use crate::report::{Tally, head};

const SEEDS: std::ops::Range<u64> = 0..3;
const BOUNDS: [f64; 3] = [0.01, 0.02, 0.05];
/// Observations of one entry before vCache, as its authors published it, serves its reply.
const PAPER_NEEDS: u32 = 6;
const THRESHOLDS: [f32; 5] = [0.8, 0.85, 0.9, 0.95, 0.97];

pub(crate) fn report(pairs: &[Pair], vectors: &Vectors) {
    let labels = Labels::new(pairs);
    guards(pairs);
    println!("\nQuora, {} pairs in {} orders: a is cached, then b is asked", pairs.len(), SEEDS.end);
    head();
    fixed(pairs, vectors, &labels);
    let mut wrong = BTreeSet::new();
    let mut unlabelled = BTreeSet::new();
    for (name, options) in options() {
        let mut halves = [Tally::default(); 2];
        for seed in SEEDS {
            let mut stream = Stream { options, seed, wrong: &mut wrong, unlabelled: &mut unlabelled };
            let run = stream.run(pairs, vectors, &labels);
            halves.iter_mut().zip(run).for_each(|(all, half)| all.add(half));
        }
        let [mut all, second] = halves;
        all.add(second);
        all.print(&name);
        second.print("  the second half of each stream");
    }
    for (name, hits) in [("wrong by people's word", wrong), ("without a label", unlabelled)] {
        println!("\n{} hits {name}, in any of these streams:", hits.len());
        for (cached, asked) in hits {
            println!("  {cached} | {asked}");
        }
    }
}

fn options() -> impl Iterator<Item = (String, SemanticOptions)> {
    let options = |error_bound, hit_error_bound| SemanticOptions {
        error_bound,
        hit_error_bound,
        ..SemanticOptions::default()
    };
    let loose = BOUNDS.map(|bound| (format!("learned: {bound} of asked, 0.1 of hits"), options(bound, 0.1)));
    let strict =
        BOUNDS.map(|bound| (format!("learned: {bound} of asked, {bound} of hits"), options(bound, bound)));
    loose.into_iter().chain(strict)
}

/// How often each guard stops pairs, and how many pass them all.
fn guards(pairs: &[Pair]) {
    let mut stopped: HashMap<(Option<Guard>, bool), u32> = HashMap::new();
    for pair in pairs {
        *stopped.entry((differs(&pair.cached, &pair.asked), pair.same)).or_default() += 1;
    }
    let guards: BTreeSet<Option<Guard>> = stopped.keys().map(|(guard, _)| *guard).collect();
    println!("\nQuora, pairs by the first guard that stops them{:>10}{:>12}", "same", "different");
    for guard in guards {
        let of = |same| stopped.get(&(guard, same)).copied().unwrap_or_default();
        let name = guard.map_or("none".to_owned(), |guard| format!("{guard:?}"));
        println!("  {name:<45}{:>10}{:>12}", of(true), of(false));
    }
}

/// Hits by fixed thresholds, nothing learned.
fn fixed(pairs: &[Pair], vectors: &Vectors, labels: &Labels<'_>) {
    let mut alone = THRESHOLDS.map(|_| Tally::default());
    let mut guarded = alone;
    let mut often = 0;
    for seed in SEEDS {
        let mut asked_of: HashMap<Key, u32> = HashMap::new();
        let mut index = index(SemanticOptions::default());
        let mut cached: Vec<(&str, &[f32])> = Vec::new();
        let mut seen = HashSet::new();
        for pair in shuffled(pairs, seed) {
            insert(&mut index, pair, vectors);
            if seen.insert(&pair.cached) {
                cached.push((&pair.cached, vectors.of(&pair.cached)));
            }
            let asked = vectors.of(&pair.asked);
            count(&mut alone, closest(&cached, asked), pair, labels);
            let near = index.nearest(&scope(), &pair.asked, asked);
            if let Some(near) = &near {
                *asked_of.entry(near.key).or_default() += 1;
            }
            count(&mut guarded, near.as_ref().map(|near| (&*near.question, near.similarity)), pair, labels);
        }
        often += asked_of.values().filter(|questions| **questions >= PAPER_NEEDS).count();
    }
    for (name, tallies) in [("alone", alone), ("and guards", guarded)] {
        let lines = THRESHOLDS.iter().zip(tallies);
        lines.for_each(|(threshold, tally)| tally.print(&format!("similarity {threshold} {name}")));
    }
    println!(
        "vCache as published: {often} entries have the {PAPER_NEEDS} near questions that it needs to serve one"
    );
}

fn count(tallies: &mut [Tally], near: Option<(&str, f32)>, pair: &Pair, labels: &Labels<'_>) {
    for (threshold, tally) in THRESHOLDS.iter().zip(tallies) {
        tally.ask(pair.same);
        if let Some((cached, _)) = near.filter(|(_, similarity)| similarity >= threshold) {
            tally.hit(labels.of(cached, &pair.asked));
        }
    }
}

fn closest<'a>(cached: &[(&'a str, &[f32])], asked: &[f32]) -> Option<(&'a str, f32)> {
    let similarities = cached.iter().map(|(text, vector)| (*text, dot(vector, asked)));
    similarities.max_by(|a, b| a.1.total_cmp(&b.1))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

/// One stream that learns, and where its hits that are not known to be right are kept.
struct Stream<'a> {
    options: SemanticOptions,
    seed: u64,
    wrong: &'a mut BTreeSet<(String, String)>,
    unlabelled: &'a mut BTreeSet<(String, String)>,
}

impl Stream<'_> {
    /// What became of its first half and of its second.
    fn run(&mut self, pairs: &[Pair], vectors: &Vectors, labels: &Labels<'_>) -> [Tally; 2] {
        let mut index = index(self.options);
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut halves = [Tally::default(); 2];
        for (n, pair) in shuffled(pairs, self.seed).into_iter().enumerate() {
            insert(&mut index, pair, vectors);
            let tally = &mut halves[usize::from(n * 2 >= pairs.len())];
            tally.ask(pair.same);
            index.asked();
            let near = index.nearest(&scope(), &pair.asked, vectors.of(&pair.asked));
            let Some(near) = near else { continue };
            let label = labels.of(&near.question, &pair.asked);
            let decision = index.decide(&near.key, near.similarity, random.random());
            if decision == Decision::Serve {
                tally.hit(label);
                let kept = match label {
                    Some(true) => continue,
                    Some(false) => &mut *self.wrong,
                    None => &mut *self.unlabelled,
                };
                kept.insert((near.question.to_string(), pair.asked.clone()));
            } else if let Some(correct) = label {
                index.learn(&near.key, near.similarity, decision, correct);
            }
        }
        halves
    }
}

fn index(options: SemanticOptions) -> SemanticIndex {
    SemanticIndex::new(options).expect("good options")
}

/// Caches the one question, if it is not yet.
fn insert(index: &mut SemanticIndex, pair: &Pair, vectors: &Vectors) {
    let key = KeyBuilder::new(Kind::Reply, "bench").add(&pair.cached).build();
    if !index.contains(&key) {
        index.insert(scope(), key, &pair.cached, vectors.of(&pair.cached)).expect("a good vector");
    }
}

fn scope() -> Key {
    KeyBuilder::new(Kind::Reply, "bench").build()
}

fn shuffled(pairs: &[Pair], seed: u64) -> Vec<&Pair> {
    let mut order: Vec<_> = pairs.iter().collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed));
    order
}
