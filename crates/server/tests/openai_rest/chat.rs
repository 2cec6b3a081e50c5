use std::sync::{Arc, Mutex};

use antiphon_agent::Engines;
use antiphon_core::trace::TraceContext;
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, FinishReason, Llm, LlmCard, Result, Usage};
use antiphon_server::settings::Settings;
use futures_util::{StreamExt, stream};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::schema::assert_is;
use crate::support::{Server, agent, engines};
use crate::{error, events};

async fn post(server: &Server, body: Value) -> Response {
    reqwest::Client::new().post(server.url("/v1/chat/completions")).json(&body).send().await.expect("a reply")
}

fn say(text: &str, extra: &Value) -> Value {
    let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

fn weather() -> Value {
    json!({"tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]})
}

#[tokio::test]
async fn a_completion_comes_at_once() {
    let server = Server::start(Settings::default());
    let reply: Value = post(&server, say("to be or not", &json!({}))).await.json().await.unwrap();
    assert_is("CreateChatCompletionResponse", &reply);
    assert_eq!(reply["model"], "fake-llm");
    assert_eq!(reply["choices"][0]["message"]["content"], "to be or not");
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
    assert_eq!(reply["usage"]["total_tokens"], 14);
    assert_eq!(reply["usage"]["prompt_tokens_details"]["cached_tokens"], 4);

    let reply: Value =
        post(&server, say("to be or not", &json!({"max_tokens": 2}))).await.json().await.unwrap();
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    assert_eq!(reply["choices"][0]["message"]["content"], "to be ");
}

#[tokio::test]
async fn a_completion_comes_piece_by_piece() {
    let server = Server::start(Settings::default());
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let (chunks, done) = events(post(&server, say("to be", &options)).await).await;
    assert!(done);
    for chunk in &chunks {
        assert_is("CreateChatCompletionStreamResponse", chunk);
        assert_eq!(chunk["id"], chunks[0]["id"]);
    }
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "to be");
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[chunks.len() - 1]["choices"], json!([]));
    assert_eq!(chunks[chunks.len() - 1]["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn tools_are_called() {
    let server = Server::start(Settings::default());
    let reply: Value = post(&server, say("weather?", &weather())).await.json().await.unwrap();
    assert_is("CreateChatCompletionResponse", &reply);
    let choice = &reply["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let function = json!({"name": "weather", "arguments": "{\"city\":\"Ulm\"}"});
    assert_eq!(
        choice["message"]["tool_calls"][0],
        json!({"id": "call_1", "type": "function", "function": function})
    );

    let mut streamed = weather();
    streamed["stream"] = json!(true);
    let (chunks, _) = events(post(&server, say("weather?", &streamed)).await).await;
    for chunk in &chunks {
        assert_is("CreateChatCompletionStreamResponse", chunk);
    }
    let first = &chunks[1]["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!((&first["id"], &first["function"]["name"]), (&json!("call_1"), &json!("weather")));

    let mut forbidden = weather();
    forbidden["tool_choice"] = json!("none");
    let reply: Value = post(&server, say("weather?", &forbidden)).await.json().await.unwrap();
    assert_eq!(reply["choices"][0]["message"]["content"], "weather?");
}

/// Writes the arguments of a call only when it is told to go on.
struct Calling(Arc<Notify>);

impl Llm for Calling {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "calling", model: "calling" }
    }

    fn chat(&self, _: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let go_on = self.0.clone();
        let call = |id: Option<&str>, name: Option<&str>, arguments: &str| ChatDelta::ToolCall {
            index: 0,
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        };
        let first = call(Some("call_1"), Some("weather"), "");
        let done = ChatDelta::Done { finish: FinishReason::ToolCalls, usage: Usage::default() };
        let rest = [call(None, None, "{\"city\":"), call(None, None, "\"Ulm\"}"), done];
        let told = stream::once(async move { go_on.notified().await })
            .flat_map(move |()| stream::iter(rest.clone()));
        stream::iter([first]).chain(told).map(Ok).boxed()
    }
}

#[tokio::test]
async fn a_tool_call_is_streamed_while_it_is_written() {
    let go_on = Arc::new(Notify::new());
    let engines = Engines { llm: Arc::new(Calling(go_on.clone())), ..engines() };
    let server = Server::start_with(Settings::default(), agent(), engines);
    let mut streamed = weather();
    streamed["stream"] = json!(true);
    let mut response = post(&server, say("weather?", &streamed)).await;
    let (mut text, mut told) = (String::new(), false);
    while let Some(piece) = response.chunk().await.expect("a piece") {
        text.push_str(std::str::from_utf8(&piece).expect("text"));
        if !told && text.contains("weather") {
            // The name is there although not one argument was written.
            assert!(!text.contains("city"), "{text}");
            go_on.notify_one();
            told = true;
        }
    }
    let chunks: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: ").filter(|data| *data != "[DONE]"))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0]["role"], "assistant");
    let call = |n: usize| &deltas[n]["tool_calls"][0];
    assert_eq!(
        *call(1),
        json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "" } })
    );
    for (n, arguments) in [(2, "{\"city\":"), (3, "\"Ulm\"}")] {
        assert_eq!(*call(n), json!({ "index": 0, "function": { "arguments": arguments } }));
    }
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "tool_calls");
    for chunk in &chunks {
        assert_is("CreateChatCompletionStreamResponse", chunk);
    }
}

