//! Tenants that share engines and caches never hear each other's data, whatever they ask in whatever order. Whole
//! calls go through the desk, with one cache of each kind for all tenants.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_agent::{Agent, Engines};
use antiphon_cache::{
    Cache, CacheOptions, CachedEmbed, CachedKnowledge, CachedLlm, CachedTts, Kind, ReplyRules, SearchCache,
    SpeechCodec, SpeechReader,
};
use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::session::{ListeningConfig, SessionConfig};
use antiphon_core::{
    AgentId, AudioChunk, BoxFuture, BoxStream, Caller, ChatDelta, ChatRequest, Error, Event, FinishReason,
    KeyId, Knowledge, Llm, LlmCard, Passage, Result, SampleRate, Search, SpeechRequest, TenantId, Tts,
    TtsCard, Usage,
};
use antiphon_desk::{Answer, Connected, Desk, Directory};
use antiphon_flow::{CpuPool, PoolBounds};
use antiphon_providers::scripted::fake::{FakeEmbed, FakeStt, FakeVad};
use antiphon_telemetry::Metrics;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use tokio::sync::mpsc;

const TENANTS: [&str; 3] = ["shop", "bank", "clinic"];
const QUESTIONS: [&str; 3] =
    ["when do you open the doors", "where do I park my car", "what does it all cost"];
/// A clause that every tenant's agent says, so that only the tenant keeps the cached ones apart.
const SHARED: &str = "We are glad that you called us.";
const RATE: SampleRate = SampleRate::HZ_8000;
/// Time after which what a call has said is cached.
const MOMENT: Duration = Duration::from_millis(500);
/// How long a test waits for a reply before it counts the call as stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// The index of the tenant, which also decides how loud its voice is.
fn number(tenant: &TenantId) -> usize {
    TENANTS.iter().position(|name| *name == tenant.as_str()).expect("a known tenant")
}

/// A language model that names the tenant it is asked for, says a sentence that all tenants share, and repeats the facts it
/// was given. Counts what it is asked.
#[derive(Default)]
struct Model(AtomicUsize);

impl Llm for Model {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "model", model: "model" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let facts = request.messages.iter().filter(|message| message.content.starts_with("Facts"));
        let facts: Vec<&str> = facts.map(|message| message.content.as_str()).collect();
        let text = format!("This is the {}. {SHARED} {}", request.requester.tenant, facts.join(" "));
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        stream::iter([Ok(ChatDelta::Text(text)), Ok(done)]).boxed()
    }
}

/// A voice whose loudness tells the tenants apart. Counts the clauses that it speaks.
#[derive(Default)]
struct Loudness(AtomicUsize);

impl Tts for Loudness {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "loudness", voices: &[] }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let level = 1_000 * (1 + number(&request.requester.tenant) as i16);
        stream::iter([Ok(AudioChunk::new(RATE, vec![level; 400]))]).boxed()
    }
}

/// A codec that stores samples unchanged.
struct Plain;

impl SpeechCodec for Plain {
    fn encode(&self, _: SampleRate, samples: &[i16]) -> Result<Vec<u8>> {
        Ok(samples.iter().flat_map(|sample| sample.to_le_bytes()).collect())
    }

    fn decode(&self, bytes: bytes::Bytes) -> Result<SpeechReader> {
        if !bytes.len().is_multiple_of(2) {
            return Err(Error::invalid("half a sample"));
        }
        let samples = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
        let chunk = AudioChunk::new(RATE, samples.collect::<Vec<_>>());
        Ok(Box::new([Ok(chunk)].into_iter()))
    }
}

/// Knowledge of one tenant: a single fact that names it.
struct Facts(&'static str);

impl Knowledge for Facts {
    fn search(&self, search: Search) -> BoxFuture<'static, Result<Vec<Passage>>> {
        assert_eq!(search.requester.tenant.as_str(), self.0, "a search on behalf of its own tenant");
        let text = format!("only the {} knows about {}", self.0, search.about);
        let passage = Passage { text, source: "facts".to_owned(), relevance: 0.9 };
        async move { Ok(vec![passage]) }.boxed()
    }
}

