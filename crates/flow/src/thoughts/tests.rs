use antiphon_core::{ErrorKind, Requester, Usage};
use proptest::prelude::*;

use super::*;
use crate::fallback::tests::{Do, Live, play};

/// Answers, and what is to be said of each.
const ANSWERS: [(&str, &str); 19] = [
    ("Hello there.", "Hello there."),
    ("<think>\nI should be secret.\n</think>\n\nHello there.", "Hello there."),
    ("<think>\n\n</think>\n\nHello.", "Hello."),
    ("\n <thinking>secret</thinking> Hello.", "Hello."),
    ("<thought>secret</thought>Hello.", "Hello."),
    ("<reasoning>secret <think> secret</reasoning>Hello.", "Hello."),
    ("<|channel>thought\nsecret\n<channel|>Hello.", "Hello."),
    (
        "<|channel|>analysis<|message|>secret<|end|><|start|>assistant<|channel|>final<|message|>Hello.",
        "Hello.",
    ),
    ("<|channel|>final<|message|>Hello.", "Hello."),
    ("analysisUser says hi.assistantfinalHello.", "Hello."),
    ("analysis of this takes long", "analysis of this takes long"),
    ("[THINK]secret[/THINK]Hello [you].", "Hello [you]."),
    ("<|START_THINKING|>secret<|END_THINKING|>Hello.", "Hello."),
    ("<seed:think>secret</seed:think>Hello.", "Hello."),
    ("◁think▷secret◁/think▷Hello.", "Hello."),
    ("Let me see.\n<think>secret</think>\nIt is noon.", "Let me see.\nIt is noon."),
    ("Say <think> to it, if 2 < 3.", "Say <think> to it, if 2 < 3."),
    ("<think>secret without an end", ""),
    ("<", "<"),
];

/// What is said of an answer that comes in these pieces.
fn said(opening: Opening, pieces: &[&str]) -> String {
    let mut filter = Filter::new(opening);
    let mut said: String = pieces.iter().map(|piece| filter.push(piece)).collect();
    said.push_str(&filter.end(false));
    said
}

/// Every way of cutting a text in three.
fn in_three(text: &str) -> Vec<[&str; 3]> {
    let cuts: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
    let pairs = cuts.iter().flat_map(|a| cuts.iter().filter(move |b| a <= b).map(move |b| (*a, *b)));
    pairs.map(|(a, b)| [&text[..a], &text[a..b], &text[b..]]).collect()
}

#[test]
fn thoughts_are_dropped_however_they_are_cut() {
    for (answer, reply) in ANSWERS {
        for opening in [Opening::Unknown, Opening::Model, Opening::Template] {
            for pieces in in_three(answer) {
                assert_eq!(said(opening, &pieces), reply, "{opening:?} {pieces:?}");
            }
        }
    }
}

#[test]
fn a_thought_that_the_template_opened_is_dropped_however_it_is_cut() {
    for answer in [
        "Let me ponder this secret.\n</think>\n\nHello there.",
        "secret[/THINK]Hello there.",
        "secret<|end|><|start|>assistant<|channel|>final<|message|>Hello there.",
    ] {
        for opening in [Opening::Unknown, Opening::Template] {
            for pieces in in_three(answer) {
                assert_eq!(said(opening, &pieces), "Hello there.", "{opening:?} {pieces:?}");
            }
        }
    }
}

#[test]
fn a_thought_is_dropped_even_when_it_is_too_long_to_keep_or_not_brought_to_an_end() {
    let mut filter = Filter::new(Opening::Template);
    let said: String = (0..100_000).map(|_| filter.push("secret ")).collect();
    assert_eq!(said + &filter.push("</think>Hello.") + &filter.end(false), "Hello.");
    let mut filter = Filter::new(Opening::Template);
    assert_eq!(filter.push("I was cut off in the midst of a secr") + &filter.end(true), "");
}

#[test]
fn text_without_a_mark_is_passed_on_at_once() {
    let mut filter = Filter::new(Opening::Model);
    for piece in ["Hel", "lo", " there, 2 ", "\n", "- one", " [1]"] {
        assert_eq!(filter.push(piece), piece);
    }
}

fn piece() -> impl Strategy<Value = &'static str> {
    let marks =
        ["<think>", "</think>", "<thinking>", "<|channel>thought", "<channel|>", "[THINK]", "[/THINK]"];
    let harmony = [
        "<|channel|>analysis<|message|>",
        "<|channel|>final<|message|>",
        "<|end|>",
        "analysis",
        "assistantfinal",
    ];
    let text = ["Hello", " there", ".", "\n", " ", "<", "[", "◁think▷", "◁/think▷", "◁", "é", "</", "Zoë"];
    proptest::sample::select([marks.as_slice(), &harmony, &text].concat())
}

