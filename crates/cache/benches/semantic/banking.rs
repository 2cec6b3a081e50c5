//! Questions to a bank, in random order: each is asked, and cached if no reply could be served. A hit is right if both are
//! about the same.
//!
//! 1,200 questions are too few to learn from. So the stream comes ten times in other orders, each time to an empty cache
//! that keeps only what was learned, and the tenth is reported as well as the first: what a cache with short-lived entries
//! does in the long run, as far as ten times the same questions can show it.

use std::collections::HashMap;

use antiphon_cache::{Decision, Key, KeyBuilder, Kind, Neighbour, SemanticIndex, SemanticOptions};
use antiphon_testkit::vectors::Vectors;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::data::Question;
use crate::report::{Tally, head};

const SEEDS: std::ops::Range<u64> = 0..10;
const PASSES: usize = 10;
const BOUNDS: [f64; 3] = [0.01, 0.02, 0.05];
const THRESHOLDS: [f32; 5] = [0.8, 0.85, 0.9, 0.95, 0.97];

pub(crate) fn report(questions: &[Question], vectors: &Vectors) {
    println!("\nBanking, {} questions in {} orders: each is asked once", questions.len(), SEEDS.end);
    head();
    for threshold in THRESHOLDS {
        let mut all = Tally::default();
        for seed in SEEDS {
            let decide = |_: &mut SemanticIndex, near: &Neighbour, _: f64| {
                if near.similarity >= threshold { Decision::Serve } else { Decision::Explore }
            };
            all.add(stream(questions, vectors, seed, (SemanticOptions::default(), 1), decide)[0]);
        }
        all.print(&format!("similarity {threshold} and guards"));
    }
    for bound in BOUNDS {
        let options = SemanticOptions { error_bound: bound, ..SemanticOptions::default() };
        let (mut first, mut last) = (Tally::default(), Tally::default());
        for seed in SEEDS {
            let decide = |index: &mut SemanticIndex, near: &Neighbour, random: f64| {
                index.decide(&near.key, near.similarity, random)
            };
            let passes = stream(questions, vectors, seed, (options, PASSES), decide);
            first.add(passes[0]);
            last.add(passes[PASSES - 1]);
        }
        first.print(&format!("learned: {bound} of asked, 0.1 of hits"));
        last.print("  the tenth time");
    }
}

/// What became of each pass.
fn stream(
    questions: &[Question],
    vectors: &Vectors,
    seed: u64,
    (options, passes): (SemanticOptions, usize),
    mut decide: impl FnMut(&mut SemanticIndex, &Neighbour, f64) -> Decision,
) -> Vec<Tally> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut index = SemanticIndex::new(options).expect("good options");
    let mut order: Vec<_> = questions.iter().collect();
    let scope = KeyBuilder::new(Kind::Reply, "bench").build();
    let mut pass = || {
        order.shuffle(&mut random);
        let mut tally = Tally::default();
        let mut cached: HashMap<Key, &str> = HashMap::new();
        for question in &order {
            let category = question.category.as_str();
            tally.ask(cached.values().any(|cached| *cached == category));
            let vector = vectors.of(&question.text);
            index.asked();
            if let Some(near) = index.nearest(&scope, &question.text, vector) {
                let right = cached.get(&near.key) == Some(&category);
                let decision = decide(&mut index, &near, random.random());
                if decision == Decision::Serve {
                    tally.hit(Some(right));
                    continue;
                }
                index.learn(&near.key, near.similarity, decision, right);
            }
            let key = KeyBuilder::new(Kind::Reply, "bench").add(&question.text).build();
            index.insert(scope, key, &question.text, vector).expect("a good vector");
            cached.insert(key, category);
        }
        for key in cached.keys() {
            index.remove(key);
        }
        tally
    };
    (0..passes).map(|_| pass()).collect()
}
