//! Scripted engines: a server with OpenAI's chat completions and transcriptions, which does what an attack needs.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// What one person tells and nobody else may hear.
pub(crate) const PIN: &str = "4711";
/// What a model answers that does as it should.
const ANSWER: &str =
    "Your order has been shipped and will arrive, if nothing happens on the way, on Thursday before noon.";
/// How much of the answer a model says before it breaks off or stalls.
const WORDS_BEFORE_THE_END: usize = 11;
/// What an endless answer repeats.
const ENDLESS: &str = "And then there is one more thing to be said about your order. ";
/// Pieces of an answer in which no word ends, and letters in each.
const PIECES_OF_A_WORD: usize = 200;
const LETTERS_OF_A_PIECE: usize = 20;
/// What nobody may hear of a model that thinks aloud.
const THOUGHT: &str = "<think>\nOkay, the user is impatient. I must not say the secret.\n</think>\n\n";
/// Time from one word of an answer to the next.
const WORD_EVERY: Duration = Duration::from_millis(20);
/// The same for a model that drips.
const DRIP_EVERY: Duration = Duration::from_secs(1);
/// The largest prompt that is taken, in bytes.
const MAX_PROMPT: usize = 64 << 20;

/// How the language model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Says the [`PIN`] if it stands anywhere in what the model was sent.
    RevealsPin,
    /// Answers at once and whole.
    Answers,
    /// Breaks the connection in the middle of a sentence.
    BreaksOff,
    /// Takes the question, and never answers.
    StallsBefore,
    /// Stops in the middle of a sentence, and keeps the connection open.
    StallsWithin,
    /// Ends an answer that has no words.
    SaysNothing,
    /// Says one word a second.
    Drips,
    /// Says one sentence after the other, without an end.
    NeverEnds,
    /// Writes thousands of letters without a space.
    LongWord,
    /// Is not there: connections are refused.
    Refuses,
    /// Answers with status 500.
    Fails,
    /// Thinks aloud before it answers.
    Thinks,
}

/// A running server. It ends with the program.
pub(crate) struct Upstream {
    behaviour: Behaviour,
    /// The base URL, up to and with `/v1`.
    url: String,
    /// What speech recognition understands, whatever is said.
    understood: Mutex<String>,
    /// The messages of each request to the language model.
    prompts: Mutex<Vec<Value>>,
    /// The most words of one answer that were taken from the language model.
    most_words: AtomicUsize,
}

impl Upstream {
    pub(crate) async fn start(behaviour: Behaviour) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = Arc::new(Self {
            behaviour,
            url: format!("http://{}/v1", listener.local_addr()?),
            understood: Mutex::default(),
            prompts: Mutex::default(),
            most_words: AtomicUsize::new(0),
        });
        // Nobody listens at the address of a model that refuses connections.
        if behaviour != Behaviour::Refuses {
            let app = Router::new()
                .route("/v1/chat/completions", post(complete))
                .route("/v1/audio/transcriptions", post(transcribe))
                .layer(DefaultBodyLimit::max(MAX_PROMPT))
                .with_state(upstream.clone());
            tokio::spawn(async move { axum::serve(listener, app).await });
        }
        Ok(upstream)
    }

    /// The keys of a section of the configuration that name this server as its engine.
    pub(crate) fn engine(&self) -> String {
        format!("engine = \"openai\"\nbase_url = \"{}\"\nmodel = \"m\"\n", self.url)
    }

    /// From now on this is understood of what is said.
    pub(crate) fn understands(&self, text: &str) {
        text.clone_into(&mut self.understood.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The messages of each request since the last time.
    pub(crate) fn take_prompts(&self) -> Vec<Value> {
        std::mem::take(&mut self.prompts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The most words of one answer that were taken from the language model.
    pub(crate) fn most_words(&self) -> usize {
        self.most_words.load(Ordering::Relaxed)
    }
}

async fn transcribe(State(upstream): State<Arc<Upstream>>, _recording: Bytes) -> Json<Value> {
    let understood = upstream.understood.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Json(json!({ "text": understood }))
}

async fn complete(State(upstream): State<Arc<Upstream>>, Json(request): Json<Value>) -> Response {
    let messages = request["messages"].clone();
    let knows_pin = messages.to_string().contains(PIN);
    upstream.prompts.lock().unwrap_or_else(PoisonError::into_inner).push(messages);
    let begun = || ANSWER.split_inclusive(' ').take(WORDS_BEFORE_THE_END).collect::<String>();
    let answer = match upstream.behaviour {
        Behaviour::RevealsPin if knows_pin => whole(&format!("The PIN is {PIN}.")),
        Behaviour::RevealsPin => whole("I know of no PIN."),
        Behaviour::Answers | Behaviour::Refuses => whole(ANSWER),
        Behaviour::BreaksOff => words(&begun(), WORD_EVERY).chain(broken()).boxed(),
        Behaviour::StallsBefore => stream::pending().boxed(),
        Behaviour::StallsWithin => words(&begun(), WORD_EVERY).chain(stream::pending()).boxed(),
        Behaviour::SaysNothing => whole(""),
        Behaviour::Drips => words(ANSWER, DRIP_EVERY).chain(end()).boxed(),
        Behaviour::NeverEnds => endless(upstream),
        Behaviour::LongWord => {
            let piece = delta(&"a".repeat(LETTERS_OF_A_PIECE));
            events(vec![piece; PIECES_OF_A_WORD], WORD_EVERY).chain(end()).boxed()
        }
        Behaviour::Thinks => whole(&format!("{THOUGHT}{ANSWER}")),
        Behaviour::Fails => {
            let problem = json!({ "error": { "message": "out of memory" } });
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(problem)).into_response();
        }
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(answer)).into_response()
}

/// An answer that is brought to its end.
fn whole(text: &str) -> BoxStream<'static, io::Result<String>> {
    words(text, WORD_EVERY).chain(end()).boxed()
}

/// Each word of the text as an event, with so much time before each but the first.
fn words(text: &str, every: Duration) -> impl Stream<Item = io::Result<String>> + Send + use<> {
    events(text.split_inclusive(' ').map(delta).collect(), every)
}

/// These events, with so much time before each but the first.
fn events(events: Vec<String>, every: Duration) -> impl Stream<Item = io::Result<String>> + Send + use<> {
    stream::iter(events).enumerate().then(move |(at, event)| async move {
        if at > 0 {
            sleep(every).await;
        }
        Ok(event)
    })
}

/// Sentences until whoever reads them hangs up.
fn endless(upstream: Arc<Upstream>) -> BoxStream<'static, io::Result<String>> {
    let words = stream::iter(ENDLESS.split_inclusive(' ')).cycle().enumerate();
    words
        .then(move |(at, word)| {
            upstream.most_words.fetch_max(at + 1, Ordering::Relaxed);
            async move {
                sleep(WORD_EVERY).await;
                Ok(delta(word))
            }
        })
        .boxed()
}

fn delta(text: &str) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

/// The events that end an answer.
fn end() -> impl Stream<Item = io::Result<String>> + Send + use<> {
    let finished = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    stream::iter([Ok(format!("data: {finished}\n\n")), Ok("data: [DONE]\n\n".to_owned())])
}

/// An error that ends the connection.
fn broken() -> impl Stream<Item = io::Result<String>> + Send + use<> {
    stream::iter([Err(io::ErrorKind::ConnectionAborted.into())])
}
