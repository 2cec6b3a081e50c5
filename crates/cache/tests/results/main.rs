//! Cached searches before stores that change: nothing stale is found, and nobody finds what belongs to somebody else.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../given/mod.rs"]
mod given;
mod real;
mod stores;

use std::sync::Arc;
use std::time::Duration;

use antiphon_cache::{Cache, CacheOptions, CachedEmbed, CachedKnowledge, CachedMemories, Kind, SearchCache};
use antiphon_core::{
    BoxFuture, Embed, Knowledge, Memories, PersonId, Requester, Search, StoreChange, StoreVersion, TenantId,
};
use antiphon_memory::InProcessMemories;
use futures_util::FutureExt;
use proptest::prelude::*;
use stores::{FallibleLetters, Persons, Texts};
use tokio::runtime::{Builder, Runtime};

const LIMIT: usize = 3;

const TTL: Duration = Duration::from_hours(1);
const ROOM: usize = 64 << 20;

/// The tenant in tests with a single one.
fn tenant() -> TenantId {
    TenantId::new("tenant")
}

fn person(name: &str) -> PersonId {
    PersonId::parse(name).expect("a name")
}

fn search(about: impl Into<String>) -> Search {
    Search { requester: Requester::server(tenant()), about: about.into(), limit: LIMIT }
}

fn embed(engine: Arc<dyn Embed>) -> Arc<CachedEmbed> {
    let options = CacheOptions { kind: Kind::Embedding, max_bytes: ROOM, ttl: TTL };
    Arc::new(CachedEmbed::new(engine, Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)))))
}

fn results(embed: &Arc<CachedEmbed>) -> Arc<SearchCache> {
    let options = CacheOptions { kind: Kind::Result, max_bytes: ROOM, ttl: TTL };
    let cache = Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)));
    Arc::new(SearchCache::new(cache, Arc::clone(embed)))
}

/// Requests that go on step by step and may be dropped before they end.
#[derive(Default)]
struct UnderWay(Vec<BoxFuture<'static, ()>>);

impl UnderWay {
    fn begin<T: 'static>(&mut self, work: impl Future<Output = T> + Send + 'static) {
        let mut work = work.map(drop).boxed();
        if (&mut work).now_or_never().is_none() {
            self.0.push(work);
        }
    }

    fn step(&mut self, at: usize) {
        if let Some(at) = at.checked_rem(self.0.len())
            && (&mut self.0[at]).now_or_never().is_some()
        {
            drop(self.0.swap_remove(at));
        }
    }

    fn cancel(&mut self, at: usize) {
        if let Some(at) = at.checked_rem(self.0.len()) {
            drop(self.0.swap_remove(at));
        }
    }
}

/// How the cache learns of a change.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// The cache is told which texts changed.
    Texts,
    /// The cache is told that something changed.
    Something,
    /// The cache is told nothing and has to notice by itself.
    Nothing,
}

#[derive(Clone, Debug)]
enum Step {
    /// A search that must find the same as the store.
    Search(String),
    /// A search that is answered some steps later.
    BeginSearch(String),
    Add(String),
    Remove(usize),
    GoOn(usize),
    Cancel(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // There are few letters, so that texts are near each other, and few words, so that questions repeat.
    let query = || "[ab]{1,2}|[c-e]{1,2}";
    let text = || "[a-e]{1,4}!?".prop_filter("the store cannot embed it", |text| !text.ends_with('!'));
    let step = prop_oneof![
        6 => query().prop_map(Step::Search),
        3 => query().prop_map(Step::BeginSearch),
        2 => text().prop_map(Step::Add),
        1 => any::<usize>().prop_map(Step::Remove),
        6 => any::<usize>().prop_map(Step::GoOn),
        1 => any::<usize>().prop_map(Step::Cancel),
    ];
    prop::collection::vec(step, 1..80)
}

fn told() -> impl Strategy<Value = (bool, Told)> {
    // If a store does not count its changes, the cache must be told of each of them.
    prop_oneof![
        Just((true, Told::Texts)),
        Just((true, Told::Something)),
        Just((true, Told::Nothing)),
        Just((false, Told::Texts)),
        Just((false, Told::Something)),
    ]
}

/// Runs one request to its end while no other goes on. Time passes as needed, so that a request which waits for one that does
/// not go on takes over.
struct Alone(Runtime);

impl Alone {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        Self(runtime.expect("a runtime"))
    }

