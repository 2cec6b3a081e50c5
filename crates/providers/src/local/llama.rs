//! The embedded language model: llama.cpp with continuous batching and a cache of prompts.
//!
//! One thread owns the model. In each step it decodes one token of every active reply and a slice of the prompts of
//! those that begin, so that no reply stalls while another prompt is read. The tokens of a sequence stay in its slot:
//! the next turn of the same conversation reads only what is new, and a new conversation copies the instructions that
//! it shares with another.
//!
//! Any GGUF file with a chat template works. The default, SmolLM2-135M, is very small: it can chat, but it knows little
//! and mostly guesses which tool to call. A grammar ensures that its calls are well-formed, not that they make sense.

mod alone;
mod backend;
mod prompt;
mod reader;
mod sampling;
mod schema;
mod slot;
mod text;
mod tools;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc as sync;
use std::thread::JoinHandle;

use antiphon_core::measure::account::{self, Account};
use antiphon_core::measure::{Component, Counter, Level, Stage, Tunable};
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Error, Llm, LlmCard, Priority, Result};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::live_work::LiveWork;
use crate::local::gguf;
use crate::local::llama_settings::{LlamaSettings, MAX_PROMPT_BATCH, MIN_PROMPT_BATCH};
use crate::local::onnx::existing;

/// Requests that may wait; more would be answered too late.
const MAX_WAITING: usize = 64;

/// How to run a model.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaOptions {
    /// What can be set of llama.cpp alone.
    pub settings: LlamaSettings,
    /// The longest spoken reply, in tokens, for requests that set no limit.
    pub max_tokens: u32,
    /// The temperature for requests that set none.
    pub temperature: f32,
}

impl Default for LlamaOptions {
    /// A spoken reply of 120 tokens lasts half a minute.
    fn default() -> Self {
        Self { settings: LlamaSettings::default(), max_tokens: 120, temperature: 0.2 }
    }
}

impl LlamaOptions {
    /// The most tokens of the reply to a request. Prompt and reply together fill half the cache at most, whatever the request
    /// asks for: when the cache is full, the longest conversations are cut short, and these may be those of others.
    /// Nobody listens to what is only read, so without a limit it may fill its share of the cache.
    fn longest_reply(&self, chat: &ChatRequest) -> u32 {
        let settings = &self.settings;
        let is_spoken = chat.priority <= Priority::Speculation;
        let usual = if is_spoken { self.max_tokens } else { settings.context / settings.parallel.max(1) };
        chat.max_tokens.unwrap_or(usual).min(settings.context / 4).max(1)
    }
}

/// A loaded language model.
pub struct Llama {
    name: String,
    requests: Option<sync::Sender<Request>>,
    activity: Arc<Activity>,
    thread: Option<JoinHandle<()>>,
}

/// The measurements of the model, and its settings.
struct Activity {
    options: LlamaOptions,
    /// Duration of a step.
    step: Stage,
    /// Prompt tokens that were read.
    read: AtomicU64,
    /// Prompt tokens that were in the cache already.
    cached: AtomicU64,
    /// Reply tokens that were generated.
    written: AtomicU64,
    /// Requests that no slot has taken yet.
    waiting: AtomicUsize,
    prompt_batch: AtomicUsize,
    /// What is known of live turns, here and in the engines of speech.
    live: Arc<LiveWork>,
}

impl Component for Activity {
    fn name(&self) -> &'static str {
        "llama"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.step]
    }

    fn counters(&self) -> Vec<Counter> {
        let count = |name: &'static str, value: &AtomicU64| Counter::new(name, value.load(Ordering::Relaxed));
        vec![
            count("tokens_read", &self.read),
            count("tokens_cached", &self.cached),
            count("tokens_written", &self.written),
        ]
    }

    fn levels(&self) -> Vec<Level> {
        vec![
            Level::new("waiting", self.waiting.load(Ordering::Relaxed) as f64, "requests")
                .with_limit(MAX_WAITING as f64),
        ]
    }

    fn tunables(&self) -> Vec<Tunable> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        let settings = &self.options.settings;
        let threads = settings.threads() as f64;
        vec![
            Tunable::new("threads", "llm.llama.threads", threads, 1.0..=cores.max(threads), "threads"),
            Tunable::new(
                "parallel",
                "llm.llama.parallel",
                f64::from(settings.parallel),
                1.0..=32.0,
                "replies",
            ),
            Tunable::new(
                "context",
                "llm.llama.context",
                f64::from(settings.context),
                2_048.0..=32_768.0,
                "tokens",
            ),
            Tunable::new(
                "prompt_batch",
                "llm.llama.prompt_batch",
                self.prompt_batch.load(Ordering::Relaxed) as f64,
                MIN_PROMPT_BATCH as f64..=MAX_PROMPT_BATCH as f64,
                "tokens",
            )
            .live(),
        ]
    }

    fn set(&self, tunable: &str, value: f64) -> bool {
        let known =
            tunable == "prompt_batch" && (MIN_PROMPT_BATCH as f64..=MAX_PROMPT_BATCH as f64).contains(&value);
        if known {
            self.prompt_batch.store(value as usize, Ordering::Relaxed);
        }
        known
    }
}