proptest! {
    #[test]
    fn what_is_said_does_not_depend_on_the_deltas(
        pieces in proptest::collection::vec(piece(), 0..12),
        cuts in proptest::collection::vec(0_usize..80, 0..12),
        opening in proptest::sample::select(vec![Opening::Unknown, Opening::Model, Opening::Template]),
    ) {
        let text = pieces.concat();
        let mut at: Vec<usize> = cuts.into_iter().filter(|at| text.is_char_boundary(*at)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let deltas: Vec<&str> = at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        prop_assert_eq!(said(opening, &[&text]), said(opening, &deltas));
    }

    #[test]
    fn a_text_without_marks_stays_as_it_is(text in "[a-zA-Z<\\[\\]/>|◁▷ \n]{0,60}") {
        prop_assume!(!text.contains("think") && !text.contains("THINK") && !text.starts_with("analysis"));
        prop_assert_eq!(said(Opening::Model, &[&text]), text.trim_start());
    }
}

/// A model that gives one answer after the other.
struct Scripted {
    model: &'static str,
    answers: Mutex<VecDeque<Vec<Do<ChatDelta>>>>,
}

impl Llm for Scripted {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "scripted", model: self.model }
    }

    fn chat(&self, _: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        play(lock(&self.answers).pop_front().expect("an answer is left"), &Live::default())
    }
}

fn text(text: &str) -> Do<ChatDelta> {
    Do::Give(ChatDelta::Text(text.to_owned()))
}

fn done(finish: FinishReason) -> Do<ChatDelta> {
    Do::Give(ChatDelta::Done { finish, usage: Usage::default() })
}

/// A thought that the template opened takes a second; the rest of an answer comes at once.
fn prefilled() -> Vec<Do<ChatDelta>> {
    vec![text("A secret"), Do::Wait(1_000), text(".</think>"), text("\n\nHello."), done(FinishReason::Stop)]
}

fn plain() -> Vec<Do<ChatDelta>> {
    vec![text("Hello"), Do::Wait(1_000), text(" there."), done(FinishReason::Stop)]
}

fn scripted(model: &'static str, answers: Vec<Vec<Do<ChatDelta>>>) -> WithoutThoughts {
    WithoutThoughts::new(Arc::new(Scripted { model, answers: Mutex::new(answers.into()) }))
}

/// What is said, and when its first word was there.
async fn ask(model: &WithoutThoughts) -> (String, Duration) {
    let begun = Instant::now();
    let mut deltas = model.chat(ChatRequest::new(Requester::local(), Vec::new()));
    let (mut said, mut first) = (String::new(), None);
    while let Some(delta) = deltas.next().await {
        if let ChatDelta::Text(text) = delta.expect("works") {
            first.get_or_insert(begun.elapsed());
            said.push_str(&text);
        }
    }
    (said, first.unwrap_or_else(|| begun.elapsed()))
}

#[tokio::test(start_paused = true)]
async fn only_the_first_answer_of_a_model_without_thoughts_is_held() {
    let model = scripted("m", vec![plain(); 3]);
    assert_eq!(ask(&model).await, ("Hello there.".to_owned(), HOLD));
    assert_eq!(ask(&model).await, ("Hello there.".to_owned(), Duration::ZERO));
    assert_eq!(ask(&model).await, ("Hello there.".to_owned(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_template_that_opens_the_thought_is_learned_from_its_first_answer() {
    let model = scripted("m", vec![prefilled(); 3]);
    assert_eq!(ask(&model).await.0, "A secret.Hello.", "nothing has shown yet that it thinks");
    assert_eq!(ask(&model).await, ("Hello.".to_owned(), Duration::from_secs(1)));
    assert_eq!(ask(&model).await.0, "Hello.");
}

#[tokio::test(start_paused = true)]
async fn a_model_whose_name_says_that_it_thinks_is_waited_for() {
    let model = scripted("Qwen3-30B-A3B-Thinking-2507", vec![prefilled(), plain(), plain()]);
    assert_eq!(ask(&model).await.0, "Hello.");
    let model = scripted("deepseek-r1", vec![plain(), plain()]);
    assert_eq!(ask(&model).await.0, "Hello there.", "its server separates the thoughts");
    assert_eq!(ask(&model).await.1, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_has_a_mark_written_changes_nothing_for_others() {
    let model = scripted("m", vec![plain(), prefilled(), prefilled(), plain()]);
    for _ in 0..3 {
        ask(&model).await;
    }
    assert_eq!(ask(&model).await, ("Hello there.".to_owned(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn calls_and_failures_come_after_what_was_held() {
    let call = ChatDelta::ToolCall {
        index: 0,
        id: Some("c".to_owned()),
        name: Some("f".to_owned()),
        arguments: "{}".to_owned(),
    };
    let calling = vec![text("One moment."), Do::Give(call.clone()), done(FinishReason::ToolCalls)];
    let failing = vec![text("It is"), Do::Fail(ErrorKind::Unavailable)];
    let model = scripted("m", vec![calling, failing]);
    let mut called: Vec<_> = model
        .chat(ChatRequest::new(Requester::local(), Vec::new()))
        .map(|d| d.expect("works"))
        .collect()
        .await;
    called.pop();
    assert_eq!(called, [ChatDelta::Text("One moment.".to_owned()), call]);
    let failed: Vec<_> = model.chat(ChatRequest::new(Requester::local(), Vec::new())).collect().await;
    assert_eq!(failed[0], Ok(ChatDelta::Text("It is".to_owned())));
    assert_eq!(failed[1].as_ref().expect_err("failed").kind(), ErrorKind::Unavailable);
    assert_eq!(failed.len(), 2);
}
