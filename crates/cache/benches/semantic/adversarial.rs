//! Pairs written to be mistaken for each other, asked of a cache that has learned to serve whatever is near.

use antiphon_cache::{Decision, Key, KeyBuilder, Kind, SemanticIndex, SemanticOptions};
use antiphon_testkit::vectors::Vectors;

use crate::data::{different, same};

/// Explored questions that were right: enough to serve from a similarity of 0.8 on.
const LEARNED: usize = 2000;

pub(crate) fn report(vectors: &Vectors) {
    let evidence = always_right();
    println!("\nPairs written for the guards' tests, asked of a cache that has only ever been right");
    println!("{:<28}{:>8}{:>24}{:>24}", "", "pairs", "hits by their vectors", "hits at similarity 1");
    let tables: [(_, Vec<_>); 2] =
        [("that mean something else", different().collect()), ("that mean the same", same().collect())];
    for (name, pairs) in tables {
        let hits = |vector_of: fn((&'static str, &'static str)) -> &'static str| {
            let is_hit = |pair: &&(&'static str, &'static str)| {
                is_hit(&evidence, (pair.0, vectors.of(pair.0)), (pair.1, vectors.of(vector_of(**pair))))
            };
            pairs.iter().filter(is_hit).count()
        };
        println!("{name:<28}{:>8}{:>24}{:>24}", pairs.len(), hits(|pair| pair.1), hits(|pair| pair.0));
    }
}

/// What a cache has learned whose replies were always right.
fn always_right() -> Vec<u8> {
    let mut index = index();
    for n in 0..LEARNED {
        index.learn(&key(""), 0.8 + 0.2 * (n as f32 / LEARNED as f32), Decision::Explore, true);
    }
    index.evidence()
}

/// Whether the reply to `cached` is served to `asked`.
fn is_hit(evidence: &[u8], cached: (&str, &[f32]), asked: (&str, &[f32])) -> bool {
    let mut index = index();
    assert!(index.restore(evidence), "it was just made");
    index.insert(key(""), key(cached.0), cached.0, cached.1).expect("a good vector");
    let near = index.nearest(&key(""), asked.0, asked.1);
    near.is_some_and(|near| index.decide(&near.key, near.similarity, 0.99) == Decision::Serve)
}

fn index() -> SemanticIndex {
    let options = SemanticOptions { error_bound: 0.5, hit_error_bound: 0.5, ..SemanticOptions::default() };
    SemanticIndex::new(options).expect("good options")
}

fn key(text: &str) -> Key {
    KeyBuilder::new(Kind::Reply, "bench").add(text).build()
}
