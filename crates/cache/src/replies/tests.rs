mod by_meaning;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_core::{Error, Message, PersonId, Requester, Reuse, ToolCall};
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::{CacheOptions, Kind, Selection};

/// Answers with the number of the request, 100 ms after it came; fails when asked to.
#[derive(Default)]
struct Counting {
    asked: AtomicUsize,
}

impl Llm for Counting {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "counting", model: "m" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let words = request.messages.last().map(|message| message.content.clone()).unwrap_or_default();
        let mut pieces =
            vec![Ok(ChatDelta::Text("Answer ".to_owned())), Ok(ChatDelta::Text(number.to_string()))];
        let end =
            |finish| Ok(ChatDelta::Done { finish, usage: Usage { output_tokens: 2, ..Usage::default() } });
        match words.as_str() {
            "please fail" => pieces.push(Err(Error::unavailable("away"))),
            "please cut" => pieces.push(end(FinishReason::Length)),
            "please tell the day" => {
                pieces.extend([Ok(ChatDelta::Text(" is for today.".to_owned())), end(FinishReason::Stop)]);
            }
            "please call a tool" => {
                let (id, name) = (Some("1".to_owned()), Some("open".to_owned()));
                pieces.push(Ok(ChatDelta::ToolCall { index: 0, id, name, arguments: String::new() }));
                pieces.push(end(FinishReason::ToolCalls));
            }
            _ => pieces.push(end(FinishReason::Stop)),
        }
        let late = async move {
            sleep(Duration::from_millis(100)).await;
            stream::iter(pieces)
        };
        stream::once(late).flatten().boxed()
    }
}

struct Place {
    llm: CachedLlm,
    cache: Arc<Cache>,
    now: Arc<AtomicU64>,
}

fn place(rules: ReplyRules) -> Place {
    let now = Arc::new(AtomicU64::new(1_000));
    let clock = now.clone();
    let options = CacheOptions { kind: Kind::Reply, max_bytes: 1 << 20, ttl: Duration::from_hours(1) };
    let cache = Arc::new(Cache::new(options, Vec::new(), Arc::new(move || clock.load(Ordering::Relaxed))));
    Place {
        llm: CachedLlm::new(Arc::<Counting>::default(), "counting m".to_owned(), cache.clone(), rules),
        cache,
        now,
    }
}

impl Place {
    async fn ask(&self, request: ChatRequest) -> (String, Option<CacheHit>) {
        let deltas: Vec<_> = self.llm.chat(request).collect().await;
        let (mut text, mut hit) = (String::new(), None);
        for delta in deltas {
            match delta {
                Ok(ChatDelta::Text(more)) => text.push_str(&more),
                Ok(ChatDelta::FromCache(from)) => hit = Some(from),
                _ => {}
            }
        }
        (text, hit)
    }

    async fn says(&self, request: ChatRequest) -> String {
        self.ask(request).await.0
    }
}

fn reuse() -> Reuse {
    Reuse { person: None, looked_up: None, knowledge: 0, other_words: true }
}

/// The same request by another tenant.
fn of_tenant(tenant: &str, request: ChatRequest) -> ChatRequest {
    ChatRequest { requester: Requester::server(tenant.into()), ..request }
}

/// A conversation in which the person and the agent take turns after the instructions. The person speaks last.
fn request(said: &[&str]) -> ChatRequest {
    let mut messages = vec![Message::new(Role::System, "Be kind.")];
    for (at, text) in said.iter().enumerate() {
        let role = if (said.len() - at) % 2 == 1 { Role::User } else { Role::Assistant };
        messages.push(Message::new(role, *text));
    }
    ChatRequest { reuse: Some(reuse()), ..ChatRequest::new(Requester::server("a".into()), messages) }
}

