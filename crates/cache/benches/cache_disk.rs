//! Measures the cache on disk: `cargo bench -p antiphon-cache --bench cache_disk`.
//!
//! 100,000 entries of a reply's and of a short clause's size are put, then asked for in random order: one every millisecond,
//! as a server does, the same while others are written, and one and eight at a time without a pause. All of it lies in the
//! page cache of the system by then: a disk that has to be read adds its own time. What it takes to ask another thread
//! anything, every millisecond, is printed beside: no get can take less. Last comes what it takes to write down that
//! entries were used which memory serves, as many as one sweep tells of.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says so")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use antiphon_cache::{DiskLayer, Entry, Key, KeyBuilder, Kind, Layer};
use antiphon_core::measure::{Component, Histogram, Snapshot};
use futures_util::{StreamExt, stream};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::sync::{mpsc, oneshot};
use tokio::time::interval;

const ENTRIES: u64 = 100_000;
/// The number of gets without a pause.
const GETS: u64 = 100_000;
/// The number of gets of which one is made every millisecond.
const PACED: u64 = 10_000;
const TTL_MS: u64 = 24 * 3_600_000;
const PACE: Duration = Duration::from_millis(1);
/// The most used entries that a sweep reports, and the number of sweeps.
const TOUCHED: usize = 256;
const TOUCHES: usize = 500;
/// Entries put between two flushes: half of what the queue holds.
const AT_ONCE: u64 = 512;
/// The pause between two writes while entries are read: a higher rate than a server's.
const GAP: Duration = Duration::from_millis(2);

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("                              p50 us    p99 us    max us");
    print_spans("a thread that does nothing", &runtime.block_on(hops()));
    for (kind, bytes) in [(Kind::Reply, 2_000), (Kind::Speech, 10_000)] {
        let folder = tempfile::tempdir().expect("a folder");
        runtime.block_on(async {
            let layer = DiskLayer::open(folder.path(), 1 << 40, Arc::new(now_ms)).await.expect("a layer");
            let began = Instant::now();
            put(&*layer, kind, bytes).await;
            let seconds = began.elapsed().as_secs_f64();
            let written = layer.stages()[1].spans().snapshot();
            for (name, spans) in [
                ("every ms", paced_gets(&*layer, kind).await),
                ("every ms, among puts", gets_among_puts(&layer, kind, bytes).await),
                ("one at a time", gets(&*layer, kind, 1).await),
                ("eight at a time", gets(&*layer, kind, 8).await),
                ("256 touched", touches(&*layer, kind).await),
            ] {
                print_spans(&format!("{:<6} {name}", kind.name()), &spans);
            }
            let rate = ENTRIES as f64 / seconds;
            println!("{:<6} put: {rate:.0}/s, {:.1} MB/s", kind.name(), rate * bytes as f64 / 1e6);
            let [p50, p99] = [0.5, 0.99].map(|share| written.percentile(share).as_secs_f64() * 1e3);
            println!("{:<6} a transaction: p50 {p50:.1} ms, p99 {p99:.1} ms", kind.name());
        });
        let (stored, put) = (size(folder.path()), (ENTRIES * bytes as u64) as f64);
        println!("{:<6} file: {:.0} MB, {:.2} of the bytes put", kind.name(), stored / 1e6, stored / put);
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn print_spans(name: &str, spans: &Snapshot) {
    let [p50, p99, max] =
        [spans.percentile(0.5), spans.percentile(0.99), spans.max()].map(|span| span.as_secs_f64() * 1e6);
    println!("{name:<27} {p50:8.1}  {p99:8.1}  {max:8.1}");
}

/// Round trips to another thread, for comparison.
async fn hops() -> Snapshot {
    let (ask, mut asked) = mpsc::channel::<oneshot::Sender<()>>(1);
    let thread = std::thread::spawn(move || {
        while let Some(answer) = asked.blocking_recv() {
            let _ = answer.send(());
        }
    });
    let spans = Histogram::default();
    let mut pace = interval(PACE);
    for _ in 0..PACED {
        pace.tick().await;
        let began = Instant::now();
        let (answer, answered) = oneshot::channel();
        ask.send(answer).await.expect("it listens");
        answered.await.expect("it answers");
        spans.record(began.elapsed());
    }
    drop(ask);
    thread.join().expect("it ends");
    spans.snapshot()
}

fn key(kind: Kind, n: u64) -> Key {
    KeyBuilder::new(kind, "tenant").add(n.to_le_bytes()).build()
}

fn entry(kind: Kind, n: u64, bytes: usize) -> Arc<Entry> {
    let mut value = vec![0; bytes];
    SmallRng::seed_from_u64(n).fill_bytes(&mut value);
    Arc::new(Entry {
        kind,
        key: key(kind, n),
        tenant: "tenant".into(),
        label: "What time do you open tomorrow?".into(),
        value: value.into(),
        made_ms: now_ms(),
        expires_ms: now_ms() + TTL_MS,
        cost: Duration::from_millis(300),
        prefetched: false,
    })
}

fn now_ms() -> u64 {
    UNIX_EPOCH.elapsed().expect("later than 1970").as_millis() as u64
}

async fn put(layer: &dyn Layer, kind: Kind, bytes: usize) {
    for n in 0..ENTRIES {
        layer.put(entry(kind, n, bytes));
        if n % AT_ONCE == AT_ONCE - 1 {
            layer.flush().await;
        }
    }
    layer.flush().await;
}

async fn gets(layer: &dyn Layer, kind: Kind, at_a_time: usize) -> Snapshot {
    let spans = &Histogram::default();
    let mut random = SmallRng::seed_from_u64(1);
    let keys = (0..GETS).map(move |_| key(kind, random.random_range(0..ENTRIES)));
    stream::iter(keys)
        .for_each_concurrent(at_a_time, |key| async move {
            let began = Instant::now();
            assert!(matches!(layer.get(kind, key).await, Ok(Some(_))), "all are there");
            spans.record(began.elapsed());
        })
        .await;
    spans.snapshot()
}

async fn paced_gets(layer: &dyn Layer, kind: Kind) -> Snapshot {
    let spans = Histogram::default();
    let mut random = SmallRng::seed_from_u64(2);
    let mut pace = interval(PACE);
    for _ in 0..PACED {
        let key = key(kind, random.random_range(0..ENTRIES));
        pace.tick().await;
        let began = Instant::now();
        assert!(matches!(layer.get(kind, key).await, Ok(Some(_))), "all are there");
        spans.record(began.elapsed());
    }
    spans.snapshot()
}

async fn gets_among_puts(layer: &Arc<DiskLayer>, kind: Kind, bytes: usize) -> Snapshot {
    let writing = layer.clone();
    let writer = tokio::spawn(async move {
        let mut gap = interval(GAP);
        for n in ENTRIES.. {
            gap.tick().await;
            writing.put(entry(kind, n, bytes));
        }
    });
    let spans = paced_gets(&**layer, kind).await;
    writer.abort();
    spans
}

/// The time until an entry is written.
async fn touches(layer: &dyn Layer, kind: Kind) -> Snapshot {
    let spans = Histogram::default();
    let mut random = SmallRng::seed_from_u64(3);
    for _ in 0..TOUCHES {
        let keys: Vec<Key> = (0..TOUCHED).map(|_| key(kind, random.random_range(0..ENTRIES))).collect();
        let began = Instant::now();
        layer.touch(kind, &keys);
        layer.flush().await;
        spans.record(began.elapsed());
    }
    spans.snapshot()
}

/// The size of the database without its log, which does not depend on the entries.
fn size(folder: &Path) -> f64 {
    std::fs::metadata(folder.join("cache.db")).expect("a database").len() as f64
}
