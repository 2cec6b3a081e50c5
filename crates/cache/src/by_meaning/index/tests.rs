use std::collections::HashMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const OPTIONS: SemanticOptions = SemanticOptions {
    error_bound: 0.05,
    hit_error_bound: 0.05,
    audit_share: 0.02,
    dimensions: 4,
    max_scope_entries: 1000,
    max_entries: 1000,
};

fn key(n: u32) -> Key {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    Key::from_bytes(bytes)
}

fn index(options: SemanticOptions, entries: u32) -> SemanticIndex {
    let mut index = SemanticIndex::new(options).expect("good options");
    for n in 0..entries {
        index.insert(key(0), key(n), "what is it", &[1.0, 0.0, 0.0, 0.0]).expect("a good vector");
    }
    index
}

/// Asks a question that is near an entry, and reports whether the entry's reply is right for it.
fn ask(index: &mut SemanticIndex, entry: u32, similarity: f32, right: bool, random: f64) -> Decision {
    index.asked();
    let decision = index.decide(&key(entry), similarity, random);
    if decision != Decision::Serve {
        index.learn(&key(entry), similarity, decision, right);
    }
    decision
}

/// How many questions of a stream were asked, served from the index, and served wrongly.
#[derive(Debug, Default)]
struct Outcome {
    asked: u32,
    served: u32,
    wrong: u32,
}

