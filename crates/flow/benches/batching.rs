//! What batching costs when there is nothing to batch, and what it saves under load:
//! `cargo bench -p antiphon-flow --bench batching`.
//!
//! The cost is in real time. The load is in virtual time, so that the figures are those of the method and not of the
//! machine: a simulated embedding server takes 20 ms and 1 ms a text, and 200 callers keep a schedule, whatever they
//! are answered.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says so")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use antiphon_core::measure::{Snapshot, Stage};
use antiphon_core::{BoxFuture, Embed, EmbedCard, Priority, Result};
use antiphon_flow::{BatchLimits, Batched, Batcher, Operation};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until};

const SAMPLES: u32 = 100_000;
const CALLERS: u32 = 200;
const LOAD: Duration = Duration::from_mins(1);

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn main() {
    println!("an item when nothing else runs, real time     direct   batched     added");
    for (name, mut builder) in
        [("one thread", Builder::new_current_thread()), ("all threads", Builder::new_multi_thread())]
    {
        let runtime = builder.enable_time().build().expect("a runtime");
        let (direct, batched) = idle(&runtime);
        println!("  {name:<40} {direct:8.2}  {batched:8.2}  {:8.2} us", batched - direct);
    }
    println!();
    println!("texts/s  server         engine             texts   calls  fewer   p50 ms  p95 ms  p99 ms");
    for rate in [1, 20, 200, 500] {
        for at_a_time in [Semaphore::MAX_PERMITS, 8] {
            let mut direct = 0;
            for (name, limits) in engines() {
                let (calls, spans) = load(rate, at_a_time, limits);
                direct = if limits.is_none() { calls } else { direct };
                let server = if at_a_time == 8 { "8 at a time" } else { "any number" };
                let ms = |share| spans.percentile(share).as_secs_f64() * 1e3;
                println!(
                    "{rate:7}  {server:<13}  {name:<15} {:8} {calls:7} {:6.1}  {:7.1} {:7.1} {:7.1}",
                    spans.count(),
                    direct as f64 / calls as f64,
                    ms(0.5),
                    ms(0.95),
                    ms(0.99),
                );
            }
        }
    }
}

/// What stands between the callers and the server.
fn engines() -> [(&'static str, Option<BatchLimits>); 3] {
    let one = BatchLimits::default();
    [("direct", None), ("1 run", Some(one)), ("4 runs", Some(BatchLimits { max_runs: 4, ..one }))]
}

struct Instantly;

impl Operation for Instantly {
    type Item = u32;
    type Output = u32;
    type Key = u32;

    fn name(&self) -> &'static str {
        "instantly"
    }

    fn key(&self, item: &u32) -> Option<u32> {
        Some(*item)
    }

    fn run(&self, items: Vec<u32>, _: Priority) -> BoxFuture<'static, Vec<Result<u32>>> {
        Box::pin(async move { items.into_iter().map(Ok).collect() })
    }
}

/// How long an item takes without and with a batcher, in microseconds.
fn idle(runtime: &Runtime) -> (f64, f64) {
    let micros = |began: Instant| began.elapsed().as_secs_f64() / f64::from(SAMPLES) * 1e6;
    // The callers run in a task of the runtime, as real ones do.
    let task = runtime.spawn(async move {
        let began = Instant::now();
        for n in 0..SAMPLES {
            assert_eq!(Instantly.run(vec![n], Priority::LiveTurn).await[0], Ok(n));
        }
        let direct = micros(began);
        let batcher = Batcher::new(Instantly);
        let began = Instant::now();
        for n in 0..SAMPLES {
            assert_eq!(batcher.run(n, Priority::LiveTurn).await, Ok(n));
        }
        (direct, micros(began))
    });
    runtime.block_on(task).expect("does not panic")
}

/// A server that takes 20 ms plus 1 ms a text, with as many calls at a time as there are permits.
struct Server {
    calls: AtomicU64,
    permits: Arc<Semaphore>,
}

impl Embed for Server {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "server", model: "simulated", dimensions: 1 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let permits = Arc::clone(&self.permits);
        Box::pin(async move {
            let _permit = permits.acquire().await;
            sleep(Duration::from_millis(20 + texts.len() as u64)).await;
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        })
    }
}

/// How many calls `rate` texts a second make, and how long each text takes from when it was due.
fn load(rate: u32, at_a_time: usize, limits: Option<BatchLimits>) -> (u64, Snapshot) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async move {
        let permits = Arc::new(Semaphore::new(at_a_time));
        let server = Arc::new(Server { calls: AtomicU64::new(0), permits });
        let engine: Arc<dyn Embed> = match limits {
            None => server.clone(),
            Some(limits) => Arc::new(Batched::new(server.clone(), limits)),
        };
        let spans = Arc::new(Stage::new("text"));
        let start = tokio::time::Instant::now();
        let callers = (0..CALLERS).map(|caller| {
            let (engine, spans) = (Arc::clone(&engine), Arc::clone(&spans));
            tokio::spawn(async move {
                let turns = rate * LOAD.as_secs() as u32 / CALLERS;
                for turn in 0..turns.max(u32::from(caller < 60)) {
                    let text = turn * CALLERS + caller;
                    let due = start + Duration::from_secs_f64(jittered(text) / f64::from(rate));
                    sleep_until(due).await;
                    let (engine, spans) = (Arc::clone(&engine), Arc::clone(&spans));
                    tokio::spawn(async move {
                        let embedded = engine.embed(vec![format!("text {text}")], Priority::LiveTurn).await;
                        assert!(embedded.is_ok(), "{embedded:?}");
                        spans.record(due.elapsed());
                    });
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("does not panic");
        }
        sleep(LOAD).await;
        (server.calls.load(Ordering::Relaxed), spans.spans().snapshot())
    })
}

/// The place in the schedule with a delay of up to ten places (Knuth's multiplicative hash), because callers do not come at
/// regular intervals.
fn jittered(place: u32) -> f64 {
    f64::from(place) + f64::from(place.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX) * 10.0
}