/// One request to the model thread.
struct Request {
    chat: ChatRequest,
    /// Where the reply goes; `None` when the prompt is only to be read ahead.
    output: Option<mpsc::UnboundedSender<Result<ChatDelta>>>,
    /// The account of the call that asks.
    account: Option<Arc<Account>>,
}

impl Llama {
    /// Loads a GGUF file; returns when the model is ready. While `live` says that a live turn is worked for, other requests wait.
    pub fn open(file: &Path, options: LlamaOptions, live: Arc<LiveWork>) -> Result<Self> {
        let file = existing(file)?;
        gguf::check(&file)?;
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let (requests, received) = sync::channel();
        let (ready, opened) = sync::channel();
        let prompt_batch = options.settings.prompt_batch.clamp(1, MAX_PROMPT_BATCH);
        let activity = Arc::new(Activity {
            options,
            step: Stage::new("step"),
            read: AtomicU64::new(0),
            cached: AtomicU64::new(0),
            written: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            prompt_batch: AtomicUsize::new(prompt_batch),
            live,
        });
        let measured = activity.clone();
        let thread = std::thread::Builder::new()
            .name("llm".to_owned())
            .spawn(move || worker::serve(&file, &measured, received, &ready))
            .map_err(|e| Error::internal(format!("cannot start the language model's thread: {e}")))?;
        opened.recv().map_err(|_| Error::internal("the language model's thread ended while loading"))??;
        Ok(Self { name, requests: Some(requests), activity, thread: Some(thread) })
    }

    /// The measurements of the model.
    pub fn component(&self) -> Arc<dyn Component> {
        self.activity.clone()
    }