/// Questions whose replies are right with a probability that `truth` gives by entry and similarity.
fn stream(
    index: &mut SemanticIndex,
    questions: u32,
    random: &mut StdRng,
    truth: impl Fn(u32, f32) -> f64,
) -> Outcome {
    let entries = index.len() as u32;
    let mut outcome = Outcome::default();
    for _ in 0..questions {
        let (entry, similarity) = (random.random_range(0..entries), random.random_range(0.8..1.0_f32));
        let right = random.random_bool(truth(entry, similarity));
        outcome.asked += 1;
        if ask(index, entry, similarity, right, random.random()) == Decision::Serve {
            outcome.served += 1;
            outcome.wrong += u32::from(!right);
        }
    }
    outcome
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn nothing_is_served_before_anything_was_seen() {
    let mut index = index(OPTIONS, 1);
    assert_eq!(index.decide(&key(0), 1.0, 0.9), Decision::Explore);
    assert_eq!(index.decide(&key(9), 1.0, 0.9), Decision::Explore, "gone");
    assert_eq!(index.measured_error(), ErrorEstimate { audited: 0, wrong: 0, upper_95: 1.0 });
}

#[test]
fn a_stricter_bound_takes_more_evidence() {
    let explored = |hit_error_bound| {
        let mut index = index(SemanticOptions { hit_error_bound, error_bound: 0.5, ..OPTIONS }, 1000);
        (0..1000).find(|n| ask(&mut index, *n, 0.97, true, 0.9) == Decision::Serve)
    };
    let (wide, strict) = (explored(0.1).expect("served"), explored(0.01).expect("served"));
    assert!((15..60).contains(&wide), "{wide}");
    assert!((150..600).contains(&strict), "{strict}");
}

#[test]
fn the_bounds_hold_over_many_seeds() {
    for bound in [0.02, 0.05, 0.1] {
        let options = SemanticOptions { hit_error_bound: bound, error_bound: bound, ..OPTIONS };
        let mut all = Outcome::default();
        for seed in 0..10 {
            let mut random = StdRng::seed_from_u64(seed);
            let offsets: Vec<f64> = (0..300).map(|_| 1.5 * normal(&mut random)).collect();
            let truth = |entry: u32, similarity: f32| {
                logistic(2.0 + (f64::from(similarity) - 0.9) / 0.02 + offsets[entry as usize])
            };
            let outcome = stream(&mut index(options, 300), 3000, &mut random, truth);
            let share = f64::from(outcome.wrong) / f64::from(outcome.served.max(1));
            assert!(share <= bound, "seed {seed}: {outcome:?}");
            all.served += outcome.served;
            all.asked += outcome.asked;
        }
        assert!(all.served * 20 > all.asked, "{bound}: {all:?}");
    }
}

/// A random number of the standard normal distribution (Box and Muller).
fn normal(random: &mut StdRng) -> f64 {
    let (a, b): (f64, f64) = (random.random_range(f64::MIN_POSITIVE..1.0), random.random());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

#[test]
fn few_wrong_ones_among_all_allow_more_wrong_ones_among_hits() {
    let options = SemanticOptions { error_bound: 0.01, hit_error_bound: 0.2, ..OPTIONS };
    let truth = |_, _| 0.9;
    let mut often = index(options, 300);
    let outcome = stream(&mut often, 4000, &mut StdRng::seed_from_u64(1), truth);
    assert!(outcome.served < 400, "a tenth of them, a tenth of which is wrong: {outcome:?}");
    assert!(outcome.wrong < 40, "{outcome:?}");
    let (mut rarely, mut random) = (index(options, 300), StdRng::seed_from_u64(1));
    let mut outcome = Outcome::default();
    for _ in 0..4000 {
        for _ in 1..50 {
            rarely.asked();
        }
        let one = stream(&mut rarely, 1, &mut random, truth);
        outcome.served += one.served;
        outcome.wrong += one.wrong;
        outcome.asked += 50;
    }
    assert!(outcome.served > 2000, "{outcome:?}");
    assert!(f64::from(outcome.wrong) < 0.01 * f64::from(outcome.asked), "{outcome:?}");
}

#[test]
fn where_every_tenth_reply_is_wrong_however_similar_nothing_is_served() {
    let outcome = stream(&mut index(OPTIONS, 300), 5000, &mut StdRng::seed_from_u64(3), |_, _| 0.9);
    assert_eq!(outcome.served, 0);
}

#[test]
fn an_entry_that_was_wrong_is_distrusted_and_the_others_are_not() {
    let mut index = index(OPTIONS, 1000);
    for n in 0..500 {
        index.learn(&key(n), 0.97, Decision::Explore, true);
    }
    index.learn(&key(999), 0.97, Decision::Explore, false);
    assert_eq!(index.decide(&key(999), 0.97, 0.9), Decision::Explore);
    assert_eq!(index.decide(&key(998), 0.97, 0.9), Decision::Serve);
}

#[test]
fn when_replies_become_wrong_serving_stops_and_starts_again_when_they_are_right() {
    let (mut index, mut random) = (index(OPTIONS, 50), StdRng::seed_from_u64(5));
    let right = stream(&mut index, 20_000, &mut random, |_, _| 1.0);
    assert!(right.served > 15_000, "{right:?}");
    let broken = stream(&mut index, 20_000, &mut random, |_, _| 0.5);
    assert!(broken.served < 1000, "{broken:?}");
    assert!(index.is_halted());
    let healed = stream(&mut index, 20_000, &mut random, |_, _| 1.0);
    assert!(healed.served > 5000 && !index.is_halted(), "{healed:?}");
}

#[test]
fn audits_measure_the_error_of_what_is_served() {
    let options = SemanticOptions { audit_share: 0.1, hit_error_bound: 0.2, error_bound: 0.2, ..OPTIONS };
    let (mut index, mut random) = (index(options, 1000), StdRng::seed_from_u64(7));
    let outcome = stream(&mut index, 9000, &mut random, |_, _| 0.95);
    let measured = index.measured_error();
    let (seen, served) = (
        f64::from(measured.wrong) / f64::from(measured.audited),
        f64::from(outcome.wrong) / f64::from(outcome.served),
    );
    assert!(measured.audited > 600 && (seen - served).abs() < 0.02, "{measured:?} {outcome:?}");
    assert!(measured.upper_95 > 0.05 && measured.upper_95 < 0.09);
}

#[test]
fn only_an_entry_that_asks_for_the_same_facts_is_near() {
    let mut index = index(OPTIONS, 0);
    let [near, nearer] = [[1.0, 0.1, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]];
    index.insert(key(0), key(1), "where is order 48213", &near).expect("good");
    index.insert(key(0), key(2), "where is order 48231", &nearer).expect("good");
    let found = index.nearest(&key(0), "where is order four eight two one three", &nearer).expect("one");
    assert_eq!((found.key, &*found.question), (key(1), "where is order 48213"));
    assert_eq!(index.nearest(&key(0), "where is order 5", &nearer), None);
    assert_eq!(index.nearest(&key(7), "where is order 48213", &near), None, "another scope");
    assert_eq!(index.nearest(&key(0), "where is order 48213", &[0.0, 0.0, 1.0, 0.0]), None, "far away");
    assert_eq!(index.nearest(&key(0), "where is order 48213", &[1.0]), None, "no such vector");
}

#[test]
fn the_oldest_goes_first_of_the_scope_and_of_all() {
    let options = SemanticOptions { max_scope_entries: 2, max_entries: 3, ..OPTIONS };
    let mut index = SemanticIndex::new(options).expect("good options");
    let mut insert = |scope, n| index.insert(key(scope), key(n), "what is it", &[1.0; 4]).expect("good");
    for (scope, n) in [(0, 1), (1, 2), (0, 3), (0, 4), (1, 5)] {
        insert(scope, n);
    }
    let kept: Vec<u32> = (0..9).filter(|n| index.remove(&key(*n))).collect();
    assert_eq!(kept, [3, 4, 5], "1 was the oldest of scope 0, then 2 of all");
    assert!(index.is_empty());
}

#[test]
fn what_was_learned_of_a_reply_goes_with_it() {
    let mut index = index(OPTIONS, 1000);
    for n in 0..500 {
        index.learn(&key(n), 0.97, Decision::Explore, true);
    }
    index.learn(&key(999), 0.97, Decision::Explore, false);
    index.insert(key(0), key(999), "what is it", &[1.0, 0.0, 0.0, 0.0]).expect("good");
    assert_eq!(index.decide(&key(999), 0.97, 0.9), Decision::Serve);
}

#[test]
fn bad_options_and_vectors_are_refused() {
    for error_bound in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(SemanticIndex::new(SemanticOptions { error_bound, ..OPTIONS }).is_err());
    }
    assert!(SemanticIndex::new(SemanticOptions { dimensions: 0, ..OPTIONS }).is_err());
    let mut index = index(OPTIONS, 0);
    for vector in [&[0.0; 4][..], &[1.0; 3], &[f32::NAN; 4], &[f32::INFINITY; 4], &[f32::MAX; 4]] {
        assert!(index.insert(key(0), key(1), "what is it", vector).is_err());
    }
    index.learn(&key(1), f32::NAN, Decision::Audit, true);
    assert_eq!(index.decide(&key(1), f32::NAN, 0.5), Decision::Explore);
}

#[test]
fn evidence_outlives_the_index() {
    let mut before = index(OPTIONS, 1000);
    stream(&mut before, 5000, &mut StdRng::seed_from_u64(9), |_, _| 0.99);
    let mut after = index(OPTIONS, 1000);
    assert!(after.restore(&before.evidence()));
    assert_eq!(after.measured_error(), before.measured_error());
    assert!((after.curve.risk(0.97, &[]) - before.curve.risk(0.97, &[])).abs() < 1e-5);
    assert!(before.evidence().len() < 12_000);
}

/// A change of an index, whose result is compared with that of an exact search.
#[derive(Clone, Debug)]
enum Step {
    Insert { scope: u32, key: u32, vector: [f32; 4] },
    Remove(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let vector = prop::array::uniform4(-1.0_f32..1.0);
    let insert =
        (0..3_u32, 0..20_u32, vector).prop_map(|(scope, key, vector)| Step::Insert { scope, key, vector });
    prop::collection::vec(prop_oneof![4 => insert, 1 => (0..20_u32).prop_map(Step::Remove)], 0..60)
}

proptest! {
    #[test]
    fn the_nearest_is_found_whatever_came_and_went(steps in steps(), asked in prop::array::uniform4(-1.0_f32..1.0)) {
        let mut index = index(OPTIONS, 0);
        let mut kept: HashMap<u32, (u32, [f32; 4])> = HashMap::new();
        for step in steps {
            match step {
                Step::Insert { scope, key: n, vector } => {
                    if index.insert(key(scope), key(n), "what is it", &vector).is_ok() {
                        kept.insert(n, (scope, vector));
                    }
                }
                Step::Remove(n) => prop_assert_eq!(index.remove(&key(n)), kept.remove(&n).is_some()),
            }
        }
        prop_assert_eq!(index.len(), kept.len());
        let cosine = |a: &[f32; 4], b: &[f32; 4]| {
            let dot = |a: &[f32; 4], b: &[f32; 4]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        for scope in 0..3 {
            let best = kept.values().filter(|(of, _)| *of == scope).map(|(_, vector)| cosine(vector, &asked));
            let best = best.fold(f32::MIN, f32::max);
            let found = index.nearest(&key(scope), "what is it", &asked).map(|found| found.similarity);
            match found {
                Some(found) => prop_assert!((found - best).abs() < 1e-4, "{} {}", found, best),
                None => prop_assert!(!best.is_finite() || best < MIN_SIMILARITY + 1e-4, "{}", best),
            }
        }
    }

    #[test]
    fn any_labels_are_taken(labels in prop::collection::vec((any::<f32>(), any::<bool>(), any::<bool>()), 0..200)) {
        let mut index = index(OPTIONS, 1);
        for (similarity, audit, correct) in labels {
            let decision = if audit { Decision::Audit } else { Decision::Explore };
            index.learn(&key(0), similarity, decision, correct);
            let risk = index.curve.risk(similarity, &[]);
            prop_assert!((0.0..=1.0).contains(&risk), "{}", risk);
            index.decide(&key(0), similarity, 0.5);
        }
    }

    #[test]
    fn damaged_evidence_is_noticed(at: prop::sample::Index, bit in 0_u8..8, bytes: Vec<u8>) {
        let mut index = index(OPTIONS, 9);
        stream(&mut index, 50, &mut StdRng::seed_from_u64(1), |_, _| 0.9);
        let mut evidence = index.evidence();
        prop_assert!(!index.restore(&bytes));
        prop_assert!(!index.restore(&evidence[..at.index(evidence.len())]));
        let at = at.index(evidence.len());
        evidence[at] ^= 1 << bit;
        prop_assert!(!index.restore(&evidence));
    }
}