/// A directory that finds the agent by the number that was called.
struct Numbers(Vec<Answer>);

impl Directory for Numbers {
    fn answer(&self, caller: &Caller) -> BoxFuture<'_, Result<Answer>> {
        let answer = self.0.iter().find(|answer| caller.to.as_deref() == Some(answer.tenant.as_str()));
        let answer = answer.cloned().ok_or_else(|| Error::not_found("nobody has this number"));
        std::future::ready(answer).boxed()
    }

    fn tenant(&self, _: Option<&KeyId>) -> TenantId {
        TenantId::only()
    }
}

fn cache(kind: Kind) -> Arc<Cache> {
    let options = CacheOptions { kind, max_bytes: 1 << 20, ttl: Duration::from_hours(1) };
    Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)))
}

/// A desk of three tenants with the same engines and caches, and the engines below the caches. Without knowledge the tenants'
/// requests differ in nothing but the tenant.
fn desk(informed: bool) -> (Desk, Arc<Model>, Arc<Loudness>) {
    let (model, voice) = (Arc::new(Model::default()), Arc::new(Loudness::default()));
    let llm = CachedLlm::new(model.clone(), "model".to_owned(), cache(Kind::Reply), ReplyRules::default());
    let threads = Arc::new(CpuPool::new(PoolBounds { min: 1, max: 1 }).expect("threads"));
    let tts =
        CachedTts::new(voice.clone(), "loudness".to_owned(), cache(Kind::Speech), Arc::new(Plain), threads);
    let embed = Arc::new(CachedEmbed::new(Arc::new(FakeEmbed), cache(Kind::Embedding)));
    let results = SearchCache::new(cache(Kind::Result), embed);
    let engines = Engines {
        vad: Arc::new(FakeVad),
        turn: None,
        stt: Arc::new(FakeStt),
        llm: Arc::new(llm),
        tts: Arc::new(tts),
        embed: Arc::new(FakeEmbed),
        emotion: None,
    };
    let listening = ListeningConfig { turns: None, ..ListeningConfig::default() };
    let session = SessionConfig { listening, ..SessionConfig::default() };
    let answers = TENANTS.map(|name| {
        let tenant = TenantId::new(name);
        let knowledge = CachedKnowledge::new(Arc::new(Facts(name)), &results, tenant.clone(), "facts");
        let knowledge = informed.then(|| Arc::new(knowledge) as Arc<dyn Knowledge>);
        let agent = Agent { session: session.clone(), knowledge, ..Agent::default() };
        Answer { tenant, agent_id: AgentId::only(), person: None, agent: Arc::new(agent) }
    });
    let desk = Desk::local(engines, Agent::default(), Arc::new(Metrics::new()));
    let calls = antiphon_desk::Calls::new(100);
    (Desk { directory: Arc::new(Numbers(answers.to_vec())), calls, ..desk }, model, voice)
}

/// A transport on which somebody types questions, each after the reply to the one before, and then hangs up.
struct Line {
    questions: VecDeque<&'static str>,
    ready: bool,
    heard: mpsc::UnboundedSender<Heard>,
}

enum Heard {
    Text(String),
    Level(i16),
}

