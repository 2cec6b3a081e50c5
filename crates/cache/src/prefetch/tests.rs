mod simulation;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{CacheOptions, Kind};

const SECOND: Duration = Duration::from_secs(1);
const DEAR: PrefetchOutcome = PrefetchOutcome::Made { saves: Duration::from_millis(500), clauses: 3 };

fn cache(kind: Kind) -> Arc<Cache> {
    let options = CacheOptions { kind, max_bytes: 1 << 20, ttl: Duration::from_hours(1) };
    Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)))
}

struct Place {
    prefetcher: Prefetcher,
    replies: Arc<Cache>,
    is_idle: Arc<AtomicBool>,
}

fn place(budget: PrefetchBudget) -> Place {
    let (replies, is_idle) = (cache(Kind::Reply), Arc::new(AtomicBool::new(true)));
    let idle = is_idle.clone();
    let is_idle_now = Arc::new(move || idle.load(Ordering::Relaxed));
    let prefetcher = Prefetcher::new(budget, replies.clone(), cache(Kind::Speech), is_idle_now);
    Place { prefetcher, replies, is_idle }
}

fn agent(tenant: &str) -> AgentVersion {
    AgentVersion::new(tenant.into(), "Be kind.")
}

impl Place {
    /// Two people ask the same questions, each in this order.
    fn hears(&self, agent: &AgentVersion, said: &[&str]) {
        for by in ["a", "b"] {
            for (at, text) in said.iter().enumerate() {
                let before = at.checked_sub(1).map(|at| said[at]);
                self.prefetcher.learn(
                    agent,
                    &AnsweredQuestion { by, before, after: at as u64, text, from_cache: false },
                );
            }
        }
    }

    /// The questions that are prefetched at the beginning of a call, where each reply takes 2 s.
    fn prepares(&self, agent: &AgentVersion) -> Vec<Arc<str>> {
        let mut already = Vec::new();
        while let Some(next) = self.prefetcher.next(agent, None, &already) {
            already.push(next.clone());
            self.prefetcher
                .finished(agent, &Prefetched { question: &next, after: 0, took: 2 * SECOND, outcome: DEAR });
        }
        already
    }

    fn counter(&self, name: &str) -> u64 {
        self.prefetcher.counters().into_iter().find(|counter| counter.name == name).expect("there").value
    }