#[tokio::test]
async fn failures_of_the_engine_have_their_status_even_when_streamed() {
    let server = Server::start(Settings::default());
    for streamed in [false, true] {
        for (kind, status) in
            [("rate", 429), ("timeout", 504), ("unavailable", 503), ("invalid", 400), ("x", 500)]
        {
            let response = post(&server, say(&format!("fail {kind}"), &json!({"stream": streamed}))).await;
            if kind == "rate" {
                assert_eq!(response.headers()["retry-after"], "7");
            }
            assert_eq!(error(response).await.0, status, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_of_a_stream_is_an_event() {
    let server = Server::start(Settings::default());
    let (chunks, done) = events(post(&server, say("fail late", &json!({"stream": true}))).await).await;
    assert!(!done);
    assert_eq!(chunks.last().unwrap()["error"]["message"], "gone for lunch");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let server = Server::start(Settings::default());
    let url = server.url("/v1/chat/completions");
    let client = reqwest::Client::new();
    let json = "application/json";
    for (media_type, body, status, says) in [
        (json, "{", 400, "EOF"),
        (json, "{\"messages\": \"hi\"}", 400, "messages"),
        (json, "{\"messages\": [{\"role\": \"king\", \"content\": \"\"}]}", 400, "messages[0].role"),
        (json, "{}", 400, "messages"),
        ("text/plain", "{}", 415, "application/json"),
    ] {
        let response = client.post(&url).header("content-type", media_type).body(body).send().await.unwrap();
        let (got, message) = error(response).await;
        assert_eq!(got, status, "{body}: {message}");
        assert!(message.contains(says), "{body}: {message}");
    }
}

/// Remembers in which trace it was asked.
struct Asked(Arc<Mutex<Option<TraceContext>>>);

impl Llm for Asked {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "asked", model: "asked" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        *self.0.lock().expect("no panic") = request.trace;
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        stream::iter([Ok(done)]).boxed()
    }
}

#[tokio::test]
async fn the_engine_is_asked_in_the_trace_of_the_client() {
    let asked = Arc::new(Mutex::new(None));
    let engines = Engines { llm: Arc::new(Asked(asked.clone())), ..engines() };
    let server = Server::start_with(Settings::default(), agent(), engines);
    let given: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
    let request = reqwest::Client::new().post(server.url("/v1/chat/completions"));
    let request = request.header(TraceContext::HEADER, given.to_string()).json(&say("hi", &json!({})));
    assert_eq!(request.send().await.expect("a reply").status(), 200);
    let trace = asked.lock().expect("no panic").expect("a trace");
    assert_eq!((trace.trace_id, trace.sampled), (given.trace_id, true));
    assert_ne!(trace.span_id, given.span_id, "it is a span of its own");
}