    fn ask<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.block_on(work)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_search_finds_what_the_store_would_find(steps in steps(), (counts, told) in told()) {
            let alone = Alone::new();
            let _inside = alone.0.enter();
            let embed = embed(Arc::new(FallibleLetters));
            let results = results(&embed);
            let store = Texts::new(embed, counts);
            let cached = CachedKnowledge::new(Arc::new(store.clone()), &results, tenant(), "documents");
            let cached = Arc::new(cached);
            let mut under_way = UnderWay::default();
            for step in steps {
                let changed = match step {
                    Step::Search(about) => {
                        let expected = alone.ask(Knowledge::search(&store, search(&about)));
                        assert_eq!(alone.ask(cached.search(search(&about))), expected, "{about}");
                        None
                    }
                    Step::BeginSearch(about) => {
                        under_way.begin(cached.search(search(about)));
                        None
                    }
                    Step::Add(text) => {
                        let version = alone.ask(store.add(&text)).expect("works");
                        Some((text, version))
                    }
                    Step::Remove(at) => store.remove(at),
                    Step::GoOn(at) => {
                        under_way.step(at);
                        None
                    }
                    Step::Cancel(at) => {
                        under_way.cancel(at);
                        None
                    }
                };
                if let Some((text, version)) = changed {
                    match told {
                        Told::Texts => under_way.begin(cached.changes().changed(vec![text], version)),
                        Told::Something => cached.changes().invalidate(),
                        Told::Nothing => {}
                    }
                }
            }
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Recall(String),
    BeginRecall(String),
    Remember(String),
    BeginRemember(String),
    GoOn(usize),
    Cancel(usize),
}

/// Who does what: a tenant and a person.
fn deeds() -> impl Strategy<Value = Vec<(usize, usize, Deed)>> {
    let query = || "[ab]{1,2}|[c-e]{1,2}";
    let text = || "[a-e]{1,4}";
    let deed = prop_oneof![
        6 => query().prop_map(Deed::Recall),
        2 => query().prop_map(Deed::BeginRecall),
        2 => text().prop_map(Deed::Remember),
        1 => text().prop_map(Deed::BeginRemember),
        4 => any::<usize>().prop_map(Deed::GoOn),
        1 => any::<usize>().prop_map(Deed::Cancel),
    ];
    prop::collection::vec((0_usize..2, 0_usize..3, deed), 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn everybody_recalls_what_is_remembered_of_them_alone(deeds in deeds(), counts: bool) {
            let alone = Alone::new();
            let _inside = alone.0.enter();
            let embed = embed(Arc::new(FallibleLetters));
            let results = results(&embed);
            // Each tenant has a store of its own. The stores have the same name, and so have their persons.
            let stores = [0, 1].map(|_| Arc::new(Persons::new(embed.clone(), counts)));
            let cached = [0, 1].map(|at| {
                let store: Arc<dyn Memories> = stores[at].clone();
                CachedMemories::new(store, results.clone(), "memories")
            });
            let mut under_way = UnderWay::default();
            for (tenant, person, deed) in deeds {
                let person = ["ada", "bob", "ad"][person];
                let (of, person) = (TenantId::new(["one", "other"][tenant]), self::person(person));
                let (store, cached) = (stores[tenant].of(&of, &person), cached[tenant].of(&of, &person));
                match deed {
                    Deed::Recall(about) => {
                        let expected = alone.ask(store.recall(search(&about)));
                        assert_eq!(alone.ask(cached.recall(search(about))), expected);
                        assert_eq!(alone.ask(cached.profile(LIMIT)), alone.ask(store.profile(LIMIT)));
                    }
                    Deed::BeginRecall(about) => under_way.begin(cached.recall(search(about))),
                    Deed::Remember(text) => alone.ask(cached.remember(text, String::new())).expect("works"),
                    Deed::BeginRemember(text) => under_way.begin(cached.remember(text, String::new())),
                    Deed::GoOn(at) => under_way.step(at),
                    Deed::Cancel(at) => under_way.cancel(at),
                }
            }
    }
}

fn knowledge(counts: bool) -> (Texts, CachedKnowledge, Arc<SearchCache>) {
    let embed = embed(Arc::new(FallibleLetters));
    let (results, store) = (results(&embed), Texts::new(embed, counts));
    let cached = CachedKnowledge::new(Arc::new(store.clone()), &results, tenant(), "documents");
    (store, cached, results)
}

async fn found(knowledge: &dyn Knowledge, about: &str) -> Vec<String> {
    let found = knowledge.search(search(about)).await.expect("works");
    found.into_iter().map(|passage| passage.text).collect()
}

#[tokio::test(start_paused = true)]
async fn what_has_nothing_to_do_with_a_change_stays() {
    let (store, cached, results) = knowledge(true);
    store.add("aaa").await.expect("works");
    store.add("zzz").await.expect("works");
    assert_eq!(
        (found(&cached, "a").await, found(&cached, "z").await),
        (vec!["aaa".into()], vec!["zzz".into()])
    );
    let version = store.add("aa").await.expect("works");
    cached.changes().changed(vec!["aa".to_owned()], version).await;
    let before = results.cache().counts();
    assert_eq!(found(&cached, " z ").await, ["zzz"]);
    assert_eq!(results.cache().counts().hits, before.hits + 1, "kept");
    assert_eq!(found(&cached, "a").await.len(), 2);
    assert_eq!(results.cache().counts().hits, before.hits + 1, "searched again");
}

#[tokio::test(start_paused = true)]
async fn limits_tenants_and_stores_are_kept_apart() {
    let (store, cached, results) = knowledge(true);
    store.add("aaa").await.expect("works");
    store.add("aab").await.expect("works");
    assert_eq!(found(&cached, "a").await.len(), 2);
    assert_eq!(cached.search(Search { limit: 1, ..search("a") }).await.map(|found| found.len()), Ok(1));
    for (tenant, name) in [("tenant", "other"), ("other", "documents"), ("tenantdocuments", "")] {
        let empty = Texts::new(Arc::new(FallibleLetters), true);
        let other = CachedKnowledge::new(Arc::new(empty), &results, tenant.into(), name);
        let asked = Search { requester: Requester::server(tenant.into()), ..search("a") };
        assert_eq!(other.search(asked).await.map(|found| found.len()), Ok(0));
    }
    let same = CachedKnowledge::new(Arc::new(store), &results, tenant(), "documents");
    assert_eq!(found(&same, "a").now_or_never().map(|found| found.len()), Some(2), "the same store, at once");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_while_a_change_is_under_way() {
    let (store, cached, results) = knowledge(false);
    store.add("aaa").await.expect("works");
    found(&cached, "a").await;
    let changed = cached.changes().changed(vec!["zzz".to_owned()], StoreVersion::default());
    let hits = results.cache().counts().hits;
    found(&cached, "a").await;
    assert_eq!(results.cache().counts().hits, hits, "not asked yet what it concerns");
    changed.await;
    found(&cached, "a").await;
    assert_eq!(results.cache().counts().hits, hits + 1, "it concerned something else");
    drop(cached.changes().changed(vec!["zzz".to_owned()], StoreVersion::default()));
    found(&cached, "a").await;
    assert_eq!(results.cache().counts().hits, hits + 1, "never told: in doubt");
}

#[tokio::test(start_paused = true)]
async fn in_doubt_all_is_forgotten() {
    let (store, cached, results) = knowledge(true);
    store.add("aaa").await.expect("works");
    let searched_again = async || {
        let misses = results.cache().counts().misses;
        found(&cached, "a").await;
        results.cache().counts().misses > misses
    };
    assert!(searched_again().await && !searched_again().await);
    let version = store.add("zzz!").await;
    assert!(version.is_err(), "nothing was added");
    cached.changes().changed(vec!["z!".to_owned()], store.version().after(StoreChange::Passages)).await;
    assert!(searched_again().await, "what it concerns cannot be told");
    let version = store.add("zzz").await.expect("works");
    store.add("zzzz").await.expect("works");
    cached.changes().changed(vec!["zzz".to_owned()], version.after(StoreChange::Passages)).await;
    assert!(searched_again().await, "something else has changed as well");
    store.add("zzzz").await.expect("works");
    assert!(searched_again().await && !searched_again().await, "it was not told what");
}

#[tokio::test(start_paused = true)]
async fn switched_off_and_on_again_nothing_stale_is_left() {
    let (store, cached, results) = knowledge(false);
    store.add("aaa").await.expect("works");
    assert_eq!(found(&cached, "a").await.len(), 1);
    results.cache().set_on(false);
    store.add("aab").await.expect("works");
    cached.changes().changed(vec!["aab".to_owned()], StoreVersion::default()).await;
    assert_eq!(found(&cached, "a").await.len(), 2);
    results.cache().set_on(true);
    assert_eq!(found(&cached, "a").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_remembered_is_recalled() {
    // A full store drops its oldest text with each new one, so that every turn drops all cached results.
    let embed = embed(Arc::new(FallibleLetters));
    let store = Arc::new(InProcessMemories::new(embed.clone()));
    let cached = CachedMemories::new(store, results(&embed), "memories");
    let ada = cached.of(&tenant(), &person("ada"));
    for n in 0..600 {
        let said = format!("{} {n}", ["abc", "xyz"][n % 2]);
        ada.remember(said.clone(), String::new()).await.expect("works");
        let recalled = cached
            .of(&tenant(), &person("ada"))
            .recall(Search { limit: 1_000, ..search(["cba", "zyx"][n % 2]) })
            .await
            .expect("works");
        assert!(recalled.iter().any(|recollection| recollection.text == said));
        assert!(recalled.len() <= 250 + 1);
    }
}
