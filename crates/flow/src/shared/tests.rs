use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use antiphon_core::{Error, FinishReason, Message, Priority, Requester, Role, Usage};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::*;

/// Says its request's first message word by word, 10 ms each; counts calls, and those that are dropped.
#[derive(Default)]
struct Model {
    calls: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Llm for Model {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "model", model: "m" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let alive = Count(Arc::clone(&self.dropped));
        let words: Vec<String> = request.messages[0].content.split(' ').map(str::to_owned).collect();
        let words = stream::iter(words).then(move |word| {
            let _ = &alive;
            async move {
                sleep(Duration::from_millis(10)).await;
                if word == "fail" { Err(Error::unavailable("down")) } else { Ok(ChatDelta::Text(word)) }
            }
        });
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        words.chain(stream::iter([Ok(done)])).boxed()
    }
}

fn shared() -> (Shared, Arc<Model>) {
    let model = Arc::new(Model::default());
    (Shared::new(Arc::clone(&model) as Arc<dyn Llm>), model)
}

fn ask(text: &str) -> ChatRequest {
    let messages = vec![Message::new(Role::User, text)];
    ChatRequest { temperature: Some(0.0), ..ChatRequest::new(Requester::local(), messages) }
}

fn calls(model: &Model) -> (usize, usize) {
    (model.calls.load(Ordering::Relaxed), model.dropped.load(Ordering::Relaxed))
}

async fn words(answers: BoxStream<'static, Result<ChatDelta>>) -> String {
    let text = |piece| match piece {
        Ok(ChatDelta::Text(text)) => text,
        Ok(_) => ".".to_owned(),
        Err(error) => format!("{error}!"),
    };
    answers.map(text).collect::<Vec<_>>().await.join(" ")
}

#[tokio::test(start_paused = true)]
async fn who_joins_late_hears_the_start_at_once_and_then_the_rest() {
    let (shared, model) = shared();
    let mut first = shared.chat(ask("a b c d"));
    first.next().await.expect("a").expect("works");
    first.next().await.expect("b").expect("works");
    let mut late = shared.chat(ask("a b c d"));
    assert!(late.next().now_or_never().is_some(), "has been said");
    assert!(late.next().now_or_never().is_some(), "has been said");
    assert!(late.next().now_or_never().is_none(), "has not");
    let (first, late) = futures_util::join!(words(first), words(late));
    assert_eq!((first.as_str(), late.as_str()), ("c d .", "c d ."));
    assert_eq!(calls(&model), (1, 1));
    assert!(shared.calls.is_empty());
    let count = |at: usize| shared.counters()[at].value;
    assert_eq!((count(0), count(1)), (2, 1));
    assert_eq!(words(shared.chat(ask("a b c d"))).await, "a b c d .", "anew");
    assert_eq!(calls(&model).0, 2);
}

#[tokio::test(start_paused = true)]
async fn only_the_same_and_repeatable_is_shared() {
    let (shared, model) = shared();
    let base = ask("a");
    let mut held = vec![shared.chat(base.clone())];
    let others = [
        ChatRequest { temperature: None, ..base.clone() },
        ChatRequest { temperature: Some(0.7), ..base.clone() },
        ChatRequest { temperature: Some(0.7), ..base.clone() },
        ChatRequest { top_p: Some(0.5), ..base.clone() },
        ChatRequest { max_tokens: Some(5), ..base.clone() },
        ChatRequest { seed: Some(1), temperature: Some(0.7), ..base.clone() },
        ChatRequest { single_call: true, ..base.clone() },
        ask("b"),
    ];
    held.extend(others.clone().map(|request| shared.chat(request)));
    assert_eq!(calls(&model).0, 1 + others.len());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
    held.push(shared.chat(ChatRequest { trace, priority: Priority::Batch, ..base }));
    held.push(shared.chat(ChatRequest { seed: Some(1), temperature: Some(0.7), ..ask("a") }));
    assert_eq!(calls(&model).0, 1 + others.len(), "joined");
}

#[tokio::test(start_paused = true)]
async fn an_urgent_request_does_not_join_one_that_may_wait() {
    let (shared, model) = shared();
    let later = shared.chat(ChatRequest { priority: Priority::Batch, ..ask("a b") });
    let urgent = shared.chat(ask("a b"));
    assert_eq!(calls(&model).0, 2);
    let third = shared.chat(ChatRequest { priority: Priority::Batch, ..ask("a b") });
    assert_eq!(calls(&model).0, 2, "the urgent one is there to be joined");
    drop(later);
    let (urgent, third) = futures_util::join!(words(urgent), words(third));
    assert_eq!((urgent.as_str(), third.as_str()), ("a b .", "a b ."));
}

#[tokio::test(start_paused = true)]
async fn the_call_is_cancelled_with_its_last_reader() {
    let (shared, model) = shared();
    let mut first = shared.chat(ask("a b c"));
    first.next().await.expect("a").expect("works");
    let second = shared.chat(ask("a b c"));
    drop(first);
    assert_eq!(calls(&model), (1, 0));
    assert_eq!(words(second).await, "a b c .");
    let third = shared.chat(ask("a b c"));
    assert_eq!(calls(&model), (2, 1));
    drop(third);
    assert_eq!(calls(&model), (2, 2));
    assert!(shared.calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_asked_and_went_does_not_strand_the_others() {
    let (shared, _) = shared();
    let mut asker = shared.chat(ask("a"));
    let other = tokio::spawn(words(shared.chat(ask("a"))));
    tokio::task::yield_now().await;
    assert!(asker.next().now_or_never().is_none(), "it was the last to ask the model");
    drop(asker);
    assert_eq!(other.await.expect("ends"), "a .");
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_all() {
    let (shared, _) = shared();
    let (first, second) = (shared.chat(ask("a fail b")), shared.chat(ask("a fail b")));
    let (first, second) = futures_util::join!(words(first), words(second));
    assert_eq!((first.as_str(), second.as_str()), ("a down!", "a down!"));
}

/// A model that says what the test sends to it.
struct Fed(Mutex<Option<mpsc::UnboundedReceiver<Result<ChatDelta>>>>);

impl Llm for Fed {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "fed", model: "m" }
    }

    fn chat(&self, _: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let fed = self.0.lock().expect("not poisoned").take().expect("one call");
        stream::unfold(fed, |mut fed| async move { Some((fed.recv().await?, fed)) }).boxed()
    }
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_and_holds_up_nobody() {
    let (say, fed) = mpsc::unbounded_channel();
    let shared = Shared::new(Arc::new(Fed(Mutex::new(Some(fed)))));
    let (mut fast, mut slow) = (shared.chat(ask("a")), shared.chat(ask("a")));
    let mebibyte = ChatDelta::Text("x".repeat(1 << 20));
    for _ in 0..12 {
        say.send(Ok(mebibyte.clone())).expect("read");
        assert_eq!(fast.next().await, Some(Ok(mebibyte.clone())));
    }
    assert!(slow.next().await.is_some_and(|piece| piece.is_err()));
    assert_eq!(slow.next().await, None);
    drop(say);
    assert_eq!(fast.next().await, None);
}
