//! Measures the cache in Redis, with a Redis server of its own on this machine:
//! `cargo bench -p antiphon-cache --bench cache_redis`.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says so")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use antiphon_cache::{Entry, Key, KeyBuilder, Kind, Layer, RedisLayer, Selection};
use antiphon_core::measure::{Component, Histogram};
use antiphon_testkit::RedisServer;
use futures_util::future::join_all;
use tokio::runtime::Runtime;

const ENTRIES: u32 = 1_000;
const GETS: u32 = 40_000;
const PUTS: u32 = 100_000;
const OTHERS: u32 = 1_000_000;
/// Entries put between two flushes: not more than the queue holds.
const PUTS_AT_ONCE: u32 = 1_000;
const SIZES: [(&str, usize); 3] = [("1 KiB", 1 << 10), ("6 KiB", 6 << 10), ("100 KiB", 100 << 10)];

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn main() {
    let options = ["--appendonly", "no", "--enable-debug-command", "local"];
    let mut server = RedisServer::start(&options).expect("redis-server starts");
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let clock = Arc::new(|| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |it| it.as_millis() as u64)
        });
        let layer = RedisLayer::new(&server.url(), clock).expect("a URL");
        reached(&layer).await;
        println!("puts              entries/s     MiB/s   dropped");
        for (name, size) in SIZES {
            let (puts, dropped) = put(&layer, size).await;
            println!("  of {name:<10} {puts:12.0} {:9.1} {dropped:9}", puts * size as f64 / 1_048_576.0);
        }
        println!("gets                callers      gets/s    p50 us    p99 us    max us    failed");
        for (name, size) in SIZES {
            // More large entries at a time would measure how fast memory is copied.
            for callers in [1, if size > 10_000 { 10 } else { 100 }] {
                reached(&layer).await;
                fill(&layer, size).await;
                let (spans, rate, failed) = get(&layer, callers).await;
                let [p50, p99, max] =
                    [0.5, 0.99, 1.0].map(|share| spans.percentile(share).as_secs_f64() * 1e6);
                println!("  of {name:<10} {callers:12} {rate:11.0} {p50:9.1} {p99:9.1} {max:9.1} {failed:9}");
            }
        }
        let mut redis = server.connection().expect("a connection");
        redis::cmd("DEBUG").arg("POPULATE").arg(OTHERS).exec(&mut redis).expect("others' keys");
        let own = Selection { tenant: Some("bench".into()), ..Selection::default() };
        let others = Selection { kind: Some(Kind::Speech), ..Selection::default() };
        for (what, selection) in [("1,000 of a tenant's entries", own), ("nothing", others)] {
            reached(&layer).await;
            let began = Instant::now();
            let cleared = layer.clear(selection).await.expect("cleared");
            println!(
                "{what} ({cleared}) cleared among {OTHERS} other keys: {:.2} s",
                began.elapsed().as_secs_f64()
            );
        }
        server.kill().expect("killed");
        while layer.levels().iter().any(|level| level.name == "breaker" && level.value < 2.0) {
            let _ = layer.get(Kind::Reply, key(0)).await;
        }
        let (spans, ..) = get(&layer, 1).await;
        println!("a get while Redis is away: {:.1} us", spans.percentile(0.5).as_secs_f64() * 1e6);
        server.restart().expect("there again");
        println!("found again after {:.1} s", reached(&layer).await.as_secs_f64());
    });
}

fn key(n: u32) -> Key {
    KeyBuilder::new(Kind::Reply, "bench").add(n.to_le_bytes()).build()
}

fn entry(n: u32, size: usize) -> Arc<Entry> {
    Arc::new(Entry {
        kind: Kind::Reply,
        key: key(n),
        tenant: "bench".into(),
        label: "a question".into(),
        value: vec![n as u8; size].into(),
        made_ms: 0,
        expires_ms: u64::MAX,
        cost: Duration::from_millis(300),
        prefetched: false,
    })
}

/// Waits until gets are answered; gives how long that took.
async fn reached(layer: &RedisLayer) -> Duration {
    let began = Instant::now();
    while layer.get(Kind::Reply, key(0)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}

async fn fill(layer: &RedisLayer, size: usize) {
    for n in 0..ENTRIES {
        layer.put(entry(n, size));
        if n % 100 == 99 {
            layer.flush().await;
        }
    }
}

/// Writes for a while; gives the entries written in a second and the number dropped.
async fn put(layer: &RedisLayer, size: usize) -> (f64, u64) {
    let counter = |name: &str| {
        layer.counters().into_iter().find(|counter| counter.name == name).map_or(0, |counter| counter.value)
    };
    let (written, dropped) = (counter("written"), counter("dropped"));
    // As many entries as the queue's memory takes.
    let at_once = PUTS_AT_ONCE.min(((12 << 20) / size) as u32);
    let entries: Vec<Arc<Entry>> = (0..at_once).map(|n| entry(n, size)).collect();
    let began = Instant::now();
    for _ in 0..(PUTS / at_once).min(((2 << 30) / size) as u32 / at_once) {
        for entry in &entries {
            layer.put(entry.clone());
        }
        layer.flush().await;
    }
    ((counter("written") - written) as f64 / began.elapsed().as_secs_f64(), counter("dropped") - dropped)
}

/// How long gets took, how many there were in a second, and how many found nothing: an answer was late, or several were
/// and the breaker kept the next from asking.
async fn get(layer: &Arc<RedisLayer>, callers: u32) -> (antiphon_core::measure::Snapshot, f64, u32) {
    let spans = Arc::new(Histogram::default());
    let began = Instant::now();
    let tasks = (0..callers).map(|caller| {
        let (layer, spans) = (layer.clone(), spans.clone());
        tokio::spawn(async move {
            let mut failed = 0;
            for n in 0..GETS / callers {
                let began = Instant::now();
                let found = layer.get(Kind::Reply, key((n * 7 + caller * 31) % ENTRIES)).await;
                spans.record(began.elapsed());
                failed += u32::from(!matches!(found, Ok(Some(_))));
            }
            failed
        })
    });
    let failed = join_all(tasks).await.into_iter().map(|failed| failed.expect("no panic")).sum();
    (spans.snapshot(), f64::from(GETS) / began.elapsed().as_secs_f64(), failed)
}
