use std::sync::atomic::AtomicBool;

use antiphon_core::{ChatDelta, ChatRequest, FinishReason, Llm, LlmCard, Message, Requester, Role, Usage};

use super::*;

const LLM: AnswerBounds = AnswerBounds { first: Duration::from_secs(2), stall: Duration::from_millis(600) };

type Script = Box<dyn Fn(&ChatRequest, usize) -> Vec<Do<ChatDelta>> + Send + Sync>;

const REPLY: &str = "The film starts at eight and there are still good seats in the middle.";

struct Model {
    name: &'static str,
    script: Script,
    asked: AtomicUsize,
    live: Live,
}

impl Llm for Model {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: self.name, model: self.name }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst);
        play((self.script)(&request, nth), &self.live)
    }
}

fn model(
    name: &'static str,
    live: &Live,
    script: impl Fn(&ChatRequest, usize) -> Vec<Do<ChatDelta>> + Send + Sync + 'static,
) -> Arc<dyn Llm> {
    Arc::new(Model { name, script: Box::new(script), asked: AtomicUsize::new(0), live: live.clone() })
}

fn done() -> Do<ChatDelta> {
    let usage = Usage { input_tokens: 1, cached_tokens: 0, output_tokens: 2 };
    Do::Give(ChatDelta::Done { finish: FinishReason::Stop, usage })
}

/// A script that says each word as a token, 20 ms apart, the first after 100 ms.
fn tokens(text: &str) -> Vec<Do<ChatDelta>> {
    let words = text.split(' ').enumerate();
    let words = words.map(|(n, word)| if n == 0 { word.to_owned() } else { format!(" {word}") });
    let mut steps = vec![Do::Wait(80)];
    steps.extend(words.flat_map(|word| [Do::Wait(20), Do::Give(ChatDelta::Text(word))]));
    steps
}

fn reply(text: &str) -> Vec<Do<ChatDelta>> {
    let mut steps = tokens(text);
    steps.push(done());
    steps
}

fn request() -> ChatRequest {
    ChatRequest::new(Requester::local(), vec![Message::new(Role::User, "What is on?")])
}

fn fallback(engines: Vec<Arc<dyn Llm>>) -> Fallback<dyn Llm> {
    Fallback::new(engines, LLM).expect("engines")
}

