use antiphon_core::{ErrorKind, FinishReason, Requester, Usage};

use super::*;
use crate::fallback::tests::{Do, Live, play};

/// A model whose first token is slow for a share of requests.
struct Model {
    /// How many of a hundred requests are slow.
    slow: u64,
    fails: bool,
    asked: AtomicU64,
    live: Live,
}

impl Llm for Model {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "model", model: "m" }
    }

    fn chat(&self, _: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst);
        let dice = (nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % 100;
        let wait = if dice < self.slow { 3_000 } else { 100 + dice };
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        if self.fails {
            return play(vec![Do::Wait(wait), Do::Fail(ErrorKind::Unavailable)], &self.live);
        }
        let text = ChatDelta::Text("Hello.".to_owned());
        play(vec![Do::Wait(wait), Do::Give(text), Do::Wait(50), Do::Give(done)], &self.live)
    }
}

fn model(slow: u64, fails: bool, live: &Live) -> Arc<dyn Llm> {
    Arc::new(Model { slow, fails, asked: AtomicU64::new(0), live: live.clone() })
}

/// The times to the first item.
async fn times(llm: &dyn Llm, requests: usize, priority: Priority) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..requests {
        let since = Instant::now();
        let mut answers =
            llm.chat(ChatRequest { priority, ..ChatRequest::new(Requester::local(), Vec::new()) });
        answers.next().await.expect("some").expect("text");
        times.push(since.elapsed());
        assert_eq!(answers.count().await, 1, "one end");
    }
    times.sort_unstable();
    times
}

fn counters(hedge: &Hedge<dyn Llm>) -> [u64; 3] {
    let counters: Vec<_> = hedge.counters().iter().map(|c| c.value).collect();
    [counters[0], counters[1], counters[2]]
}

#[tokio::test(start_paused = true)]
async fn the_tail_is_cut_at_a_bounded_cost() {
    let live = Live::default();
    let alone = times(&*model(3, false, &live), 2_000, Priority::LiveTurn).await;
    let hedge = Hedge::new(model(3, false, &live), model(0, false, &live), 0.05);
    let hedged = times(&hedge, 2_000, Priority::LiveTurn).await;
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    assert!(p99(&alone) >= Duration::from_secs(3));
    assert!(p99(&hedged) < Duration::from_millis(500), "{:?}", p99(&hedged));
    let [requests, asked_twice, won] = counters(&hedge);
    assert_eq!(requests, 2_000);
    assert!((30..=100).contains(&asked_twice), "{asked_twice}");
    assert!(won >= 30, "{won}");
    assert_eq!(live.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_engine_that_turns_slow_does_not_double_the_load() {
    let live = Live::default();
    let hedge = Hedge::new(model(0, false, &live), model(0, false, &live), 0.05);
    times(&hedge, 100, Priority::LiveTurn).await;
    let slow = Hedge { first: model(100, false, &live), second: hedge.second, pace: hedge.pace };
    times(&slow, 400, Priority::LiveTurn).await;
    let [requests, asked_twice, _] = counters(&slow);
    assert!(asked_twice as f64 <= requests as f64 * 0.05, "{asked_twice} of {requests}");
}

#[tokio::test(start_paused = true)]
async fn only_live_turns_are_hedged() {
    let live = Live::default();
    let hedge = Hedge::new(model(10, false, &live), model(0, false, &live), 1.0);
    times(&hedge, 300, Priority::Interactive).await;
    assert_eq!(counters(&hedge), [0; 3]);
}

#[tokio::test(start_paused = true)]
async fn the_loser_is_cancelled_and_an_error_wins_only_against_another() {
    let live = Live::default();
    let hedge = Hedge::new(model(0, false, &live), model(0, false, &live), 1.0);
    times(&hedge, 100, Priority::LiveTurn).await;
    let slow =
        Hedge { first: model(100, false, &live), second: hedge.second.clone(), pace: hedge.pace.clone() };
    let mut answers = slow.chat(ChatRequest::new(Requester::local(), Vec::new()));
    answers.next().await.expect("some").expect("text");
    assert_eq!(live.load(Ordering::SeqCst), 1);
    drop(answers);
    assert_eq!(live.load(Ordering::SeqCst), 0);
    let failing =
        Hedge { first: model(100, false, &live), second: model(0, true, &live), pace: hedge.pace.clone() };
    let since = Instant::now();
    failing
        .chat(ChatRequest::new(Requester::local(), Vec::new()))
        .next()
        .await
        .expect("some")
        .expect("the first, late");
    assert_eq!(since.elapsed(), Duration::from_secs(3));
    let both = Hedge { first: model(100, true, &live), second: model(0, true, &live), pace: hedge.pace };
    both.chat(ChatRequest::new(Requester::local(), Vec::new()))
        .next()
        .await
        .expect("some")
        .expect_err("both fail");
}