/// A question that was recognised from speech.
fn aloud(question: &str) -> ChatRequest {
    let mut request = request(&[question]);
    request.messages.iter_mut().for_each(|message| message.recognised = message.role == Role::User);
    request
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_answered_as_it_is_written() {
    let place = place(ReplyRules::default());
    assert_eq!(place.says(request(&["What is 10 * 2?"])).await, "Answer 1");
    assert_eq!(place.says(request(&["What is 10 / 2?"])).await, "Answer 2");
    assert_eq!(place.says(request(&["what is 10 * 2"])).await, "Answer 3");
    assert_eq!(place.says(request(&[" What is 10 *  2 "])).await, "Answer 1");
    assert_eq!(place.says(aloud("What is 10 * 2?")).await, "Answer 4", "what was said tells less apart");
}

#[tokio::test(start_paused = true)]
async fn what_was_prepared_for_speech_is_there_for_who_writes() {
    let place = place(ReplyRules::default());
    place.says(ChatRequest { priority: Priority::Batch, ..aloud("Where do I park?") }).await;
    assert_eq!(place.says(request(&["Where do I park?"])).await, "Answer 1");
    assert_eq!(place.says(aloud("where do I park")).await, "Answer 1");
    assert_eq!(place.says(request(&["where do I park"])).await, "Answer 2");
}

#[tokio::test(start_paused = true)]
async fn the_words_of_a_person_are_no_label() {
    let place = place(ReplyRules::default());
    place.says(request(&["Where do I park?"])).await;
    let asked = request(&["Where is my zebra?"]);
    let requester = Requester { is_for_person: true, ..asked.requester.clone() };
    place.says(ChatRequest { requester, ..asked }).await;
    let mut labels: Vec<_> =
        place.cache.list(&Selection::default(), 9).iter().map(|entry| entry.label.to_string()).collect();
    labels.sort();
    assert_eq!(labels, ["", "Where do I park?"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_question_is_answered_at_once_and_once() {
    let place = place(ReplyRules::default());
    assert_eq!(place.ask(aloud("Where do I park?")).await, ("Answer 1".to_owned(), None));
    let began = Instant::now();
    let again = place.ask(aloud("um, where do i park")).await;
    assert_eq!(again, ("Answer 1".to_owned(), Some(CacheHit::Exact)));
    assert_eq!(began.elapsed(), Duration::ZERO);
    let counts = place.cache.counts();
    assert_eq!((counts.hits, counts.misses, counts.stored), (1, 1, 1));
    assert_eq!(counts.saved, Duration::from_millis(100), "what the first one waited");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_answer_depends_on_makes_a_difference() {
    let place = place(ReplyRules::default());
    let base = request(&["Where do I park?"]);
    let with = |change: &dyn Fn(&mut ChatRequest)| {
        let mut request = base.clone();
        change(&mut request);
        request
    };
    let tool = antiphon_core::Tool {
        name: "t".into(),
        description: String::new(),
        parameters: serde_json::Value::Null,
    };
    let all = [
        base.clone(),
        with(&|r| r.messages[0].content = "Be rude.".into()),
        with(&|r| r.model = Some("other".into())),
        with(&|r| r.temperature = Some(0.0)),
        with(&|r| r.top_p = Some(0.0)),
        with(&|r| r.max_tokens = Some(9)),
        with(&|r| r.seed = Some(9)),
        with(&|r| r.stop = vec!["x".into()]),
        with(&|r| r.tools = vec![tool.clone()]),
        with(&|r| r.tool_choice = antiphon_core::ToolChoice::None),
        with(&|r| r.single_call = true),
        with(&|r| r.requester.tenant = "b".into()),
        with(&|r| r.reuse.as_mut().unwrap().person = PersonId::parse("ada")),
        with(&|r| r.reuse.as_mut().unwrap().person = PersonId::parse("bob")),
        with(&|r| r.reuse.as_mut().unwrap().knowledge = 1),
        request(&["I have a boat.", "Nice.", "Where do I park?"]),
        request(&["I have a car.", "Nice.", "Where do I park?"]),
    ];
    for (at, request) in all.iter().enumerate() {
        assert_eq!(place.says(request.clone()).await, format!("Answer {}", at + 1));
    }
    for (at, request) in all.iter().enumerate() {
        assert_eq!(place.says(request.clone()).await, format!("Answer {}", at + 1), "each has its own");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_used_again_is_not() {
    let place = place(ReplyRules::default());
    let mut tool_used = request(&["Open the door."]);
    let call = ToolCall { id: "1".into(), name: "open".into(), arguments: "{}".into() };
    tool_used.messages.push(Message { tool_calls: vec![call], ..Message::new(Role::Assistant, "") });
    tool_used.messages.push(Message { tool_call_id: Some("1".into()), ..Message::new(Role::Tool, "done") });
    let never = [
        ChatRequest { reuse: None, ..request(&["Where do I park?"]) },
        request(&["What time is it?"]),
        request(&["please fail"]),
        request(&["please cut"]),
        request(&["please call a tool"]),
        request(&["please tell the day"]),
        request(&["..."]),
        request(&[&"long ".repeat(200)]),
        tool_used,
    ];
    for request in never {
        let first = place.ask(request.clone()).await;
        let second = place.ask(request.clone()).await;
        assert!(first != second && second.1.is_none(), "{request:?}");
    }
    assert_eq!(place.cache.usage().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_broken_off_is_not_kept() {
    let place = place(ReplyRules::default());
    let mut answer = place.llm.chat(request(&["Where do I park?"]));
    assert!(answer.next().await.is_some());
    drop(answer);
    assert_eq!(place.ask(request(&["Where do I park?"])).await, ("Answer 2".to_owned(), None));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_forgotten_after_its_time_and_while_the_cache_is_off() {
    let place = place(ReplyRules::default());
    place.says(request(&["Where do I park?"])).await;
    place.cache.set_on(false);
    assert_eq!(place.says(request(&["Where do I park?"])).await, "Answer 2");
    place.cache.set_on(true);
    assert_eq!(place.says(request(&["Where do I park?"])).await, "Answer 1");
    place.now.fetch_add(3_600_000, Ordering::Relaxed);
    assert_eq!(place.says(request(&["Where do I park?"])).await, "Answer 3");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_stands_alone_is_answered_anywhere_if_allowed() {
    let early = request(&["Where do I park my car?"]);
    let late = request(&["Hello.", "Hello!", "Where do I park my car?"]);
    let place = place(ReplyRules { standalone: true, ..ReplyRules::default() });
    place.says(early.clone()).await;
    assert_eq!(place.ask(late).await, ("Answer 1".to_owned(), Some(CacheHit::Exact)));
    place.says(request(&["Where do I park it?"])).await;
    let points = request(&["I have a boat.", "Nice.", "Where do I park it?"]);
    assert_eq!(place.says(points).await, "Answer 3", "what points back is asked afresh");
    let other = request(&["I am Ada.", "Hello Ada!", "Where do I leave my coat?"]);
    place.says(other).await;
    assert_eq!(
        place.says(request(&["Where do I leave my coat?"])).await,
        "Answer 5",
        "answers from within stay there"
    );
}

#[derive(Clone, Debug)]
enum Do {
    Ask { tenant: usize, question: usize },
    Clear { tenant: usize },
}

fn doing() -> impl Strategy<Value = Vec<Do>> {
    let ask = (0_usize..3, 0_usize..4).prop_map(|(tenant, question)| Do::Ask { tenant, question });
    let clear = (0_usize..3).prop_map(|tenant| Do::Clear { tenant });
    proptest::collection::vec(prop_oneof![8 => ask, 1 => clear], 0..60)
}

proptest! {
    /// Whatever tenants ask and clear in whatever order, each hears only what was answered to itself.
    #[test]
    fn nobody_hears_what_was_said_to_another_tenant(all in doing()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let place = place(ReplyRules { standalone: true, time_dependent: false });
            let mut heard: [Vec<String>; 3] = Default::default();
            for one in all {
                match one {
                    Do::Ask { tenant, question } => {
                        let name = ["a", "b", "c"][tenant];
                        let text = format!("where do I find shelf number {question}");
                        let (text, hit) = place.ask(of_tenant(name, request(&[&text]))).await;
                        let others = (0..3).filter(|other| *other != tenant);
                        for other in others {
                            prop_assert!(!heard[other].contains(&text));
                        }
                        prop_assert_eq!(hit.is_some(), heard[tenant].contains(&text));
                        heard[tenant].push(text);
                    }
                    Do::Clear { tenant } => {
                        let tenant = Some(["a", "b", "c"][tenant].into());
                        place.cache.clear(&crate::Selection { tenant, ..Default::default() });
                    }
                }
            }
            Ok(())
        })?;
    }
}
