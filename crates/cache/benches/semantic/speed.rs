//! How long the steps of a lookup by meaning take.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::hint::black_box;
use std::time::Instant;

use antiphon_cache::guards::differs;
use antiphon_cache::{Decision, Key, KeyBuilder, Kind, SemanticIndex, SemanticOptions};
use antiphon_testkit::vectors::Vectors;

use crate::data::Pair;

const TIMES: usize = 500;

pub(crate) fn report(pairs: &[Pair], vectors: &Vectors) {
    println!("\nTime of one operation: median and 99th percentile of {TIMES}");
    let key = |text: &str| -> Key { KeyBuilder::new(Kind::Reply, "bench").add(text).build() };
    let scope = key("");
    let mut index = SemanticIndex::new(SemanticOptions::default()).expect("good options");
    for (n, pair) in pairs.iter().enumerate() {
        index
            .insert(scope, key(&format!("{n}")), &pair.cached, vectors.of(&pair.cached))
            .expect("a good vector");
        if [1000, pairs.len()].contains(&(n + 1)) {
            let asked = |n: usize| pairs[n].asked.as_str();
            let took = time(|n| index.nearest(&scope, asked(n), vectors.of(asked(n))));
            print(&format!("nearest of {} entries", index.len()), &took);
        }
    }
    print("differs", &time(|n| differs(&pairs[n].cached, &pairs[n].asked)));
    for n in 0..3000_u16 {
        index.learn(&scope, 0.8 + f32::from(n % 200) / 1000.0, Decision::Explore, n % 20 != 0);
    }
    print("decide", &time(|_| index.decide(&key("0"), 0.95, 0.5)));
    print("learn", &time(|n| index.learn(&scope, 0.9, Decision::Explore, n % 20 != 0)));
}

fn time<T>(mut operation: impl FnMut(usize) -> T) -> Vec<f64> {
    let one = |n| {
        let before = Instant::now();
        black_box(operation(n));
        before.elapsed().as_secs_f64() * 1e6
    };
    let mut took: Vec<f64> = (0..TIMES).map(one).collect();
    took.sort_by(f64::total_cmp);
    took
}

fn print(name: &str, took: &[f64]) {
    println!("{name:<28}{:>10.1} us{:>10.1} us", took[TIMES / 2], took[TIMES * 99 / 100]);
}
