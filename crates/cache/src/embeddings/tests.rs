use std::collections::HashMap;
use std::sync::Mutex;

use antiphon_core::lock;
use antiphon_core::measure::Component;
use futures_util::future::{join_all, try_join};
use futures_util::{FutureExt, poll};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::*;
use crate::{CacheOptions, Layer, Selection, Usage};

const TOOK: Duration = Duration::from_millis(20);

/// Takes 20 ms a call. Refuses "bad", is down for "down"; a text's vector is its length and the sum of its bytes.
#[derive(Default)]
struct Server {
    model: &'static str,
    calls: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Embed for Server {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "server", model: self.model, dimensions: 2 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let calls = Arc::clone(&self.calls);
        Box::pin(async move {
            calls.lock().expect("not poisoned").push(texts.clone());
            sleep(TOOK).await;
            let says = |word: &str| texts.iter().any(|text| text == word);
            match (says("bad"), says("down"), says("odd")) {
                (true, _, _) => Err(Error::invalid("bad text")),
                (_, true, _) => Err(Error::unavailable("down")),
                (_, _, true) => Ok(vec![vec![f32::NAN, 1.0]; texts.len()]),
                _ => Ok(texts.iter().map(|text| vector(text)).collect()),
            }
        })
    }
}

fn vector(text: &str) -> Vec<f32> {
    vec![text.len() as f32, text.bytes().map(f32::from).sum()]
}

/// A layer that outlives the process.
#[derive(Default)]
struct Disk(Mutex<HashMap<Key, Arc<Entry>>>);

impl Component for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }
}