/// What a listener gets: the text, the number of ends, the longest time without text, and the error.
async fn ask(llm: &dyn Llm, request: ChatRequest) -> (String, usize, Duration, Option<Error>) {
    let (mut text, mut ends, mut longest, mut error) = (String::new(), 0, Duration::ZERO, None);
    let mut answers = llm.chat(request);
    let mut since = Instant::now();
    while let Some(delta) = answers.next().await {
        longest = longest.max(since.elapsed());
        since = Instant::now();
        match delta {
            Ok(ChatDelta::Text(more)) => text += &more,
            Ok(ChatDelta::Done { .. }) => ends += 1,
            Ok(ChatDelta::FromCache(_) | ChatDelta::ToolCall { .. }) => {}
            Err(e) => error = Some(e),
        }
    }
    (text, ends, longest, error)
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stalls_after_five_tokens_is_gone_on_from_within_a_second() {
    let stalls = |_: &ChatRequest, _| {
        let mut steps = tokens("The film starts at eig");
        steps.push(Do::Hang);
        steps
    };
    for repeated in ["", "starts at ", "The film starts at "] {
        let live = Live::default();
        let goes_on = move |request: &ChatRequest, _| {
            let [.., said, instruction] = &request.messages[..] else { return reply(REPLY) };
            assert_eq!((said.role, said.content.as_str()), (Role::Assistant, "The film starts at"));
            assert_eq!(instruction.role, Role::User);
            reply(&format!("{repeated}{}", &REPLY["The film starts at ".len()..]))
        };
        let fallback = fallback(vec![model("a", &live, stalls), model("b", &live, goes_on)]);
        let (text, ends, longest, error) = ask(&fallback, request()).await;
        assert_eq!((text.as_str(), ends, error), (REPLY, 1, None), "{repeated}");
        assert!(longest < Duration::from_secs(1), "{repeated}: {longest:?}");
        assert_eq!(counter(&fallback, "switches stall"), 1);
        assert_eq!(counter(&fallback, "a requests") + counter(&fallback, "b requests"), 2);
        assert_eq!(live.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_third_goes_on_from_the_second() {
    let live = Live::default();
    let part = |text: &'static str| {
        move |_: &ChatRequest, _| {
            let mut steps = tokens(text);
            steps.push(Do::Fail(ErrorKind::Unavailable));
            steps
        }
    };
    let fallback = fallback(vec![
        model("a", &live, part("The film starts x")),
        model("b", &live, part("film starts at eight and y")),
        model("c", &live, |_, _| reply("The film starts at eight and ends at ten.")),
    ]);
    let (text, ends, _, error) = ask(&fallback, request()).await;
    assert_eq!((text.as_str(), ends, error), ("The film starts at eight and ends at ten.", 1, None));
    assert_eq!(counter(&fallback, "switches mid-stream"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_tool_call_is_never_joined() {
    let live = Live::default();
    let calls = |_: &ChatRequest, _| {
        let id = Some("1".to_owned());
        let call =
            ChatDelta::ToolCall { index: 0, id, name: Some("f".to_owned()), arguments: "{".to_owned() };
        vec![Do::Give(ChatDelta::Text("Let me".to_owned())), Do::Give(call), Do::Fail(ErrorKind::Protocol)]
    };
    let fallback = fallback(vec![model("a", &live, calls), model("b", &live, |_, _| reply(REPLY))]);
    let (text, ends, _, error) = ask(&fallback, request()).await;
    assert_eq!((text.as_str(), ends), ("Let me", 0));
    assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::Protocol));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_every_second_time_is_not_noticed() {
    let live = Live::default();
    let flaky = |_: &ChatRequest, nth: usize| {
        let dice = nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        if dice.is_multiple_of(2) {
            return reply(REPLY);
        }
        let mut steps = tokens("The film starts at eight an");
        match dice / 2 % 4 {
            0 => vec![Do::Fail(ErrorKind::Unavailable)],
            1 => vec![Do::Hang],
            2 => {
                steps.push(Do::Hang);
                steps
            }
            _ => {
                steps.push(Do::Fail(ErrorKind::Protocol));
                steps
            }
        }
    };
    let fallback = fallback(vec![model("a", &live, flaky), model("b", &live, |_, _| reply(REPLY))]);
    let mut failures = 0;
    for _ in 0..1_000 {
        let (text, ends, _, error) = ask(&fallback, request()).await;
        failures += usize::from(error.is_some() || text != REPLY || ends != 1);
    }
    assert!(failures < 10, "{failures}");
    assert!(counter(&fallback, "a requests") > 100, "it is used again and again");
    assert!(counter(&fallback, "recoveries") > 10);
}

#[tokio::test(start_paused = true)]
async fn a_dead_first_model_costs_one_wait() {
    let live = Live::default();
    let fallback =
        fallback(vec![model("a", &live, |_, _| vec![Do::Hang]), model("b", &live, |_, _| reply(REPLY))]);
    let (_, _, longest, _) = ask(&fallback, request()).await;
    assert!(longest < LLM.first + Duration::from_millis(200));
    for _ in 0..200 {
        let (text, _, longest, _) = ask(&fallback, request()).await;
        assert_eq!(text, REPLY);
        assert!(longest < Duration::from_millis(200), "{longest:?}");
    }
    assert_eq!(counter(&fallback, "a requests"), 1);
    assert_eq!(counter(&fallback, "switches slow"), 1);
    assert!(counter(&fallback, "probes") > 1);
    assert_eq!(fallback.levels()[0].value, 1.0);
}

#[tokio::test(start_paused = true)]
async fn recovery_is_found_within_the_probe_interval() {
    let (live, down) = (Live::default(), Arc::new(AtomicBool::new(true)));
    let state = down.clone();
    let script = move |_: &ChatRequest, _| {
        if state.load(Ordering::SeqCst) { vec![Do::Fail(ErrorKind::Unavailable)] } else { reply(REPLY) }
    };
    let fallback = fallback(vec![model("a", &live, script), model("b", &live, |_, _| reply(REPLY))]);
    ask(&fallback, request()).await;
    sleep(Duration::from_mins(10)).await;
    let probes = counter(&fallback, "probes");
    assert!((38..50).contains(&probes), "four a minute: {probes}");
    assert_eq!(fallback.levels()[0].value, 1.0);
    down.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(16)).await;
    assert_eq!(fallback.levels()[0].value, 0.0);
    assert_eq!(counter(&fallback, "recoveries"), 1);
    sleep(Duration::from_mins(10)).await;
    assert!(counter(&fallback, "probes") <= probes + 2, "one that is well is not probed");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_behind() {
    let live = Live::default();
    let asked = Live::default();
    let probed = asked.clone();
    let dead = move |_: &ChatRequest, _| {
        probed.fetch_add(1, Ordering::SeqCst);
        vec![Do::Hang]
    };
    let endless = |_: &ChatRequest, _| {
        let mut steps = tokens(REPLY);
        steps.push(Do::Hang);
        steps
    };
    let fallback = fallback(vec![model("a", &live, dead), model("b", &live, endless)]);
    let mut answers = fallback.chat(request());
    answers.next().await.expect("some").expect("text");
    assert_eq!(live.load(Ordering::SeqCst), 1, "the first is cancelled");
    drop(answers);
    assert_eq!(live.load(Ordering::SeqCst), 0);
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(live.load(Ordering::SeqCst), 1, "a probe");
    drop(fallback);
    let before = asked.load(Ordering::SeqCst);
    sleep(Duration::from_mins(1)).await;
    assert_eq!((live.load(Ordering::SeqCst), asked.load(Ordering::SeqCst)), (0, before));
}

#[tokio::test(start_paused = true)]
async fn when_all_are_dead_the_most_telling_error_comes_quickly() {
    let live = Live::default();
    let fails = |kind| move |_: &ChatRequest, _: usize| vec![Do::Wait(10), Do::Fail(kind)];
    let fallback = fallback(vec![
        model("a", &live, fails(ErrorKind::Unavailable)),
        model("b", &live, fails(ErrorKind::Unauthorized)),
        model("c", &live, fails(ErrorKind::Timeout)),
    ]);
    for _ in 0..3 {
        let since = Instant::now();
        let (_, ends, _, error) = ask(&fallback, request()).await;
        assert_eq!((ends, error.map(|e| e.kind())), (0, Some(ErrorKind::Unauthorized)));
        assert!(since.elapsed() < Duration::from_millis(100));
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_hang_the_second_caller_waits_only_for_the_short_bounds() {
    let live = Live::default();
    let hangs = |_: &ChatRequest, _: usize| vec![Do::Hang];
    let fallback = fallback(vec![model("a", &live, hangs), model("b", &live, hangs)]);
    ask(&fallback, request()).await;
    let since = Instant::now();
    let (_, _, _, error) = ask(&fallback, request()).await;
    assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::Timeout));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_does_not_speak_against_the_model() {
    let live = Live::default();
    for kind in [ErrorKind::Invalid, ErrorKind::NotFound] {
        let refuses = move |_: &ChatRequest, _: usize| vec![Do::Fail(kind)];
        let both = fallback(vec![model("a", &live, refuses), model("b", &live, |_, _| reply(REPLY))]);
        assert_eq!(ask(&both, request()).await.0, REPLY);
        assert_eq!(both.levels()[0].value, 0.0);
        let none = fallback(vec![model("a", &live, refuses), model("a", &live, refuses)]);
        assert_eq!(ask(&none, request()).await.3.map(|e| e.kind()), Some(kind));
        assert_eq!(counter(&none, "a 2 requests"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn work_nobody_waits_for_is_given_time() {
    let live = Live::default();
    let slow = |_: &ChatRequest, _: usize| {
        let mut steps = vec![Do::Wait(20_000)];
        steps.extend(reply(REPLY));
        steps
    };
    let fallback = fallback(vec![model("a", &live, slow), model("b", &live, |_, _| reply("no"))]);
    let batch = ChatRequest { priority: Priority::Batch, ..request() };
    assert_eq!(ask(&fallback, batch).await.0, REPLY);
}
