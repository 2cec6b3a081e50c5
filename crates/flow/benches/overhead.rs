//! What the decorators in front of an engine cost: `cargo bench -p antiphon-flow --bench overhead`.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_core::measure::Stage;
use antiphon_core::{
    BoxStream, ChatDelta, ChatRequest, FinishReason, Llm, LlmCard, Priority, RateLimits, Requester, Result,
    Share, Usage,
};
use antiphon_flow::{AnswerBounds, Breaker, Guarded, LimitBounds, Scheduler, Targets};
use futures_util::{FutureExt, StreamExt, stream};

const CALLS: u32 = 2_000_000;
const REQUESTS: u32 = 200_000;
/// Requests of the open loop: one a millisecond for 10 s.
const ARRIVALS: u32 = 10_000;
const GAP: Duration = Duration::from_millis(1);

/// A model that answers at once.
struct Ready;

impl Llm for Ready {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "ready", model: "m" }
    }

    fn chat(&self, _: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        stream::iter([Ok(ChatDelta::Text("a".to_owned())), Ok(done)]).boxed()
    }
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let inside = runtime.enter();
    let bounds = AnswerBounds { first: Duration::from_secs(2), stall: Duration::from_secs(2) };
    let target = Targets::default().add("llm ready", bounds, LimitBounds::default(), &RateLimits::default());
    let bare: Arc<dyn Llm> = Arc::new(Ready);
    let guarded = Guarded::new(bare.clone(), target);
    let figures = [
        ("breaker: let through and report", breaker()),
        ("scheduler: acquire and release", scheduler()),
        ("bare request", time(REQUESTS, || ask(&*bare))),
        ("guarded request", time(REQUESTS, || ask(&guarded))),
    ];
    let (bare, guarded) = (open_loop(&*bare), open_loop(&guarded));
    drop(inside);
    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
    {
        for (name, ns) in figures {
            println!("{name:<36} {ns:8.0} ns");
        }
        for (name, [p50, p99]) in [("bare", bare), ("guarded", guarded)] {
            println!("{name} at 1,000 requests/s: p50 {p50:.1} us, p99 {p99:.1} us");
        }
    }
    Ok(())
}

fn breaker() -> f64 {
    let breaker = Arc::new(Breaker::new("llm test".into()));
    let now = tokio::time::Instant::now();
    time(CALLS, || {
        if let Ok(ticket) = black_box(&breaker).allow(now) {
            ticket.ok(now);
        }
    })
}

fn scheduler() -> f64 {
    let wait = Arc::new(Stage::new("wait"));
    let scheduler = Arc::new(Scheduler::new("llm test".into(), LimitBounds::default(), wait));
    time(CALLS, || drop(black_box(&scheduler).acquire(Priority::LiveTurn, Share::Server).now_or_never()))
}

/// Reads the whole answer, for which nothing has to be awaited.
fn ask(llm: &dyn Llm) {
    black_box(llm.chat(ChatRequest::new(Requester::local(), Vec::new())).count().now_or_never());
}

/// How long one step takes, in nanoseconds.
fn time(steps: u32, mut step: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..steps).for_each(|_| step());
    began.elapsed().as_secs_f64() / f64::from(steps) * 1e9
}

/// Microseconds from when a request is due until its answer is there: the median and the 99th percentile.
fn open_loop(llm: &dyn Llm) -> [f64; 2] {
    let began = Instant::now();
    let mut latencies: Vec<f64> = (0..ARRIVALS)
        .map(|n| {
            let due = began + GAP * n;
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            ask(llm);
            due.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    latencies.sort_by(f64::total_cmp);
    [0.5, 0.99].map(|share| latencies[(share * f64::from(ARRIVALS)) as usize])
}
