use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_core::measure::Component;
use antiphon_core::{Error, ErrorKind, FinishReason, RateLimit, RateLimits, Requester, SampleRate, Usage};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};

use super::*;
use crate::{AnswerBounds, LimitBounds, Targets};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const BOUNDS: AnswerBounds =
    AnswerBounds { first: Duration::from_millis(1_500), stall: Duration::from_secs(3) };

/// A step of a scripted engine.
#[derive(Clone, Debug)]
enum Act {
    Wait(Duration),
    Say(&'static str),
    Fail(ErrorKind),
    Done,
    Hang,
}

/// An engine that plays a script, which can be changed. It counts how often it was asked and how many requests are running.
struct Scripted {
    script: Mutex<Vec<Act>>,
    asked: AtomicUsize,
    running: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(script: &[Act]) -> Arc<Self> {
        let script = Mutex::new(script.to_vec());
        Arc::new(Self { script, asked: AtomicUsize::new(0), running: Arc::default() })
    }

    fn play(&self, script: &[Act]) {
        *self.script.lock().expect("nobody panics") = script.to_vec();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn answer(&self) -> BoxStream<'static, Result<ChatDelta>> {
        struct Running(Arc<AtomicUsize>);
        impl Drop for Running {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        let script = self.script.lock().expect("nobody panics").clone();
        let running = Running(self.running.clone());
        let acts = stream::iter(script).filter_map(async |act| match act {
            Act::Wait(time) => {
                sleep(time).await;
                None
            }
            Act::Say(text) => Some(Ok(ChatDelta::Text(text.to_owned()))),
            Act::Fail(kind) => Some(Err(Error::new(kind, "scripted"))),
            Act::Done => Some(Ok(ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() })),
            Act::Hang => std::future::pending().await,
        });
        acts.map(move |act| (act, &running).0).boxed()
    }
}

impl Llm for Scripted {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "scripted", model: "m" }
    }

    fn chat(&self, _: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        self.answer()
    }

    fn prepare(&self, _: &ChatRequest) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}

impl Tts for Scripted {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "scripted", voices: &[] }
    }

    /// Speaks one sample for each letter.
    fn speak(&self, _: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let chunk = |delta| match delta {
            ChatDelta::Text(text) => AudioChunk::new(SampleRate::HZ_8000, vec![0; text.len()]),
            _ => AudioChunk::new(SampleRate::HZ_8000, []),
        };
        self.answer().map(move |delta| delta.map(chunk)).boxed()
    }
}

impl Embed for Scripted {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "scripted", model: "m", dimensions: 1 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let mut answer = self.answer();
        Box::pin(async move {
            while let Some(delta) = answer.next().await {
                delta?;
            }
            Ok(vec![vec![1.0]; texts.len()])
        })
    }
}

impl Stt for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    /// Plays the script at each flush.
    fn transcribe(
        &self,
        _: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let script = self.script.lock().expect("nobody panics").clone();
        let flushes = audio.filter(|input| std::future::ready(matches!(input, SttInput::Flush)));
        let answers = flushes.flat_map(move |_| {
            stream::iter(script.clone()).filter_map(async |act| match act {
                Act::Wait(time) => {
                    sleep(time).await;
                    None
                }
                Act::Say(text) => {
                    Some(Ok(Transcript { text: text.to_owned(), flushed: true, ..Transcript::default() }))
                }
                Act::Fail(kind) => Some(Err(Error::new(kind, "scripted"))),
                Act::Done | Act::Hang => std::future::pending().await,
            })
        });
        answers.boxed()
    }
}

struct Setup {
    engine: Arc<Scripted>,
    targets: Arc<Targets>,
    target: Arc<Target>,
    rate_limits: RateLimits,
}

fn setup(script: &[Act]) -> Setup {
    let (targets, rate_limits) = (Arc::new(Targets::default()), RateLimits::default());
    let target = targets.add("llm test", BOUNDS, LimitBounds::default(), &rate_limits);
    Setup { engine: Scripted::new(script), targets, target, rate_limits }
}

impl Setup {
    fn llm(&self) -> Guarded<dyn Llm> {
        Guarded::new(self.engine.clone() as Arc<dyn Llm>, self.target.clone())
    }

    async fn chat(&self) -> Vec<Result<ChatDelta>> {
        self.llm().chat(ChatRequest::new(Requester::local(), Vec::new())).collect().await
    }

