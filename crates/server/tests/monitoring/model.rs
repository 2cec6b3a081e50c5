//! Scripted language models, each as a server of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::program::Place;

/// The name of every scripted model.
const NAME: &str = "m";

/// How a scripted model answers.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    /// Answers with this text.
    Says(&'static str),
    /// Answers with what this function makes of the last message and of the whole prompt.
    Answers(fn(&str, &str) -> String),
    /// Sends what this function makes of the last message, each as one delta.
    Sends(fn(&str) -> Vec<Value>),
    /// Answers with this text whoever asks for the model by its name, and refuses all other names.
    KnowsItsName(&'static str),
    /// Sends this text, and then nothing more without ending the answer.
    StallsAfter(&'static str),
    /// Refuses every second request, and answers the others with this text.
    FailsHalf(&'static str),
}

/// A server with OpenAI's chat completions.
pub(crate) struct Model {
    behaviour: Behaviour,
    pub(crate) down: AtomicBool,
    pub(crate) asked: AtomicUsize,
    requests: Mutex<Vec<Value>>,
}

impl Model {
    /// Starts the server, and returns its base URL as well.
    pub(crate) async fn start(behaviour: Behaviour) -> (Arc<Self>, String) {
        let model = Arc::new(Self {
            behaviour,
            down: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let app = Router::new().route("/v1/chat/completions", post(complete)).with_state(model.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (model, url)
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn complete(State(model): State<Arc<Model>>, body: String) -> Response {
    let asked = model.asked.fetch_add(1, Ordering::Relaxed);
    let request: Value = serde_json::from_str(&body).expect("JSON");
    let asked_last = request["messages"].as_array().and_then(|all| all.last()).map(|last| &last["content"]);
    let asked_last = asked_last.and_then(Value::as_str).unwrap_or_default().to_owned();
    let prompt = request["messages"].to_string();
    let name = request["model"].as_str().unwrap_or_default().to_owned();
    model.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let refused = || (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":{"message":"broken"}}"#).into_response();
    if model.down.load(Ordering::Relaxed) {
        return refused();
    }
    let (deltas, ends) = match model.behaviour {
        Behaviour::FailsHalf(_) if asked.is_multiple_of(2) => return refused(),
        Behaviour::KnowsItsName(_) if name != NAME => return unknown(&name),
        Behaviour::Says(text) | Behaviour::FailsHalf(text) | Behaviour::KnowsItsName(text) => {
            (words(text), true)
        }
        Behaviour::Answers(answer) => (words(&answer(&asked_last, &prompt)), true),
        Behaviour::Sends(deltas) => (deltas(&asked_last), true),
        Behaviour::StallsAfter(text) => (words(text), false),
    };
    let event = |delta: &Value| format!("data: {}\n\n", json!({ "choices": [{ "delta": delta }] }));
    let mut events: Vec<String> = deltas.iter().map(event).collect();
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    events.extend(ends.then(|| end.to_owned()));
    let said = stream::iter(events).map(Ok::<_, std::io::Error>);
    let said = if ends { said.boxed() } else { said.chain(stream::pending()).boxed() };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(said)).into_response()
}

/// A delta with this text.
pub(crate) fn content(text: &str) -> Value {
    json!({ "content": text })
}

/// The text as deltas of one word each.
fn words(text: &str) -> Vec<Value> {
    text.split_inclusive(' ').map(content).collect()
}

/// Refuses a request for another model, as vLLM does.
fn unknown(name: &str) -> Response {
    let message = format!("The model `{name}` does not exist.");
    let error = json!({ "error": { "message": message, "type": "NotFoundError", "code": 404 } });
    (StatusCode::NOT_FOUND, error.to_string()).into_response()
}

/// The configuration of these models as engines, in this order.
fn engines(urls: &[&str]) -> String {
    let engine = |url: &&str| format!("{{ engine = \"openai\", base_url = \"{url}\", model = \"{NAME}\" }}");
    format!("engines = [{}]\n", urls.iter().map(engine).collect::<Vec<_>>().join(", "))
}

/// The place, configured with these language models instead of its own.
pub(crate) fn with_models(place: Place, urls: &[&str]) -> Place {
    place.replace("[tts]", &format!("{}[tts]", engines(urls)));
    place
}