    fn level(&self, name: &str) -> f64 {
        self.prefetcher.levels().into_iter().find(|level| level.name == name).expect("there").value
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_likely_is_prefetched_and_found_to_be_used() {
    let place = place(PrefetchBudget::default());
    let agent = agent("a");
    assert!(place.prepares(&agent).is_empty(), "nothing is known yet");
    place.hears(&agent, &["Where do I park?"]);
    assert_eq!(*place.prepares(&agent)[0], *"Where do I park?");
    let said =
        AnsweredQuestion { by: "c", before: None, after: 0, text: "um, where do I park", from_cache: true };
    place.prefetcher.learn(&agent, &said);
    let counts = ["learned", "prepared", "prepared and used"].map(|name| place.counter(name));
    assert_eq!((counts, place.level("hit rate"), place.level("on")), ([3, 1, 1], 1.0, 1.0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_offered_to_another_tenant_or_agent() {
    let place = place(PrefetchBudget::default());
    place.hears(&agent("a"), &["Where do I park?", "How much is it?"]);
    let other = AgentVersion::new("a".into(), "Be rude.");
    for agent in [agent("b"), other] {
        for before in [None, Some("Where do I park?"), Some("How much is it?")] {
            assert_eq!(place.prefetcher.next(&agent, before, &[]), None);
        }
    }
    assert!(place.prefetcher.next(&agent("a"), None, &[]).is_some());
}

#[tokio::test(start_paused = true)]
async fn at_most_three_are_prefetched_after_a_reply() {
    let place = place(PrefetchBudget::default());
    let agent = agent("a");
    for question in ["Where is it?", "What is it?", "Who is it?", "Why is it?"] {
        for _ in 0..10 {
            place.hears(&agent, &[question]);
        }
    }
    let prepared = place.prepares(&agent);
    assert_eq!(prepared.len(), MAX_AFTER_A_REPLY);
    assert!(prepared.windows(2).all(|pair| pair[0] != pair[1]));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_prefetched_under_load_beyond_the_budget_or_if_it_is_not_kept() {
    let budget = PrefetchBudget { prefetches: 2, engine_time: 60 * SECOND };
    let place = place(budget);
    let agent = agent("a");
    place.hears(&agent, &["Where do I park?"]);
    place.is_idle.store(false, Ordering::Relaxed);
    assert_eq!((place.prepares(&agent), place.counter("skipped for load")), (vec![], 1));
    place.is_idle.store(true, Ordering::Relaxed);
    place.replies.set_on(false);
    assert_eq!((place.prepares(&agent), place.counter("skipped for space")), (vec![], 1));
    place.replies.set_on(true);
    let made: usize = (0..4).map(|_| place.prepares(&agent).len()).sum();
    assert_eq!((made, place.counter("skipped for budget")), (2, 2));
    tokio::time::advance(31 * SECOND).await;
    assert_eq!(place.prepares(&agent).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_there_already_costs_nothing() {
    let place = place(PrefetchBudget { prefetches: 2, engine_time: SECOND });
    let agent = agent("a");
    place.hears(&agent, &["Where do I park?"]);
    for _ in 0..100 {
        let question = place.prefetcher.next(&agent, None, &[]).expect("offered");
        let outcome = PrefetchOutcome::Found;
        place
            .prefetcher
            .finished(&agent, &Prefetched { question: &question, after: 0, took: Duration::ZERO, outcome });
    }
    assert_eq!((place.counter("found prepared"), place.counter("prepared")), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_used_switches_itself_off() {
    let place = place(PrefetchBudget::default());
    let agent = agent("a");
    for _ in 0..20 {
        place.hears(&agent, &["Where do I park?"]);
    }
    let mut made = 0;
    while made < 60 && place.level("on") == 1.0 {
        made += place.prepares(&agent).len();
        tokio::time::advance(10 * SECOND).await;
    }
    assert_eq!((place.level("on"), place.level("hit rate")), (0.0, 0.0));
    let skipped = place.counter("skipped as not paying");
    assert!(place.prepares(&agent).is_empty());
    assert_eq!(place.counter("skipped as not paying"), skipped + 1);
    tokio::time::advance(Duration::from_mins(11)).await;
    assert_eq!(place.prepares(&agent).len(), 1, "it is tried again");
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_outlives_the_server() {
    let before = place(PrefetchBudget::default());
    before.hears(&agent("a"), &["Where do I park?", "How much is it?"]);
    before.hears(&agent("b"), &["Who are you?"]);
    let after = place(PrefetchBudget::default());
    assert!(after.prefetcher.restore(&before.prefetcher.to_bytes()));
    assert_eq!(after.level("questions"), 3.0);
    for tenant in ["a", "b", "c"] {
        assert_eq!(after.prepares(&agent(tenant)), before.prepares(&agent(tenant)));
    }
    let said = AnsweredQuestion { by: "c", before: None, after: 0, text: "Who are you?", from_cache: false };
    before.prefetcher.learn(&agent("c"), &said);
    assert!(after.prefetcher.restore(&before.prefetcher.to_bytes()));
    let said = AnsweredQuestion { by: "d", ..said };
    after.prefetcher.learn(&agent("c"), &said);
    assert_eq!(after.prepares(&agent("c")), [Arc::from(said.text)], "who asked first is known");
}

proptest! {
    #[test]
    fn damaged_bytes_are_refused(at: prop::sample::Index, bit in 0_u8..8, bytes: Vec<u8>) {
        let place = place(PrefetchBudget::default());
        place.hears(&agent("a"), &["Where do I park?", "How much is it?"]);
        let mut learned = place.prefetcher.to_bytes();
        prop_assert!(!place.prefetcher.restore(&bytes));
        prop_assert!(!place.prefetcher.restore(&learned[..at.index(learned.len())]));
        let at = at.index(learned.len());
        learned[at] ^= 1 << bit;
        prop_assert!(!place.prefetcher.restore(&learned));
        prop_assert_eq!(place.level("questions"), 2.0, "nothing is changed");
    }
}