impl Transport for Line {
    fn name(&self) -> &'static str {
        "line"
    }

    fn output(&self) -> OutputAudio {
        OutputAudio { rate: RATE, pacing: Pacing::Client }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, _: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        if !std::mem::take(&mut self.ready) {
            return Poll::Pending;
        }
        cx.waker().wake_by_ref();
        Poll::Ready(self.questions.pop_front().map(|question| Inbound::Text(question.to_owned())))
    }

    fn send(&mut self, outbound: Outbound) {
        match outbound {
            Outbound::Audio { samples, .. } => {
                let levels = samples.into_iter().filter(|sample| *sample != 0);
                levels.for_each(|level| drop(self.heard.send(Heard::Level(level))));
            }
            Outbound::Event(Event::OutputText { delta, .. }) => drop(self.heard.send(Heard::Text(delta))),
            Outbound::Event(Event::ReplyDone { .. }) => self.ready = true,
            _ => {}
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.ready {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs a call to its end, and checks everything that is heard in it.
async fn call(desk: Desk, tenant: usize, questions: Vec<&'static str>) {
    let (heard, mut hears) = mpsc::unbounded_channel();
    let asked = questions.len();
    let line = Line { questions: questions.into(), ready: true, heard };
    let caller = Caller { to: Some(TENANTS[tenant].into()), ..Caller::by("line") };
    let admitted = desk.admit("line", None).expect("room");
    let held = desk.take(admitted, caller, |agent| Connected::to(agent, line));
    tokio::time::timeout(PATIENCE, held).await.expect("an end").expect("somebody answers");
    let mut text = String::new();
    while let Ok(heard) = hears.try_recv() {
        match heard {
            Heard::Text(delta) => text.push_str(&delta),
            Heard::Level(level) => assert_eq!(level, 1_000 * (1 + tenant as i16), "another tenant's voice"),
        }
    }
    assert_eq!(text.matches(&format!("This is the {}.", TENANTS[tenant])).count(), asked, "{text}");
    for other in TENANTS.iter().filter(|other| **other != TENANTS[tenant]) {
        assert!(!text.contains(other), "{} hears of {other}: {text}", TENANTS[tenant]);
    }
}

/// How often a model must be asked if each tenant's replies are cached: once for each course of questions that a call of the
/// tenant had so far.
fn distinct(calls: &[(usize, Vec<usize>)]) -> usize {
    let courses = calls.iter().flat_map(|(tenant, questions)| {
        (1..=questions.len()).map(move |asked| (*tenant, &questions[..asked]))
    });
    courses.collect::<HashSet<_>>().len()
}

#[tokio::test]
async fn each_tenant_has_its_own_reply_and_its_own_clauses() {
    let (desk, model, voice) = desk(false);
    for tenant in [0, 0, 1, 1, 0] {
        call(desk.clone(), tenant, vec![QUESTIONS[0]]).await;
        // Clauses are encoded beside the call, and cached a moment later.
        tokio::time::sleep(MOMENT).await;
    }
    assert_eq!(model.0.load(Ordering::Relaxed), 2, "the second call of a tenant is answered from its cache");
    call(desk.clone(), 0, vec![QUESTIONS[1]]).await;
    assert_eq!(model.0.load(Ordering::Relaxed), 3);
    // Two clauses each: who speaks, and what all of them say. The third reply has no new ones.
    assert_eq!(voice.0.load(Ordering::Relaxed), 4, "clauses are spoken once for each tenant");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_tenant_hears_another(
        calls in prop::collection::vec((0..3_usize, prop::collection::vec(0..3_usize, 1..4)), 1..10),
        at_once: bool,
        informed: bool,
    ) {
        // Calls at the same time take turns as the threads happen to run them.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (desk, model, _) = desk(informed);
            let expected = distinct(&calls);
            let mut held = Vec::new();
            for (tenant, questions) in calls {
                let questions = questions.into_iter().map(|question| QUESTIONS[question]).collect();
                let call = tokio::spawn(call(desk.clone(), tenant, questions));
                if at_once { held.push(call) } else { call.await.expect("no panic") }
            }
            for call in held {
                call.await.expect("no panic");
            }
            let asked = model.0.load(Ordering::Relaxed);
            // At once, several calls may ask the same before the first answer is cached.
            assert!(if at_once { asked >= expected } else { asked == expected }, "{asked} instead of {expected}");
        });
    }
}
