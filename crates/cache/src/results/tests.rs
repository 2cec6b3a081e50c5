use antiphon_core::{
    BoxFuture, Embed, EmbedCard, Error, Memories, Memory, PersonId, Priority, Recollection, Result, Search,
    StoreVersion, TenantId,
};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, sleep};

use super::scope::{LookupOutcome, MAX_KEPT, WITHIN};
use super::*;
use crate::CacheOptions;

const UNCOUNTED: StoreVersion = StoreVersion { changes: 0, sweeping: 0 };

/// An embedder that takes ten times longer than anybody waits.
struct Slow;

impl Embed for Slow {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "slow", model: "slow", dimensions: 1 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        Box::pin(async move {
            sleep(WITHIN * 10).await;
            Ok(vec![vec![1.0]; texts.len()])
        })
    }
}

/// A memory without recollections, which is down or has changed without saying how.
struct Forgetful {
    is_down: bool,
}

impl Memories for Forgetful {
    fn of(&self, _: &TenantId, _: &PersonId) -> Arc<dyn Memory> {
        Arc::new(Self { ..*self })
    }
}

impl Memory for Forgetful {
    fn remember(&self, _: String, _: String) -> BoxFuture<'static, Result<()>> {
        let remembered = if self.is_down { Err(Error::unavailable("down")) } else { Ok(()) };
        Box::pin(std::future::ready(remembered))
    }

    fn recall(&self, _: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn profile(&self, _: usize) -> BoxFuture<'static, Result<Vec<String>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

fn cache(kind: Kind) -> Arc<Cache> {
    let options = CacheOptions { kind, max_bytes: 16 << 20, ttl: Duration::from_hours(1) };
    Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)))
}

fn results() -> SearchCache {
    let embed = CachedEmbed::new(Arc::new(Slow), cache(Kind::Embedding));
    SearchCache::new(cache(Kind::Result), Arc::new(embed))
}

fn person(name: &str) -> Name {
    Name { tenant: "tenant".into(), store: "memories".into(), person: Some(name.into()) }
}

fn is_kept(scope: &Scope, query: &str) -> bool {
    matches!(scope.look_up(query, 1, UNCOUNTED), LookupOutcome::Found(_))
}

fn keep(scope: &Scope, query: &str) {
    let LookupOutcome::Missing(place) = scope.look_up(query, 1, UNCOUNTED) else { panic!("known already") };
    scope.keep(&place, UNCOUNTED, query.to_owned(), Bytes::from_static(&[0; 4]), Duration::ZERO);
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
    Changes::new(scope.clone()).changed(vec!["text".to_owned()], UNCOUNTED).await;
    assert_eq!(began.elapsed(), WITHIN);
    assert!(!is_kept(&scope, "query"), "in doubt");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_remembered_is_told_at_once_and_all_is_forgotten() {
    for is_down in [true, false] {
        let results = Arc::new(results());
        let scope = results.scope(person("ada"));
        keep(&scope, "query");
        let memories = CachedMemories::new(Arc::new(Forgetful { is_down }), results.clone(), "memories");
        let began = Instant::now();
        let remembered = memories
            .of(&"tenant".into(), &PersonId::parse("ada").expect("a name"))
            .remember("text".to_owned(), String::new())
            .await;
        assert_eq!((remembered.is_err(), began.elapsed()), (is_down, Duration::ZERO));
        assert!(!is_kept(&scope, "query"), "in doubt");
    }
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
        one.end(UNCOUNTED, &nothing);
        assert!(matches!(scope.look_up("query", 1, UNCOUNTED), LookupOutcome::Unusable));
        other.end(UNCOUNTED, &nothing);
        assert!(!is_kept(&scope, "query"));
    }
}

#[test]
fn a_version_may_be_as_high_as_can_be() {
    const HIGHEST: StoreVersion = StoreVersion { changes: u64::MAX, sweeping: u64::MAX };
    let results = results();
    let scope = results.scope(person("ada"));
    let LookupOutcome::Missing(place) = scope.look_up("query", 1, HIGHEST) else { panic!("known already") };
    let found = [Recollection { text: "found".to_owned(), relevance: 1.0 }];
    scope.keep(&place, HIGHEST, "query".to_owned(), record::write(&[1.0], &found), Duration::ZERO);
    scope.begin(Some(HIGHEST)).end(HIGHEST, &changed::Changed::default());
    assert!(matches!(scope.look_up("query", 1, HIGHEST), LookupOutcome::Found(_)), "it concerned nothing");
}

#[test]
fn nothing_is_kept_in_a_cache_of_another_kind() {
    let results = SearchCache::new(cache(Kind::Embedding), results().embed);
    assert!(matches!(results.scope(person("ada")).look_up("query", 1, UNCOUNTED), LookupOutcome::Unusable));
}