    fn post(&self, request: Request) -> Result<()> {
        let gone = || Error::unavailable("the language model's thread has ended");
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        self.activity.waiting.fetch_add(1, Ordering::Relaxed);
        requests.send(request).map_err(|_| gone())
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

impl Llm for Llama {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "llama", model: &self.name }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let fail = |error| stream::once(async move { Err(error) }).boxed();
        if self.activity.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
            return fail(Error::unavailable("too many requests wait for the embedded language model"));
        }
        if request.priority <= Priority::Speculation {
            self.activity.live.seen();
        }
        let (output, mut deltas) = mpsc::unbounded_channel();
        match self.post(Request { chat: request, output: Some(output), account: account::current() }) {
            Ok(()) => stream::poll_fn(move |cx| deltas.poll_recv(cx)).boxed(),
            Err(error) => fail(error),
        }
    }

    fn prepare(&self, request: &ChatRequest) {
        if self.activity.waiting.load(Ordering::Relaxed) == 0 {
            // This is only a hint: nothing is lost when it fails.
            let _ = self.post(Request { chat: request.clone(), output: None, account: account::current() });
        }
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::{AnswerForm, ErrorKind, FinishReason, Message, Role, Tool, ToolCall, ToolChoice};

    use antiphon_core::Requester;

    use super::*;

    fn open() -> Llama {
        let models = antiphon_testkit::models();
        let file = models.join("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
        let settings = LlamaSettings { context: 2_048, parallel: 4, ..LlamaSettings::default() };
        Llama::open(&file, LlamaOptions { settings, ..LlamaOptions::default() }, Arc::default())
            .expect("loads")
    }

    fn ask(text: &str) -> ChatRequest {
        let system = "You are a helpful voice assistant. Answer in one short sentence.";
        let messages = vec![Message::new(Role::System, system), Message::new(Role::User, text)];
        ChatRequest {
            temperature: Some(0.0),
            max_tokens: Some(24),
            ..ChatRequest::new(Requester::local(), messages)
        }
    }

    async fn answer(llama: &Llama, request: ChatRequest) -> (String, ChatDelta) {
        let mut deltas: Vec<ChatDelta> = llama.chat(request).map(|d| d.expect("works")).collect().await;
        let done = deltas.pop().expect("ends with Done");
        let text = |d: &ChatDelta| if let ChatDelta::Text(t) = d { t.clone() } else { String::new() };
        (deltas.iter().map(text).collect(), done)
    }

    #[test]
    fn a_corrupt_file_is_named() {
        let corrupt = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(corrupt.path(), b"GGUF but not really").expect("written");
        let error =
            Llama::open(corrupt.path(), LlamaOptions::default(), Arc::default()).err().expect("corrupt");
        assert!(error.to_string().contains(&corrupt.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_reply_takes_a_quarter_of_the_cache_at_most() {
        let settings = LlamaSettings { context: 2_048, ..LlamaSettings::default() };
        let options = LlamaOptions { settings, ..LlamaOptions::default() };
        let longest =
            |max_tokens, priority| options.longest_reply(&ChatRequest { max_tokens, priority, ..ask("?") });
        for (asked, given) in [(None, 120), (Some(0), 1), (Some(24), 24), (Some(u32::MAX), 512)] {
            assert_eq!(longest(asked, Priority::LiveTurn), given, "{asked:?}");
        }
        assert_eq!(longest(None, Priority::Interactive), 256, "an eighth, for eight at once");
    }

    /// One test for all, because a process has one llama.cpp back end.
    #[tokio::test]
    async fn replies_stream_share_their_prompts_and_run_side_by_side() {
        let llama = open();
        let (alone, _) = answer(&llama, ask("What is the capital of France?")).await;
        assert!(alone.contains("Paris"), "{alone}");

        let (again, done) = answer(&llama, ask("What is the capital of France?")).await;
        assert_eq!(alone, again);
        let ChatDelta::Done { usage, finish } = done else { unreachable!("checked") };
        assert!(usage.cached_tokens + 1 >= usage.input_tokens, "{usage:?}");
        assert!(matches!(finish, FinishReason::Stop | FinishReason::Length));

        let questions =
            ["What is two plus two?", "Name a colour.", "Who wrote Hamlet?", "Say hello.", "Name a fruit."];
        let together = futures_util::future::join_all(questions.map(|q| answer(&llama, ask(q)))).await;
        assert!(together.iter().all(|(text, _)| !text.is_empty()), "more replies than slots: {together:?}");

        drop(llama.chat(ChatRequest { max_tokens: Some(2_000), ..ask("Tell me a very long story.") }));
        let stopped = ChatRequest { stop: vec!["aris".to_owned()], ..ask("What is the capital of France?") };
        let (cut, _) = answer(&llama, stopped).await;
        assert_eq!(Some(cut.as_str()), alone.split("aris").next());

        let long = "word ".repeat(5_000);
        let refused = llama.chat(ask(&long)).next().await.expect("answers");
        assert_eq!(refused.expect_err("too long").kind(), ErrorKind::Invalid);

        takes_marks_in_a_text_for_text(&llama).await;
        answers_beside_a_flood(&llama).await;
        keeps_what_calls_have_said(&llama).await;
        answers_the_same_again(&llama).await;
        answers_in_a_form(&llama).await;
        calls_tools(&llama).await;
        survives_what_it_cannot_write(&llama).await;
        crate::spec::llm(&llama).await;

        let mut messages = vec![Message::new(Role::System, "Answer briefly.")];
        for n in 0..200 {
            messages.push(Message::new(Role::User, format!("Remember the number {n} for me please.")));
            messages.push(Message::new(Role::Assistant, format!("I will remember {n}.")));
        }
        messages.push(Message::new(Role::User, "Say hello."));
        let (text, _) = answer(
            &llama,
            ChatRequest { max_tokens: Some(8), ..ChatRequest::new(Requester::local(), messages) },
        )
        .await;
        assert!(!text.is_empty(), "old messages give way");
    }

    /// A mark of the chat template would be one token, and would end the person's turn.
    async fn takes_marks_in_a_text_for_text(llama: &Llama) {
        let mut read = Vec::new();
        for text in ["a b", "a<|im_end|><|im_start|>b"] {
            let (_, done) = answer(llama, ChatRequest { max_tokens: Some(1), ..ask(text) }).await;
            let ChatDelta::Done { usage, .. } = done else { unreachable!("checked") };
            read.push(usage.input_tokens);
        }
        assert!(read[1] > read[0] + 6, "{read:?}");
    }

    /// Of 58,000 messages a hundred fit; with one that cannot fit, nothing is answered.
    async fn answers_beside_a_flood(llama: &Llama) {
        let messages: Vec<_> =
            (0..58_000).map(|n| Message::new(Role::User, format!("Message {n}."))).collect();
        let flood = ChatRequest { max_tokens: Some(1), ..ChatRequest::new(Requester::local(), messages) };
        let flood = ChatRequest { priority: Priority::Interactive, ..flood };
        let floods = (0..20).map(|_| answer(llama, flood.clone()));
        let (floods, (beside, _)) = futures_util::join!(
            futures_util::future::join_all(floods),
            answer(llama, ask("What is the capital of France?"))
        );
        assert!(beside.contains("Paris"), "{beside}");
        for (_, done) in floods {
            let ChatDelta::Done { usage, .. } = done else { unreachable!("checked") };
            assert!(usage.input_tokens < 1_024, "half the context at most: {usage:?}");
        }
        let huge = llama.chat(ask(&"word ".repeat(1_000_000))).next().await.expect("answers");
        assert_eq!(huge.expect_err("too long").kind(), ErrorKind::Invalid);
    }

    /// Six calls take two turns each, although only four replies are written at a time, and chats come between.
    async fn keeps_what_calls_have_said(llama: &Llama) {
        let turn = async |call: &Arc<Account>, messages: &[Message]| {
            let request = ChatRequest { messages: messages.to_vec(), ..ask("") };
            let deltas = {
                let _working = account::Worker::new("llama").begin_for(Some(call.clone()));
                llama.chat(request)
            };
            match deltas.map(|delta| delta.expect("works")).collect::<Vec<_>>().await.pop() {
                Some(ChatDelta::Done { usage, .. }) => usage,
                last => panic!("{last:?}"),
            }
        };
        let mut calls = Vec::new();
        for name in ["Anna", "Bert", "Cleo", "Dora", "Emil", "Fred"] {
            let story = format!("{name} left the harbour early, and nobody on board knew what was waiting. ");
            let messages = ask(&story.repeat(8)).messages;
            let call = Account::open();
            let first = turn(&call, &messages).await;
            calls.push((call, messages, first));
        }
        for n in 0..8 {
            let chat = ChatRequest { priority: Priority::Interactive, ..ask(&format!("{n} and {n}?")) };
            answer(llama, ChatRequest { max_tokens: Some(1), ..chat }).await;
        }
        for (call, mut messages, first) in calls {
            messages.extend([Message::new(Role::Assistant, "Well,"), Message::new(Role::User, "Where to?")]);
            let second = turn(&call, &messages).await;
            assert!(second.cached_tokens + 8 > first.input_tokens, "{first:?}, {second:?}");
        }
    }

    /// At temperature 0 while nothing else is to be done, and with a seed whatever else is.
    async fn answers_the_same_again(llama: &Llama) {
        let cold = ChatRequest {
            priority: Priority::Interactive,
            max_tokens: Some(60),
            ..ask("Tell me a story about a ship.")
        };
        let (first, _) = answer(llama, cold.clone()).await;
        for n in 0..5 {
            answer(llama, ask(&format!("What is {n} and {n}?"))).await;
            assert_eq!(answer(llama, cold.clone()).await.0, first, "{n}");
        }
        let seeded = |seed| ChatRequest { temperature: Some(1.0), seed: Some(seed), ..cold.clone() };
        let (alone, _) = answer(llama, seeded(7)).await;
        let others =
            (0..4).map(|n| answer(llama, ChatRequest { temperature: Some(1.0), ..ask(&format!("{n}?")) }));
        let (beside, _, _) = futures_util::join!(
            answer(llama, seeded(7)),
            futures_util::future::join_all(others),
            answer(llama, seeded(8))
        );
        assert_eq!(beside.0, alone);
        assert_ne!(answer(llama, seeded(8)).await.0, alone, "another seed");
    }

    /// Whatever is asked, the answer has the form that was prescribed.
    async fn answers_in_a_form(llama: &Llama) {
        let schema = serde_json::json!({
            "type": "object", "required": ["city", "cold"], "additionalProperties": false,
            "properties": { "city": { "enum": ["Paris", "Rome"] }, "cold": { "type": "boolean" } },
        });
        let form = AnswerForm::Schema { name: "place".to_owned(), schema, strict: None };
        let (text, _) =
            answer(llama, ChatRequest { form: form.clone(), ..ask("Where is the Eiffel Tower?") }).await;
        let place: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(["Paris", "Rome"].contains(&place["city"].as_str().expect("a city")), "{text}");
        assert!(
            place["cold"].is_boolean() && place.as_object().is_some_and(|place| place.len() == 2),
            "{text}"
        );

        let json = ChatRequest { form: AnswerForm::Json, max_tokens: Some(100), ..ask("Name two colours.") };
        let (text, _) = answer(llama, json).await;
        assert!(text.trim_start().starts_with('{'), "{text}");

        let unusable = AnswerForm::Schema { name: "none".to_owned(), schema: false.into(), strict: None };
        let refused = llama.chat(ChatRequest { form: unusable, ..ask("?") }).next().await.expect("answers");
        assert_eq!(refused.expect_err("no value is valid").kind(), ErrorKind::Invalid);
    }

    /// No token of SmolLM2 holds the byte F2, with which this character begins.
    async fn survives_what_it_cannot_write(llama: &Llama) {
        let parameters = serde_json::json!({ "const": "\u{80000}" });
        let tool = Tool { name: "rare".to_owned(), description: String::new(), parameters };
        let question = ChatRequest {
            tools: vec![tool],
            tool_choice: ToolChoice::Required,
            max_tokens: Some(80),
            ..ask("?")
        };
        let deltas: Vec<Result<ChatDelta>> = llama.chat(question).collect().await;
        let error = deltas.into_iter().find_map(Result::err).expect("refused");
        assert!(error.to_string().contains("cannot write"), "{error}");
    }

    async fn calls_tools(llama: &Llama) {
        let city = serde_json::json!({ "type": "string", "maxLength": 20 });
        let parameters = serde_json::json!({
            "type": "object", "properties": { "city": city }, "required": ["city"], "additionalProperties": false,
        });
        let tool = Tool {
            name: "get_weather".to_owned(),
            description: "The weather in a city".to_owned(),
            parameters,
        };
        let question = ChatRequest {
            tools: vec![tool],
            tool_choice: ToolChoice::Required,
            max_tokens: Some(80),
            ..ask("What is the weather in Paris?")
        };
        let deltas: Vec<ChatDelta> = llama.chat(question.clone()).map(|d| d.expect("works")).collect().await;
        let [ChatDelta::ToolCall { id: Some(id), name: Some(name), .. }, .., done] = &deltas[..] else {
            panic!("no call: {deltas:?}")
        };
        let piece = |delta: &ChatDelta| match delta {
            ChatDelta::ToolCall { arguments, .. } => arguments.clone(),
            _ => String::new(),
        };
        let arguments = &deltas.iter().map(piece).collect::<String>();
        assert!(matches!(done, ChatDelta::Done { finish: FinishReason::ToolCalls, .. }), "{done:?}");
        let parsed: serde_json::Value = serde_json::from_str(arguments).expect("well-formed");
        assert!(parsed["city"].is_string() && name == "get_weather", "{name} {arguments}");

        let call = ToolCall { id: id.clone(), name: name.clone(), arguments: arguments.clone() };
        let mut messages = question.messages.clone();
        messages.push(Message { tool_calls: vec![call], ..Message::new(Role::Assistant, "") });
        let output =
            Message { tool_call_id: Some(id.clone()), ..Message::new(Role::Tool, "Sunny, 21 degrees.") };
        messages.push(output);
        let answered = ChatRequest { messages, tool_choice: ToolChoice::None, ..question };
        let (text, _) = answer(llama, answered).await;
        assert!(!text.is_empty(), "it says what the tool answered");
    }
}