    /// The error that the answer ends with.
    async fn error(&self) -> Option<Error> {
        self.chat().await.pop().and_then(Result::err)
    }

    fn is_idle(&self) -> bool {
        self.target.scheduler().in_flight() == 0 && self.engine.running.load(Ordering::Relaxed) == 0
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_passes_through_and_frees_its_place_at_its_last_piece() {
    let setup = setup(&[Act::Say(""), Act::Say("a"), Act::Say("b"), Act::Done, Act::Hang]);
    let mut answer = setup.llm().chat(ChatRequest::new(Requester::local(), Vec::new()));
    assert_eq!(setup.engine.asked(), 0, "nobody waits for it yet");
    let text = |text: &str| Some(Ok(ChatDelta::Text(text.to_owned())));
    assert_eq!(answer.next().await, text("a"), "what is empty is left out");
    assert_eq!(setup.target.scheduler().in_flight(), 1);
    assert_eq!(answer.next().await, text("b"));
    assert!(matches!(answer.next().await, Some(Ok(ChatDelta::Done { .. }))));
    assert!(setup.is_idle());
    assert_eq!(answer.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_first_token_that_is_late_is_a_failure() {
    let setup = setup(&[Act::Say(""), Act::Hang]);
    let since = Instant::now();
    let error = setup.error().await.expect("is late");
    assert_eq!((error.kind(), since.elapsed()), (ErrorKind::Timeout, BOUNDS.first));
    assert_eq!(error.to_string(), "llm test gave no first token within 1.5 s");
    assert!(setup.is_idle());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stalls_after_five_tokens_is_left_within_the_bound() {
    let say = Act::Say("a");
    let setup = setup(&[say.clone(), say.clone(), say.clone(), say.clone(), say, Act::Hang]);
    let since = Instant::now();
    let mut answer = setup.chat().await;
    let error = answer.pop().and_then(Result::err).expect("stalls");
    assert_eq!((answer.len(), since.elapsed()), (5, BOUNDS.stall));
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("fell silent") && error.to_string().contains("3 s"), "{error}");
    assert!(setup.is_idle());
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_slowly_makes_no_engine_slow() {
    let setup = setup(&[Act::Say("a"), Act::Wait(SECOND), Act::Say("b"), Act::Done]);
    let mut answer = setup.llm().chat(ChatRequest::new(Requester::local(), Vec::new()));
    answer.next().await.expect("a").expect("works");
    sleep(10 * SECOND).await;
    answer.next().await.expect("b").expect("works");
}

/// A model that works on sixteen requests at a time; more than that make all slower.
#[derive(Default)]
struct Shared {
    running: Arc<()>,
}

impl Llm for Shared {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "shared", model: "m" }
    }

    fn chat(&self, _: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let running = self.running.clone();
        let slower = (Arc::strong_count(&running) as f64 / 16.0).max(1.0);
        let acts = [(300.0, ChatDelta::Text("a".to_owned())), (700.0, ChatDelta::Text("b".to_owned()))];
        let timed = stream::iter(acts).then(move |(ms, delta)| {
            let wait = sleep(MS.mul_f64(ms * slower));
            async move {
                wait.await;
                Ok(delta)
            }
        });
        timed.map(move |delta| (delta, &running).0).boxed()
    }
}

/// Live turns that come at random, four in flight on average, to an engine of which nothing is known yet: how long each
/// waited for its first token, in order of length.
async fn first_tokens(llm: &Arc<Guarded<dyn Llm>>) -> Vec<Duration> {
    let mut chance = SmallRng::seed_from_u64(3);
    let mut turns = Vec::new();
    for _ in 0..1_000 {
        // Exponential gaps make a Poisson process.
        sleep(MS.mul_f64(250.0 * -chance.random_range(f64::MIN_POSITIVE..1.0).ln())).await;
        let llm = llm.clone();
        turns.push(tokio::spawn(async move {
            let since = Instant::now();
            let mut answer = llm.chat(ChatRequest::new(Requester::local(), Vec::new()));
            answer.next().await.expect("answers").expect("in time");
            let first = since.elapsed();
            answer.count().await;
            first
        }));
    }
    let mut tokens: Vec<_> =
        join_all(turns).await.into_iter().map(|first| first.expect("no panic")).collect();
    tokens.sort();
    tokens
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_batch_requests_hardly_delays_first_tokens() {
    let guarded = || {
        let target = setup(&[]).target;
        Arc::new(Guarded::new(Arc::new(Shared::default()) as Arc<dyn Llm>, target))
    };
    let percentile = |tokens: &[Duration]| tokens[tokens.len() * 95 / 100];
    let unloaded = percentile(&first_tokens(&guarded()).await);
    let llm = guarded();
    let batch = || {
        let request =
            ChatRequest { priority: Priority::Batch, ..ChatRequest::new(Requester::local(), Vec::new()) };
        tokio::spawn(llm.chat(request).any(async |piece| piece.is_err()))
    };
    let flood: Vec<_> = (0..1_000).map(|_| batch()).collect();
    let loaded = percentile(&first_tokens(&llm).await);
    assert!(loaded <= unloaded.mul_f64(1.1), "{loaded:?} instead of {unloaded:?}");
    assert!(join_all(flood).await.into_iter().all(|failed| failed.is_ok_and(|failed| !failed)));
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_dead_engine_get_errors_at_once_and_it_gets_only_probes() {
    let setup = setup(&[Act::Fail(ErrorKind::Unavailable)]);
    for _ in 0..5 {
        assert_eq!(setup.error().await.map(|error| error.to_string()).as_deref(), Some("scripted"));
    }
    let since = Instant::now();
    let errors = join_all((0..200).map(|_| setup.error())).await;
    let rejected = |error: &Option<Error>| {
        error.as_ref().is_some_and(|error| {
            error.kind() == ErrorKind::Unavailable && error.to_string().contains("is asked again in")
        })
    };
    assert!(errors.iter().all(rejected));
    assert_eq!((since.elapsed(), setup.engine.asked()), (Duration::ZERO, 5));
    setup.llm().prepare(&ChatRequest::new(Requester::local(), Vec::new()));
    assert_eq!(setup.engine.asked(), 5);
    sleep(2 * SECOND).await;
    join_all((0..200).map(|_| setup.error())).await;
    assert_eq!(setup.engine.asked(), 6, "one probe");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_an_engine_that_dies_are_told_at_once() {
    let setup = setup(&[Act::Wait(SECOND), Act::Fail(ErrorKind::Unavailable)]);
    let since = Instant::now();
    let errors = join_all((0..200).map(|_| setup.error())).await;
    assert!(errors.iter().all(Option::is_some));
    assert_eq!((since.elapsed(), setup.engine.asked()), (SECOND, 8), "what the first limit lets through");
    assert!(setup.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_found_within_the_probe_interval() {
    let setup = setup(&[Act::Fail(ErrorKind::Unavailable)]);
    let down = Instant::now();
    while down.elapsed() < 5 * SECOND {
        setup.error().await;
        sleep(100 * MS).await;
    }
    setup.engine.play(&[Act::Say("a"), Act::Done]);
    let up = Instant::now();
    while setup.error().await.is_some() {
        sleep(100 * MS).await;
    }
    // Two intervals between probes have passed, and the third is 8 s at most.
    assert!(up.elapsed() <= 8 * SECOND, "{:?}", up.elapsed());
    assert!(setup.error().await.is_none() && setup.error().await.is_none());
    assert_eq!(setup.target.breaker().state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_expired_key_is_tried_once_a_minute_and_said_to_all() {
    let setup = setup(&[Act::Fail(ErrorKind::Unauthorized)]);
    let since = Instant::now();
    while since.elapsed() < 10 * Duration::from_mins(1) {
        let error = setup.error().await.expect("is refused");
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        sleep(SECOND).await;
    }
    assert!((10..=13).contains(&setup.engine.asked()), "{}", setup.engine.asked());
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_dropped_say_nothing_and_leave_nothing() {
    let setup = setup(&[Act::Say("a"), Act::Hang]);
    for _ in 0..100 {
        drop(setup.llm().chat(ChatRequest::new(Requester::local(), Vec::new())).next().await);
    }
    assert!(setup.is_idle());
    assert_eq!(setup.target.breaker().state(), BreakerState::Closed);
    assert_eq!(setup.engine.asked(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_spent_rate_limit_is_waited_for() {
    let setup = setup(&[Act::Say("a"), Act::Done]);
    setup.rate_limits.tell(RateLimit { remaining: 0, reset: SECOND, limit: Some(10) });
    let since = Instant::now();
    assert_eq!(setup.error().await, None);
    assert_eq!(since.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn speech_and_vectors_must_come_in_time_too() {
    let setup = setup(&[Act::Say(""), Act::Say("ab"), Act::Hang]);
    let tts: Guarded<dyn Tts> = Guarded::new(setup.engine.clone(), setup.target.clone());
    let chunks: Vec<_> = tts.speak(SpeechRequest::new(Requester::local(), "x")).collect().await;
    assert!(chunks[0].as_ref().is_ok_and(|chunk| chunk.samples.len() == 2));
    assert!(chunks[1].as_ref().is_err_and(|error| error.to_string().contains("no further audio")));
    let embed: Guarded<dyn Embed> = Guarded::new(setup.engine.clone(), setup.target.clone());
    let since = Instant::now();
    let late = embed.embed(vec!["x".to_owned()], Priority::Batch).await.expect_err("hangs");
    assert_eq!((late.kind(), since.elapsed()), (ErrorKind::Timeout, BOUNDS.first));
    setup.engine.play(&[]);
    assert_eq!(embed.embed(vec!["x".to_owned()], Priority::Batch).await.expect("works").len(), 1);
    assert!(
        tts.speak(SpeechRequest::new(Requester::local(), "...")).next().await.is_none(),
        "nothing to say is no failure"
    );
    assert!(setup.is_idle());
}

/// Audio with a pause after each half second, for ever.
fn audio() -> BoxStream<'static, SttInput> {
    let inputs = [SttInput::Audio(vec![0; 8_000].into()), SttInput::Flush];
    let timed = stream::iter(inputs).cycle().then(async |input| {
        sleep(500 * MS).await;
        input
    });
    timed.boxed()
}

#[tokio::test(start_paused = true)]
async fn transcripts_are_due_from_the_pause_and_need_no_place() {
    let setup = setup(&[Act::Wait(SECOND), Act::Say("hello")]);
    let stt: Guarded<dyn Stt> = Guarded::new(setup.engine.clone(), setup.target.clone());
    let utterances =
        (0..20).map(|_| stt.transcribe(SttOptions::new(Requester::local()), audio()).take(2).count());
    assert_eq!(join_all(utterances).await, [2; 20]);
    assert_eq!(setup.target.scheduler().in_flight(), 0);
    setup.engine.play(&[Act::Hang]);
    let since = Instant::now();
    let transcripts: Vec<_> = stt.transcribe(SttOptions::new(Requester::local()), audio()).collect().await;
    assert_eq!((transcripts.len(), since.elapsed()), (1, SECOND + BOUNDS.first));
    let error = transcripts[0].as_ref().expect_err("hangs");
    assert_eq!(error.to_string(), "llm test gave no transcript within 1.5 s of the pause");
    for _ in 0..4 {
        stt.transcribe(SttOptions::new(Requester::local()), audio()).count().await;
    }
    let error =
        stt.transcribe(SttOptions::new(Requester::local()), audio()).next().await.and_then(Result::err);
    assert_eq!((error.map(|error| error.kind()), setup.engine.asked()), (Some(ErrorKind::Unavailable), 25));
}

#[tokio::test(start_paused = true)]
async fn breakers_and_schedulers_are_measured() {
    let setup = setup(&[Act::Fail(ErrorKind::Unavailable)]);
    for _ in 0..7 {
        setup.error().await;
    }
    let [breakers, schedulers] = setup.targets.components();
    let level = |component: &Arc<dyn Component>, name: &str| {
        component
            .levels()
            .into_iter()
            .find(|level| level.name == name)
            .map(|level| (level.value, level.limit))
    };
    assert_eq!(level(&breakers, "llm test"), Some((2.0, None)));
    let counters = breakers.counters();
    let counters: Vec<_> = counters.iter().map(|counter| (counter.name.as_ref(), counter.value)).collect();
    let expected = [("opened", 1), ("rejected", 2), ("failed", 5), ("slow", 0)];
    assert_eq!(
        counters,
        expected
            .map(|(what, count)| (["llm test ", what].concat(), count))
            .each_ref()
            .map(|(name, count)| (name.as_str(), *count))
    );
    assert_eq!(schedulers.stages()[0].spans().snapshot().count(), 5);
    assert_eq!(level(&schedulers, "llm test waiting live_turn"), Some((0.0, Some(1_024.0))));
    let limit = setup.target.scheduler().limit() as f64;
    assert_eq!(level(&schedulers, "llm test limit"), Some((limit, None)));
    assert_eq!(level(&schedulers, "llm test in flight"), Some((0.0, Some(limit))));
}
