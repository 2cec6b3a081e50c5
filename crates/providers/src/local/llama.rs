//! The embedded language model: llama.cpp with continuous batching and a cache of prompts.
//!
//! One thread decodes for the turns of calls. In each step it decodes one token of every active reply and a slice of the prompts
//! of those that begin, so that no reply stalls while another prompt is read. The tokens of a sequence stay in its slot:
//! the next turn of the same conversation reads only what is new, and a new conversation copies the instructions that
//! it shares with another. A second thread does the same for all other requests, and gives way to the first.
//!
//! Any GGUF file with a chat template works. The default, SmolLM2-135M, is very small: it can chat, but it knows little
//! and mostly guesses which tool to call. A grammar ensures that its calls are well-formed, not that they make sense.

mod alone;
mod backend;
mod grammar;
mod lanes;
mod prompt;
mod reader;
mod sampling;
mod schema;
mod slot;
#[cfg(test)]
mod tests;
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
use antiphon_core::{
    AnswerForm, BoxStream, ChatDelta, ChatRequest, Error, Llm, LlmCard, Result, Tool, ToolChoice,
};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use self::grammar::Grammar;
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
        let is_spoken = chat.priority.is_live();
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
    /// Requests that no slot has taken yet: those of live turns, and others.
    waiting: [AtomicUsize; 2],
    prompt_batch: AtomicUsize,
    /// What is known of live turns, here and in the engines of speech.
    live: Arc<LiveWork>,
}

impl Activity {
    /// How many requests wait that are of live turns, or that are not.
    fn waiting(&self, is_live: bool) -> &AtomicUsize {
        &self.waiting[usize::from(!is_live)]
    }

    fn all_waiting(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.load(Ordering::Relaxed)).sum()
    }
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
            Level::new("waiting", self.all_waiting() as f64, "requests")
                .with_limit((self.waiting.len() * MAX_WAITING) as f64),
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

/// One request to the model.
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
            waiting: Default::default(),
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
        self.activity.waiting(request.chat.priority.is_live()).fetch_add(1, Ordering::Relaxed);
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
        let is_live = request.priority.is_live();
        if self.activity.waiting(is_live).load(Ordering::Relaxed) >= MAX_WAITING {
            return fail(Error::unavailable("too many requests wait for the embedded language model"));
        }
        if is_live {
            self.activity.live.seen();
        }
        let (output, mut deltas) = mpsc::unbounded_channel();
        match self.post(Request { chat: request, output: Some(output), account: account::current() }) {
            Ok(()) => stream::poll_fn(move |cx| deltas.poll_recv(cx)).boxed(),
            Err(error) => fail(error),
        }
    }

    fn prepare(&self, request: &ChatRequest) {
        if self.activity.waiting(request.priority.is_live()).load(Ordering::Relaxed) == 0 {
            // This is only a hint: nothing is lost when it fails.
            let _ = self.post(Request { chat: request.clone(), output: None, account: account::current() });
        }
    }

    fn check_tools(&self, tools: &[Tool]) -> Result<()> {
        Grammar::of(tools, &ToolChoice::Auto, &AnswerForm::Text).map(drop)
    }
}