impl Layer for Disk {
    fn get(&self, _: Kind, key: Key) -> BoxFuture<'static, Result<Option<Arc<Entry>>>> {
        let found = lock(&self.0).get(&key).cloned();
        Box::pin(sleep(Duration::from_millis(1)).map(|()| Ok(found)))
    }

    fn put(&self, entry: Arc<Entry>) {
        lock(&self.0).insert(entry.key, entry);
    }

    fn remove(&self, _: Kind, _: Vec<Key>) -> BoxFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn clear(&self, _: Selection) -> BoxFuture<'static, Result<u64>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn list(&self, _: Selection, _: usize) -> BoxFuture<'static, Result<Vec<Arc<Entry>>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn usage(&self, _: Kind) -> BoxFuture<'static, Result<Usage>> {
        Box::pin(std::future::ready(Ok(Usage::default())))
    }

    fn flush(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct Setup {
    embed: CachedEmbed,
    cache: Arc<Cache>,
    calls: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Setup {
    fn new(model: &'static str, layers: Vec<Arc<dyn Layer>>) -> Self {
        let ttl = Duration::from_hours(1);
        let options = CacheOptions { kind: Kind::Embedding, max_bytes: 1 << 20, ttl };
        let cache = Arc::new(Cache::new(options, layers, Arc::new(|| 0)));
        let calls = Arc::default();
        let server = Server { model, calls: Arc::clone(&calls) };
        Self { embed: CachedEmbed::new(Arc::new(server), Arc::clone(&cache)), cache, calls }
    }

    async fn embed(&self, texts: &[&str], priority: Priority) -> Result<Vec<Vec<f32>>> {
        self.embed.embed(owned(texts), priority).await
    }

    fn calls(&self) -> Vec<Vec<String>> {
        self.calls.lock().expect("not poisoned").clone()
    }
}

fn setup() -> Setup {
    Setup::new("m", Vec::new())
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_answered_at_once() {
    let setup = setup();
    let made = setup.embed(&["one", "two"], Priority::LiveTurn).await;
    assert_eq!(made, Ok(vec![vector("one"), vector("two")]));
    let again = setup.embed.embed(owned(&["two", " one\n", "two"]), Priority::LiveTurn).now_or_never();
    assert_eq!(again, Some(Ok(vec![vector("two"), vector("one"), vector("two")])));
    assert_eq!(setup.embed.embed(Vec::new(), Priority::LiveTurn).now_or_never(), Some(Ok(Vec::new())));
    assert_eq!(setup.calls(), [owned(&["one", "two"])]);
    let counts = setup.cache.counts();
    assert_eq!((counts.hits, counts.misses, counts.stored), (3, 2, 2));
    assert_eq!(counts.saved, TOOK / 2 * 3, "a text's share of the call");
}

#[tokio::test(start_paused = true)]
async fn only_what_is_missing_is_embedded_in_order_and_once() {
    let setup = setup();
    setup.embed(&["b"], Priority::LiveTurn).await.expect("works");
    let texts = ["d", "b", "a", "d", " a"];
    let vectors = setup.embed(&texts, Priority::LiveTurn).await.expect("works");
    assert_eq!(vectors, texts.map(|text| vector(text.trim())));
    assert_eq!(setup.calls(), [owned(&["b"]), owned(&["d", "a"])]);
}

#[tokio::test(start_paused = true)]
async fn a_stampede_makes_one_call() {
    let setup = setup();
    let requests = (0..200).map(|_| setup.embed(&["same"], Priority::LiveTurn));
    for vectors in join_all(requests).await {
        assert_eq!(vectors, Ok(vec![vector("same")]));
    }
    assert_eq!(setup.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_takes_over_from_who_goes_away() {
    let setup = setup();
    let first = timeout(TOOK / 2, setup.embed(&["same", "other"], Priority::LiveTurn));
    let second = setup.embed(&["same"], Priority::LiveTurn);
    let (first, second) = futures_util::join!(first, second);
    assert!(first.is_err(), "gone");
    assert_eq!(second, Ok(vec![vector("same")]));
    assert_eq!(setup.calls(), [owned(&["same", "other"]), owned(&["same"])]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_long_for_who_has_fallen_asleep() {
    let setup = setup();
    let mut asleep = setup.embed.embed(owned(&["same"]), Priority::LiveTurn);
    assert!(poll!(&mut asleep).is_pending());
    let began = Instant::now();
    assert_eq!(setup.embed(&["same"], Priority::LiveTurn).await, Ok(vec![vector("same")]));
    assert!(began.elapsed() <= PATIENCE + TOOK * 2);
    assert_eq!(asleep.await, Ok(vec![vector("same")]));
}

#[tokio::test(start_paused = true)]
async fn a_live_request_does_not_wait_for_a_batch() {
    let setup = setup();
    let batch = setup.embed(&["same", "other"], Priority::Batch);
    let live = async {
        sleep(TOOK / 4).await;
        let live = setup.embed(&["same"], Priority::LiveTurn);
        let batch = async {
            sleep(TOOK / 4).await;
            setup.embed(&["same"], Priority::Batch).await
        };
        try_join(live, batch).await
    };
    let (batch, live) = try_join(batch, live).await.expect("works");
    assert_eq!((batch.len(), live), (2, (vec![vector("same")], vec![vector("same")])));
    assert_eq!(setup.calls(), [owned(&["same", "other"]), owned(&["same"])], "the last one joined");
}

#[tokio::test(start_paused = true)]
async fn errors_are_told_to_whoever_waits_and_not_kept() {
    let setup = setup();
    let requests = (0..10).map(|_| setup.embed(&["down"], Priority::LiveTurn));
    for outcome in join_all(requests).await {
        assert_eq!(outcome.expect_err("down").kind(), ErrorKind::Unavailable);
    }
    assert_eq!(setup.calls().len(), 1);
    assert!(setup.embed(&["down"], Priority::LiveTurn).await.is_err());
    assert_eq!(setup.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_text_fails_nobody_who_did_not_ask_for_it() {
    let setup = setup();
    let both = setup.embed(&["bad", "good"], Priority::LiveTurn);
    let good = setup.embed(&["good"], Priority::LiveTurn);
    let bad = setup.embed(&["bad"], Priority::LiveTurn);
    let (both, good, bad) = futures_util::join!(both, good, bad);
    assert_eq!(good, Ok(vec![vector("good")]));
    for refused in [both.map(drop), bad.map(drop)] {
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Invalid);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_vector_is_told_and_not_kept() {
    let setup = setup();
    let error = setup.embed(&["odd"], Priority::LiveTurn).await.expect_err("not a number");
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(setup.cache.usage().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn vectors_outlive_the_process_for_the_same_model() {
    let disk = Arc::new(Disk::default());
    let before = Setup::new("m", vec![disk.clone()]);
    before.embed(&["one", "two"], Priority::Batch).await.expect("works");
    let after = Setup::new("m", vec![disk.clone()]);
    let vectors = after.embed(&["two", "three", "one"], Priority::LiveTurn).await.expect("works");
    assert_eq!(vectors, ["two", "three", "one"].map(vector));
    assert_eq!(after.calls(), [owned(&["three"])]);
    let other = Setup::new("other", vec![disk]);
    other.embed(&["one"], Priority::LiveTurn).await.expect("works");
    assert_eq!(other.calls(), [owned(&["one"])]);
}

#[tokio::test(start_paused = true)]
async fn damaged_vectors_are_made_again() {
    let nan = [1.0_f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
    for damaged in [vec![], vec![0; 7], vec![0; 12], nan] {
        let disk = Arc::new(Disk::default());
        let setup = Setup::new("m", vec![disk.clone()]);
        let key = setup.embed.0.key("one");
        setup.embed.0.keep(key, damaged.into(), TOOK, Priority::LiveTurn);
        assert_eq!(setup.embed(&["one"], Priority::LiveTurn).await, Ok(vec![vector("one")]));
        assert_eq!(setup.embed(&["one"], Priority::LiveTurn).await, Ok(vec![vector("one")]));
        assert_eq!(setup.calls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_is_not_there() {
    let setup = setup();
    setup.cache.set_on(false);
    for _ in 0..2 {
        assert_eq!(setup.embed(&["one", "one"], Priority::LiveTurn).await.map(|v| v.len()), Ok(2));
    }
    assert_eq!(setup.calls(), [owned(&["one", "one"]), owned(&["one", "one"])]);
    assert_eq!(setup.cache.usage().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn no_text_is_kept() {
    let setup = setup();
    setup.embed(&["my secret"], Priority::LiveTurn).await.expect("works");
    for entry in setup.cache.list(&Selection::default(), 10) {
        assert!(!entry.to_bytes().windows(6).any(|window| window == b"secret"));
    }
}

/// A request: texts, priority, when it comes and how long it waits, in milliseconds.
fn requests() -> impl Strategy<Value = Vec<(Vec<String>, bool, u64, u64)>> {
    let request = (prop::collection::vec("[a-d]", 0..5), any::<bool>(), 0_u64..100, 1_u64..100);
    prop::collection::vec(request, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whoever_comes_and_goes_everybody_gets_what_the_engine_gives(requests in requests()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let setup = setup();
            let requests = requests.into_iter().map(|(texts, live, comes, waits)| {
                let setup = &setup;
                async move {
                    sleep(Duration::from_millis(comes)).await;
                    let priority = if live { Priority::LiveTurn } else { Priority::Batch };
                    let vectors = setup.embed.embed(texts.clone(), priority);
                    if let Ok(vectors) = timeout(Duration::from_millis(waits), vectors).await {
                        assert_eq!(vectors, Ok(texts.iter().map(|text| vector(text)).collect()));
                    }
                }
            });
            join_all(requests).await;
            assert!(lock(&setup.embed.0.flights.0).is_empty());
        });
    }
}
