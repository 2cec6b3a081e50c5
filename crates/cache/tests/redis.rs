//! The cache in Redis against a real server, which is killed, stopped and filled, and whose entries are damaged.
#![expect(clippy::disallowed_methods, reason = "waits for another process")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use antiphon_cache::{
    Cache, CacheOptions, Clock, Draft, Entry, Key, KeyBuilder, Kind, Layer, RedisLayer, Selection, Usage,
};
use antiphon_core::measure::Component;
use antiphon_core::{ErrorKind, Priority, lock};
use antiphon_testkit::{RedisServer, free_port};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use redis::{Connection, cmd};

/// How long a test waits for what happens in the background. The breaker probes a lost server at least once a minute.
const LIMIT: Duration = Duration::from_mins(3);
/// The longest that a get may take on a very slow machine. It should take 20 ms at most.
const SLOWEST: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_hours(1);
/// The states of a breaker as its measurement gives them.
const OPEN: f64 = 2.0;
const CLOSED: f64 = 0.0;
/// The tenants and questions of [`Servers`].
const TENANTS: [&str; 2] = ["ann", "bob"];
const QUESTIONS: [&str; 3] = ["who?", "where?", "when?"];

macro_rules! server {
    ($($argument:expr),*) => {
        RedisServer::start(&[$($argument),*]).expect("redis-server starts")
    };
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn clock() -> Clock {
    Arc::new(now_ms)
}

fn key(tenant: &str, question: impl AsRef<[u8]>) -> Key {
    KeyBuilder::new(Kind::Reply, tenant).add(question).build()
}

fn entry(tenant: &str, question: &str) -> Entry {
    let made_ms = now_ms();
    Entry {
        kind: Kind::Reply,
        key: key(tenant, question),
        tenant: tenant.into(),
        label: question.into(),
        value: format!("{tenant} {question}").into(),
        made_ms,
        expires_ms: made_ms + TTL.as_millis() as u64,
        cost: Duration::from_millis(300),
        prefetched: false,
    }
}

fn draft(tenant: &str, question: &str, value: &str) -> Draft {
    Draft {
        key: key(tenant, question),
        tenant: tenant.into(),
        label: question.to_owned(),
        value: value.to_owned().into(),
        cost: Duration::from_millis(300),
        priority: Priority::LiveTurn,
    }
}

fn cache(layer: &Arc<RedisLayer>) -> Cache {
    let options = CacheOptions { kind: Kind::Reply, max_bytes: 1 << 20, ttl: TTL };
    Cache::new(options, vec![layer.clone()], clock())
}

fn name(key: Key) -> String {
    key.as_bytes().iter().fold("antiphon:cache:reply:".to_owned(), |mut name, byte| {
        write!(name, "{byte:02x}").expect("memory");
        name
    })
}

fn of_tenant(tenant: &str) -> Selection {
    Selection { kind: Some(Kind::Reply), tenant: Some(tenant.into()), expired_ms: None }
}

fn counter(layer: &RedisLayer, name: &str) -> u64 {
    layer.counters().into_iter().find(|counter| counter.name == name).expect("a counter").value
}

fn level(layer: &RedisLayer, name: &str) -> f64 {
    layer.levels().into_iter().find(|level| level.name == name).expect("a level").value
}

/// Waits until the condition holds, which happens in the background.
macro_rules! until {
    ($what:expr, $done:expr) => {
        let end = Instant::now() + LIMIT;
        while !$done {
            assert!(Instant::now() < end, "waited in vain until {}", $what);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
}

/// The answer of Redis. A request that was too slow because the machine is busy is made again.
macro_rules! answer {
    ($request:expr) => {{
        let end = Instant::now() + LIMIT;
        loop {
            match $request.await {
                Ok(answer) => break answer,
                Err(error) => assert!(Instant::now() < end, "no answer: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }};
}

/// A layer that is connected to the server.
async fn connected(url: &str) -> Arc<RedisLayer> {
    let layer = RedisLayer::new(url, clock()).expect("a URL");
    until!("it is connected", layer.get(Kind::Reply, key("nobody", "nothing")).await.is_ok());
    layer
}

/// Puts entries straight into Redis.
fn store(redis: &mut Connection, entries: &[Entry]) {
    let mut pipe = redis::pipe();
    for entry in entries {
        pipe.cmd("SET").arg(name(entry.key)).arg(entry.to_bytes()).arg("PX").arg(TTL.as_millis() as u64);
    }
    pipe.exec(redis).expect("stored");
}

fn exists(redis: &mut Connection, key: Key) -> bool {
    cmd("EXISTS").arg(name(key)).query(redis).expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_a_server_whose_clock_is_ahead_is_not_served() {
    const YEAR: u64 = 365 * 24 * 3_600_000;
    let server = server!();
    let mut redis = server.connection().expect("raw");
    let late = |question: &str, ms: u64| {
        let entry = entry("ann", question);
        Entry { made_ms: entry.made_ms + ms, expires_ms: entry.expires_ms + ms, ..entry }
    };
    store(&mut redis, &[late("who?", 30 * YEAR), late("where?", 1_000)]);
    let layer = connected(&server.url()).await;
    let found = answer!(layer.get(Kind::Reply, key("ann", "who?")));
    assert_eq!(found, None, "it would be served for thirty years");
    let found = answer!(layer.get(Kind::Reply, key("ann", "where?")));
    assert!(found.is_some(), "clocks differ by a second now and then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_puts_another_gets() {
    let server = server!();
    let layers = [connected(&server.url()).await, connected(&server.url()).await];
    let [one, other] = [cache(&layers[0]), cache(&layers[1])];
    let key = key("a", "how late is it?");
    until!("the other gets it", {
        one.put(draft("a", "how late is it?", "late"));
        layers[0].flush().await;
        other.get("a", &key).await.is_some()
    });
    let found = other.get("a", &key).await.expect("in memory by now");
    assert_eq!((&found.value[..], &*found.tenant, &*found.label), (&b"late"[..], "a", "how late is it?"));
    assert!(other.get("b", &key).await.is_none(), "another tenant does not");
    assert_eq!(other.counts().below, 1, "once from Redis, then from memory");
    assert!(counter(&layers[0], "written") >= 1);
    let left: i64 = cmd("PTTL").arg(name(key)).query(&mut server.connection().expect("raw")).expect("a time");
    assert!(left > 0 && left <= TTL.as_millis() as i64, "{left} ms");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put,
    Get,
    Steal,
    Remove,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize, usize, usize)>> {
    let step = prop_oneof![
        4 => Just(Step::Put),
        4 => Just(Step::Get),
        2 => Just(Step::Steal),
        1 => Just(Step::Remove),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec((step, 0_usize..2, 0_usize..2, 0_usize..3), 1..40)
}

/// Two servers that share one Redis and have a cache each, and what two tenants may find there.
struct Servers {
    layers: [Arc<RedisLayer>; 2],
    caches: [Cache; 2],
    /// The values that were put for each tenant and question since they were last removed.
    put: HashMap<(usize, usize), Vec<String>>,
    /// Whether a request was too late. Then entries that were put may be lost, and removed ones may come back.
    is_late: bool,
}

impl Servers {
    async fn new(url: &str) -> Self {
        let layers = [connected(url).await, connected(url).await];
        let caches = [cache(&layers[0]), cache(&layers[1])];
        Self { layers, caches, put: HashMap::new(), is_late: false }
    }

    async fn take(&mut self, n: usize, (step, at, tenant, question): (Step, usize, usize, usize)) {
        let (name, text) = (TENANTS[tenant], QUESTIONS[question]);
        let key = key(name, text);
        // The two caches also keep entries in memory, while a new cache has to ask Redis.
        let new = cache(&self.layers[at]);
        match step {
            Step::Put => {
                let value = format!("{name} {text} {n}");
                self.caches[at].put(draft(name, text, &value));
                self.put.entry((tenant, question)).or_default().push(value);
            }
            Step::Get => {
                let own = format!("{name} {text} ");
                for (cache, in_memory) in [(&new, false), (&self.caches[at], true)] {
                    let Some(found) = cache.get(name, &key).await else { continue };
                    let value = String::from_utf8_lossy(&found.value).into_owned();
                    assert!(*found.tenant == *name && value.starts_with(&own), "{name} got {value}");
                    let put = self.put.get(&(tenant, question));
                    let forgotten = !put.is_some_and(|put| put.contains(&value));
                    assert!(in_memory || !forgotten || self.late(), "{value} is forgotten");
                }
            }
            Step::Steal => {
                let thief = TENANTS[1 - tenant];
                assert!(new.get(thief, &key).await.is_none(), "{thief} got what is {name}'s");
                assert!(self.caches[at].get(thief, &key).await.is_none(), "{thief} got what is {name}'s");
            }
            Step::Remove => {
                self.flush().await;
                for cache in &self.caches {
                    cache.remove(vec![key]).await;
                }
                self.is_late |= self.layers[at].remove(Kind::Reply, vec![key]).await.is_err();
                self.flush().await;
                self.put.remove(&(tenant, question));
            }
            Step::Clear => {
                self.flush().await;
                self.is_late |= self.layers[at].clear(of_tenant(name)).await.is_err();
                for cache in &self.caches {
                    cache.clear(&of_tenant(name));
                }
                self.put.retain(|(of, _), _| *of != tenant);
            }
        }
    }

    async fn flush(&self) {
        for layer in &self.layers {
            layer.flush().await;
        }
    }

    fn late(&self) -> bool {
        let lost = |layer: &Arc<RedisLayer>| counter(layer, "failures") + counter(layer, "dropped") > 0;
        self.is_late || self.layers.iter().any(lost)
    }
}

#[test]
fn no_tenant_gets_anothers_entry_and_only_what_is_meant_is_forgotten() {
    let server = server!();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = ProptestConfig {
        cases: 48,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let checked = TestRunner::new(config).run(&steps(), |steps| {
        let mut redis = server.connection().expect("raw");
        cmd("FLUSHALL").exec(&mut redis).expect("empty");
        let servers = runtime.block_on(async {
            let mut servers = Servers::new(&server.url()).await;
            for (n, step) in steps.into_iter().enumerate() {
                servers.take(n, step).await;
            }
            servers.flush().await;
            servers
        });
        for (tenant, question) in (0..2).flat_map(|tenant| (0..3).map(move |question| (tenant, question))) {
            let is_there = exists(&mut redis, key(TENANTS[tenant], QUESTIONS[question]));
            let expected = servers.put.contains_key(&(tenant, question));
            prop_assert!(is_there == expected || servers.late(), "{tenant} {question}: {is_there}");
        }
        Ok(())
    });
    checked.expect("it holds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_under_load_fails_no_get_and_hits_come_back() {
    let mut server = server!();
    let layer = connected(&server.url()).await;
    let known = entry("a", "known");
    store(&mut server.connection().expect("raw"), std::slice::from_ref(&known));
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..8_u32)
        .map(|n| {
            let (layer, over, known) = (layer.clone(), over.clone(), known.key);
            tokio::spawn(async move {
                let (cache, mut slowest) = (cache(&layer), Duration::ZERO);
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    assert!(cache.get("a", &key("a", n.to_le_bytes())).await.is_none(), "nobody put it");
                    let _ = layer.get(Kind::Reply, known).await;
                    slowest = slowest.max(began.elapsed() / 2);
                    cache.put(draft("a", "something else", "to write"));
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                slowest
            })
        })
        .collect();
    let hit = async || matches!(layer.get(Kind::Reply, known.key).await, Ok(Some(found)) if *found == known);
    until!("there is a hit", hit().await);
    server.kill().expect("killed");
    until!("the breaker opens", level(&layer, "breaker") == OPEN);
    assert_eq!(layer.get(Kind::Reply, known.key).await.expect_err("away").kind(), ErrorKind::Unavailable);
    server.restart().expect("there again");
    until!("the breaker closes", level(&layer, "breaker") == CLOSED);
    until!("hits come back", hit().await);
    over.store(true, Ordering::Relaxed);
    for task in load {
        let slowest = task.await.expect("no get fails");
        assert!(slowest < SLOWEST, "a get took {slowest:?}");
    }
    assert!(counter(&layer, "reconnects") >= 1 && counter(&layer, "failures") >= 1);
    assert!(counter(&layer, "dropped") >= 1, "what was put meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_is_left_alone_until_it_answers() {
    let server = server!();
    let layer = connected(&server.url()).await;
    let known = entry("a", "known");
    store(&mut server.connection().expect("raw"), std::slice::from_ref(&known));
    server.signal("STOP").expect("stopped");
    until!("the breaker opens", {
        let began = Instant::now();
        assert!(layer.get(Kind::Reply, known.key).await.is_err(), "it does not answer");
        assert!(began.elapsed() < SLOWEST, "a get took {:?}", began.elapsed());
        level(&layer, "breaker") == OPEN
    });
    layer.put(Arc::new(entry("a", "dropped")));
    layer.flush().await;
    assert_eq!(counter(&layer, "dropped"), 1);
    assert!(layer.clear(Selection::default()).await.is_err(), "nothing can be forgotten now");
    server.signal("CONT").expect("goes on");
    until!("the breaker closes", level(&layer, "breaker") == CLOSED);
    until!("there is a hit", matches!(layer.get(Kind::Reply, known.key).await, Ok(Some(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_at_the_start_is_found_later() {
    let mut server = server!();
    server.kill().expect("killed");
    let layer = RedisLayer::new(&server.url(), clock()).expect("starts without it");
    assert!(layer.get(Kind::Reply, key("a", "b")).await.is_err());
    until!("the breaker opens", level(&layer, "breaker") == OPEN);
    server.restart().expect("there");
    until!("it is found", layer.get(Kind::Reply, key("a", "b")).await.is_ok());
    assert_eq!(counter(&layer, "reconnects"), 0, "it is the first connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_or_foreign_is_not_served_but_forgotten() {
    let server = server!();
    let layer = connected(&server.url()).await;
    let mut redis = server.connection().expect("raw");
    let entries =
        ["cut", "flipped", "moved", "other kind", "list", "huge"].map(|question| entry("a", question));
    let whole = entries[0].to_bytes();
    let mut flipped = entries[1].to_bytes();
    flipped[50] ^= 1;
    let kind = Entry { kind: Kind::Speech, ..entries[3].clone() };
    let huge = Entry { value: vec![7; 2 << 20].into(), ..entries[5].clone() };
    let values = [&whole[..whole.len() - 1], &flipped, &entry("b", "moved").to_bytes(), &kind.to_bytes()];
    for (entry, value) in entries.iter().zip(values) {
        cmd("SET").arg(name(entry.key)).arg(value).exec(&mut redis).expect("set");
    }
    cmd("LPUSH").arg(name(entries[4].key)).arg("a").exec(&mut redis).expect("pushed");
    store(&mut redis, &[huge]);
    for entry in &entries {
        until!(
            "there is an answer",
            match layer.get(Kind::Reply, entry.key).await {
                Ok(found) => {
                    assert_eq!(found, None, "{}", entry.label);
                    !exists(&mut redis, entry.key)
                }
                Err(_) => false,
            }
        );
    }
    assert!(counter(&layer, "damaged") >= 6);
    until!(
        "what is not there is not damaged",
        matches!(layer.get(Kind::Reply, key("a", "none")).await, Ok(None))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_forgets_by_itself_what_has_expired() {
    let server = server!();
    let layer = connected(&server.url()).await;
    let mut redis = server.connection().expect("raw");
    let now = now_ms();
    let short = Entry { expires_ms: now + 500, ..entry("a", "short") };
    let over = Entry { expires_ms: now - 1, ..entry("a", "over") };
    let for_ever = Entry { expires_ms: u64::MAX, ..entry("a", "for ever") };
    for entry in [&short, &over, &for_ever] {
        layer.put(Arc::new(entry.clone()));
    }
    layer.flush().await;
    until!("it is gone", !exists(&mut redis, short.key));
    assert!(!exists(&mut redis, over.key), "never written");
    assert!(exists(&mut redis, for_ever.key) || counter(&layer, "failures") > 0);
    // Redis may be late, and its clock may differ: an entry that has expired is not served.
    store(&mut redis, std::slice::from_ref(&over));
    until!("there is an answer", matches!(layer.get(Kind::Reply, over.key).await, Ok(None)));
    assert_eq!(counter(&layer, "damaged"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_is_what_is_meant() {
    let server = server!();
    let layer = connected(&server.url()).await;
    let mut redis = server.connection().expect("raw");
    let of = |tenant: &str| (0..2_000).map(|n| entry(tenant, &n.to_string())).collect::<Vec<_>>();
    store(&mut redis, &of("ann"));
    store(&mut redis, &of("anna"));
    let speech = Entry { kind: Kind::Speech, ..entry("ann", "hello") };
    let speech_name = name(speech.key).replace("reply", "speech");
    cmd("SET").arg(&speech_name).arg(speech.to_bytes()).exec(&mut redis).expect("set");
    cmd("SET").arg("antiphon:cache:reply:x").arg("somebody else's").exec(&mut redis).expect("set");
    let entries = async |kind| answer!(layer.usage(kind)).entries;

    let past = Selection { expired_ms: Some(now_ms()), ..of_tenant("ann") };
    assert_eq!(answer!(layer.clear(past.clone())), 0, "nothing has expired");
    let soon = entry("ann", "soon").key;
    store(&mut redis, &[entry("ann", "soon")]);
    cmd("PEXPIRE").arg(name(soon)).arg(600_000).exec(&mut redis).expect("set");
    let later = Selection { expired_ms: Some(now_ms() + 1_200_000), ..Selection::default() };
    assert_eq!(answer!(layer.clear(later.clone())), 1);
    assert!(!exists(&mut redis, soon));

    assert_eq!(answer!(layer.clear(of_tenant("nobody").clone())), 0);
    assert_eq!(answer!(layer.clear(of_tenant("ann").clone())), 2_000);
    assert_eq!(entries(Kind::Reply).await, 2_000, "the other tenant's");
    assert_eq!(entries(Kind::Speech).await, 1, "the other kind");
    let anyones = Selection { kind: Some(Kind::Reply), ..Selection::default() };
    assert_eq!(answer!(layer.clear(anyones.clone())), 2_000);
    assert_eq!(answer!(layer.clear(Selection::default().clone())), 1);
    let left: Vec<String> = cmd("KEYS").arg("*").query(&mut redis).expect("names");
    assert_eq!(left, ["antiphon:cache:reply:x"], "what is not ours stays");
    assert_eq!(answer!(layer.usage(Kind::Reply)), Usage::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_used_are_listed_first() {
    let server = server!();
    let layer = connected(&server.url()).await;
    let mut redis = server.connection().expect("raw");
    let used = |n: u64| Entry { made_ms: n, ..entry("a", &format!("used {n} s ago")) };
    for seconds in [30, 10, 50, 20, 40] {
        let (entry, value) = (used(seconds), "value");
        store(&mut redis, std::slice::from_ref(&entry));
        let dump: Vec<u8> = cmd("DUMP").arg(name(entry.key)).query(&mut redis).expect(value);
        let mut restore = cmd("RESTORE");
        restore.arg(name(entry.key)).arg(0).arg(dump).arg("REPLACE").arg("IDLETIME").arg(seconds * 1_000);
        restore.exec(&mut redis).expect("restored");
    }
    let labels =
        |entries: Vec<Arc<Entry>>| entries.iter().map(|entry| entry.label.to_string()).collect::<Vec<_>>();
    let kind = Selection { kind: Some(Kind::Reply), ..Selection::default() };
    let listed = labels(answer!(layer.list(kind.clone(), 3)));
    assert_eq!(listed, ["used 10 s ago", "used 20 s ago", "used 30 s ago"]);

    store(&mut redis, &[entry("b", "another's")]);
    cmd("SET").arg(name(key("a", "damaged"))).arg("damaged").exec(&mut redis).expect("set");
    let listed = labels(answer!(layer.list(of_tenant("a").clone(), 100)));
    assert_eq!(listed.len(), 5);
    // The lists above read some entries, which counts as their use; in Redis 7.2 and later the others count as not used.
    assert_eq!(listed[3..], ["used 40 s ago", "used 50 s ago"]);
    assert!(labels(answer!(layer.list(Selection::default().clone(), 100))).contains(&"another's".to_owned()));
    assert_eq!(counter(&layer, "damaged"), 1);
    assert_eq!(answer!(layer.list(of_tenant("a").clone(), 0)), []);

    cmd("CONFIG").arg(&["SET", "maxmemory-policy", "allkeys-lfu"]).exec(&mut redis).expect("set");
    let listed = labels(answer!(layer.list(of_tenant("a").clone(), 100)));
    assert_eq!(listed[0], "used 50 s ago", "when they were used is not known: the newest first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_does_not_come_back() {
    let server = server!();
    let layer = connected(&server.url()).await;
    let mut redis = server.connection().expect("raw");
    // The entries are so large that it takes longer to write them than to send the command that removes them.
    let large = |n: u32| Arc::new(Entry { value: vec![7; 8 << 10].into(), ..entry("a", &n.to_string()) });
    let entries: Vec<Arc<Entry>> = (0..1_000).map(large).collect();
    let put = || entries.iter().for_each(|entry| layer.put(entry.clone()));
    put();
    let keys: Vec<Key> = entries.iter().map(|entry| entry.key).collect();
    let removed = layer.remove(Kind::Reply, keys.clone()).await;
    let mut left = || keys.iter().filter(|key| exists(&mut redis, **key)).count();
    assert!(left() == 0 || removed.is_err() || counter(&layer, "failures") > 0, "{} came back", left());
    put();
    let cleared = layer.clear(of_tenant("a")).await;
    assert!(left() == 0 || cleared.is_err() || counter(&layer, "failures") > 0, "{} came back", left());
}

#[tokio::test]
async fn a_layer_that_is_dropped_leaves_no_task() {
    let server = server!();
    let layer = connected(&server.url()).await;
    layer.put(Arc::new(entry("a", "the last")));
    drop(layer);
    until!("its tasks end", tokio::runtime::Handle::current().metrics().num_alive_tasks() == 0);
}

#[tokio::test]
async fn more_than_there_is_room_for_is_dropped_and_counted() {
    let url = format!("redis://127.0.0.1:{}", free_port().expect("a port"));
    let layer = RedisLayer::new(&url, clock()).expect("a URL");
    // Nothing is awaited here, so that the writer on this thread takes nothing from the queue meanwhile.
    let small = Arc::new(entry("a", "small"));
    (0..5_000).for_each(|_| layer.put(small.clone()));
    let queue = layer.levels().into_iter().find(|level| level.name == "queue").expect("a level");
    assert_eq!(Some(queue.value), queue.limit);
    assert_eq!(counter(&layer, "dropped"), 5_000 - queue.value as u64);
    layer.flush().await;
    assert_eq!(counter(&layer, "dropped"), 5_000, "there is nowhere to write to");
    let large = Arc::new(Entry { value: vec![0; 1 << 20].into(), ..entry("a", "large") });
    (0..100).for_each(|_| layer.put(large.clone()));
    let memory = layer.levels().into_iter().find(|level| level.name == "queue memory").expect("a level");
    assert!(memory.limit.is_some_and(|limit| memory.value > limit / 2.0 && memory.value <= limit));
    layer.flush().await;
    assert_eq!((counter(&layer, "dropped"), level(&layer, "queue memory")), (5_100, 0.0));
}

#[tokio::test]
async fn a_full_redis_still_serves() {
    let server = server!("--maxmemory-policy", "noeviction");
    let log = Log::default();
    let _kept = tracing::subscriber::set_default(log.clone());
    let layer = connected(&server.url()).await;
    let mut redis = server.connection().expect("raw");
    let known = entry("a", "known");
    store(&mut redis, std::slice::from_ref(&known));
    cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).exec(&mut redis).expect("set");
    until!("writes are refused", {
        layer.put(Arc::new(entry("a", "too much")));
        layer.flush().await;
        log.lines("keeps no entries") == 1
    });
    layer.put(Arc::new(entry("a", "too much")));
    layer.flush().await;
    until!("there is a hit", matches!(layer.get(Kind::Reply, known.key).await, Ok(Some(_))));
    assert_eq!((counter(&layer, "written"), log.lines("keeps no entries")), (0, 1));
    cmd("CONFIG").arg(&["SET", "maxmemory", "0"]).exec(&mut redis).expect("set");
    until!("there is room again", {
        layer.put(Arc::new(entry("a", "enough")));
        layer.flush().await;
        counter(&layer, "written") > 0
    });
    assert_eq!(log.lines("keeps entries again"), 1);
}

#[tokio::test]
async fn an_outage_is_one_warning_and_nobody_is_told_the_password() {
    let mut server = server!("--requirepass", "open-sesame");
    let log = Log::default();
    let _kept = tracing::subscriber::set_default(log.clone());
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port());
    let (right, wrong) = (url("open-sesame"), url("close-sesame"));
    let layer = connected(&right).await;
    server.kill().expect("killed");
    until!("the breaker opens", level(&layer, "breaker") == OPEN);
    for _ in 0..100 {
        assert!(
            !layer.get(Kind::Reply, key("a", "b")).await.expect_err("away").to_string().contains("sesame")
        );
    }
    let failures = counter(&layer, "failures");
    until!("it was looked for in vain", counter(&layer, "failures") > failures);
    assert!(log.lines("go on without it") == 1 + log.lines("works again"), "{log:?}");
    server.restart().expect("there again");
    until!("it is found", log.lines("works again") == log.lines("go on without it"));
    assert_eq!(log.lines("WARN"), log.lines("works again"), "{log:?}");
    drop(layer);

    let layer = RedisLayer::new(&wrong, clock()).expect("a URL");
    until!("it is refused", log.lines("password is refused") == 1);
    assert_eq!(level(&layer, "breaker"), OPEN, "at once: asking again does not help");
    assert!(!format!("{layer:?} {log:?}").contains("sesame"), "{layer:?} {log:?}");
    let error = RedisLayer::new("redis://:open-sesame@", clock()).expect_err("no host");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!error.to_string().contains("sesame"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_repeats_what_it_is_sent_or_says_nothing_does_no_harm() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("redis://:open-sesame@{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let (Ok(mut stream), repeats) = (stream, n % 2 == 0) else { continue };
            let mut sent = [0; 1_000];
            if let Ok(length) = stream.read(&mut sent) {
                let said = String::from_utf8_lossy(&sent[..length]).replace("\r\n", " ");
                let _ = if repeats { write!(stream, "-ERR {said}\r\n") } else { stream.write_all(&sent) };
            }
        }
    });
    let layer = RedisLayer::new(&url, clock()).expect("a URL");
    until!("the breaker opens", {
        let began = Instant::now();
        let error = layer.get(Kind::Reply, key("a", "b")).await.expect_err("no Redis");
        assert!(began.elapsed() < SLOWEST && !error.to_string().contains("sesame"), "{error}");
        level(&layer, "breaker") == OPEN
    });
}

/// The lines that were logged on this thread.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// How many lines hold `text`.
    fn lines(&self, text: &str) -> usize {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            write!(line, " {field}={value:?}").expect("memory");
        });
        lock(&self.0).push(line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
