//! The cost of a turn's plan, and the gain of running its steps in parallel: `cargo bench -p antiphon-agent
//! --bench plan`.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints figures, and stops when anything is amiss"
)]

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_agent::plan::{Found, Plan, Step};
use tokio::time::sleep;

const NAMES: [&str; 4] = ["emotion", "memory", "profile", "knowledge"];

/// Four steps that each wait for `wait`, as for a remote engine.
fn steps(wait: Duration) -> Vec<Step<u64>> {
    let step = |name| {
        Step::new(name, Duration::from_secs(1), move |_: &u64| async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            Ok(Box::new(|turn: &mut u64| *turn += 1) as Found<u64>)
        })
    };
    NAMES.map(step).into()
}

async fn run(plan: &Arc<Plan<u64>>) {
    let mut planned = plan.clone().start(0);
    poll_fn(|cx| planned.poll_ready(cx)).await;
    assert_eq!(*planned.turn(), 4);
}

/// Turns per second when this many callers have turns at the same time.
async fn turns_per_second(plan: &Arc<Plan<u64>>, callers: usize, turns: usize) -> f64 {
    let since = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let plan = plan.clone();
            tokio::spawn(async move {
                for _ in 0..turns {
                    run(&plan).await;
                }
            })
        })
        .collect();
    let total = callers.len() * turns;
    for caller in callers {
        caller.await.expect("runs");
    }
    total as f64 / since.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let (parallel, rounds) = (Arc::new(Plan::default().then(steps(Duration::ZERO))), 200_000);
    for _ in 0..rounds / 10 {
        run(&parallel).await;
    }
    let mut took: Vec<Duration> = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let since = Instant::now();
        run(&parallel).await;
        took.push(since.elapsed());
    }
    took.sort();
    let at = |share: f64| took[(share * (rounds - 1) as f64) as usize].as_secs_f64() * 1e6;
    println!("a plan of four steps that answer at once    p50 {:.2} us   p99 {:.2} us", at(0.5), at(0.99));

    let wait = Duration::from_millis(20);
    let side_by_side = Arc::new(Plan::default().then(steps(wait)));
    let one_by_one =
        Arc::new(steps(wait).into_iter().fold(Plan::default(), |plan, step| plan.then(vec![step])));
    for callers in [1, 100] {
        let (fast, slow) = (
            turns_per_second(&side_by_side, callers, 20).await,
            turns_per_second(&one_by_one, callers, 20).await,
        );
        println!(
            "four steps of 20 ms, {callers:3} callers    side by side {fast:7.1}/s   one by one {slow:7.1}/s   ratio {:.2}",
            fast / slow
        );
    }
}
