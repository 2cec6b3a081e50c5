use antiphon_core::{BoxFuture, Embed, Priority, Result};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, sleep};

use super::scope::{Looked, MAX_KEPT, WITHIN};
use super::*;
use crate::cache::{CacheOptions, Kind};

/// Takes ten times longer than anybody waits.
struct Slow;

impl Embed for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn model(&self) -> &'static str {
        "slow"
    }

    fn dimensions(&self) -> usize {
        1
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        Box::pin(async move {
            sleep(WITHIN * 10).await;
            Ok(vec![vec![1.0]; texts.len()])
        })
    }
}

fn results() -> SearchCache {
    let cache = |kind| {
        let options = CacheOptions { kind, max_bytes: 16 << 20, ttl: Duration::from_hours(1) };
        Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)))
    };
    let embed = CachedEmbed::new(Arc::new(Slow), cache(Kind::Embedding));
    SearchCache::new(cache(Kind::Result), Arc::new(embed))
}

fn person(name: &str) -> Name {
    Name { tenant: "tenant".into(), store: "memories".into(), person: Some(name.into()) }
}

fn is_kept(scope: &Scope, query: &str) -> bool {
    matches!(scope.look_up(query, 1, 0), Looked::Found(_))
}

fn keep(scope: &Scope, query: &str) {
    let Looked::Missing(place) = scope.look_up(query, 1, 0) else { panic!("known already") };
    scope.keep(&place, 0, query.to_owned(), Bytes::from_static(&[0; 4]), Duration::ZERO);
}

#[test]
fn of_a_scope_the_latest_is_kept() {
    let results = results();
    let scope = results.scope(person("ada"));
    for n in 0..=MAX_KEPT {
        keep(&scope, &n.to_string());
    }
    assert!(!is_kept(&scope, "0") && is_kept(&scope, "1") && is_kept(&scope, &MAX_KEPT.to_string()));
    assert_eq!(results.cache().usage().entries, MAX_KEPT as u64);
}

#[test]
fn a_scope_that_is_held_stays_the_only_one_of_its_name() {
    let results = results();
    let held = results.scope(person("held"));
    keep(&held, "query");
    keep(&results.scope(person("gone")), "query");
    for n in 0..MAX_SCOPES {
        results.scope(person(&n.to_string()));
    }
    assert!(results.scopes.lock().expect("not poisoned").len() <= MAX_SCOPES);
    assert!(Arc::ptr_eq(&held, &results.scope(person("held"))));
    assert!(is_kept(&held, "query") && !is_kept(&results.scope(person("gone")), "query"));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_engine_that_is_slow() {
    let results = results();
    let scope = results.scope(person("ada"));
    keep(&scope, "query");
    let began = Instant::now();
    Changes::new(scope.clone()).changed(vec!["text".to_owned()], 0).await;
    assert_eq!(began.elapsed(), WITHIN);
    assert!(!is_kept(&scope, "query"), "in doubt");
}

#[tokio::test(start_paused = true)]
async fn changes_at_the_same_time_forget_all() {
    let results = results();
    let scope = results.scope(person("ada"));
    for first in [true, false] {
        keep(&scope, "query");
        let nothing = changed::Changed::default();
        let (one, other) = (scope.begin(None), scope.begin(None));
        let (one, other) = if first { (one, other) } else { (other, one) };
        one.end(0, &nothing);
        assert!(matches!(scope.look_up("query", 1, 0), Looked::Unknown));
        other.end(0, &nothing);
        assert!(!is_kept(&scope, "query"));
    }
}
