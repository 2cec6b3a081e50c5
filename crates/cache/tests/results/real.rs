//! Cached searches with a real model and real passages.

use std::sync::Arc;

use antiphon_cache::CachedKnowledge;
use antiphon_core::Knowledge;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::stores::Texts;
use crate::{embed, given, results, search, tenant};

const QUESTIONS: usize = 200;
const CHANGES: usize = 60;

#[tokio::test]
async fn no_answer_is_stale() {
    let model = given::minilm();
    let embed = embed(model.embed.clone());
    let results = results(&embed);
    let store = Texts::new(embed, true);
    let cached = CachedKnowledge::new(Arc::new(store.clone()), &results, tenant(), "documents");

    let (passages, questions) = given::xquad();
    let (mut absent, present) = passages.split_at(passages.len() / 2);
    for passage in present {
        store.add(passage).await.expect("works");
    }
    let mut random = SmallRng::seed_from_u64(1);
    let asked = questions.iter().step_by(questions.len() / QUESTIONS).map(|(question, _)| question);
    let asked: Vec<_> = asked.collect();
    for _ in 0..CHANGES {
        for question in &asked {
            let expected = Knowledge::search(&store, search(*question)).await;
            assert_eq!(cached.search(search(*question)).await, expected, "{question}");
        }
        let (text, version) = match absent.split_first() {
            Some((passage, rest)) if random.random() => {
                absent = rest;
                (passage.clone(), store.add(passage).await.expect("works"))
            }
            _ => store.remove(random.random_range(0..1_000)).expect("some are left"),
        };
        cached.changes().changed(vec![text], version).await;
    }
    let counts = results.cache().counts();
    let share = counts.hits as f64 / (counts.hits + counts.misses) as f64;
    eprintln!("{:.1} % of the searches were answered from the cache", share * 100.0);
    assert!(share > 0.5, "most of what a change does not concern stays: {share}");
}
