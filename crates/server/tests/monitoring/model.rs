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

/// How a scripted model answers.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    /// Answers with this text.
    Says(&'static str),
    /// Answers with what this function makes of the last message and of the whole prompt.
    Answers(fn(&str, &str) -> String),
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
    model.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let refused = || (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":{"message":"broken"}}"#).into_response();
    if model.down.load(Ordering::Relaxed) {
        return refused();
    }
    let (text, ends) = match model.behaviour {
        Behaviour::FailsHalf(_) if asked.is_multiple_of(2) => return refused(),
        Behaviour::Says(text) | Behaviour::FailsHalf(text) => (text.to_owned(), true),
        Behaviour::Answers(answer) => (answer(&asked_last, &prompt), true),
        Behaviour::StallsAfter(text) => (text.to_owned(), false),
    };
    let token =
        |token: &str| format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": token } }] }));
    let mut events: Vec<String> = text.split_inclusive(' ').map(token).collect();
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    events.extend(ends.then(|| end.to_owned()));
    let said = stream::iter(events).map(Ok::<_, std::io::Error>);
    let said = if ends { said.boxed() } else { said.chain(stream::pending()).boxed() };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(said)).into_response()
}

/// The configuration of these models as engines, in this order.
fn engines(urls: &[&str]) -> String {
    let engine = |url: &&str| format!("{{ engine = \"openai\", base_url = \"{url}\", model = \"m\" }}");
    format!("engines = [{}]\n", urls.iter().map(engine).collect::<Vec<_>>().join(", "))
}

/// The place, configured with these language models instead of its own.
pub(crate) fn with_models(place: Place, urls: &[&str]) -> Place {
    let config = std::fs::read_to_string(place.path("antiphon.toml")).expect("there");
    place.write("antiphon.toml", &config.replace("[tts]", &format!("{}[tts]", engines(urls))));
    place
}
