use antiphon_server::settings::Settings;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::Server;
use crate::{error, events};

async fn post(server: &Server, path: &str, body: Value) -> Response {
    reqwest::Client::new().post(server.url(path)).json(&body).send().await.expect("a reply")
}

async fn ask(server: &Server, body: Value) -> Value {
    post(server, "/v1/responses", body).await.json().await.expect("JSON")
}

fn weather(input: &str) -> Value {
    let tool = json!({"type": "function", "name": "weather", "parameters": {"type": "object"}});
    json!({ "input": input, "tools": [tool] })
}

/// The types of these events in order, each run of equal ones once.
fn order(events: &[Value]) -> Vec<&str> {
    let mut order: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    order.dedup();
    order
}

#[tokio::test]
async fn a_response_comes_at_once() {
    let server = Server::start(Settings::default());
    let response =
        ask(&server, json!({"input": "to be or not", "instructions": "Be brief.", "metadata": {"a": "b"}}))
            .await;
    assert_eq!((&response["object"], &response["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(response["output"][0]["content"][0]["text"], "to be or not");
    assert_eq!(
        (&response["output"][0]["type"], &response["output"][0]["role"]),
        (&json!("message"), &json!("assistant"))
    );
    assert_eq!((&response["model"], &response["store"]), (&json!("fake-llm"), &json!(false)));
    assert_eq!((&response["instructions"], &response["metadata"]["a"]), (&json!("Be brief."), &json!("b")));
    assert_eq!(
        (&response["usage"]["total_tokens"], &response["usage"]["input_tokens_details"]["cached_tokens"]),
        (&json!(14), &json!(4))
    );

    let cut = ask(&server, json!({"input": "to be or not", "max_output_tokens": 2})).await;
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    assert_eq!(cut["output"][0]["content"][0]["text"], "to be ");
}

#[tokio::test]
async fn a_response_comes_as_events_in_openais_order() {
    let server = Server::start(Settings::default());
    let (events, done) =
        events(post(&server, "/v1/responses", json!({"input": "to be", "stream": true})).await).await;
    assert!(!done, "the last event is the end");
    assert_eq!(
        order(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let text: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    let last = &events[events.len() - 1]["response"];
    assert_eq!((text.as_str(), &last["output"][0]["content"][0]["text"]), ("to be", &json!("to be")));
    assert_eq!(
        (&events[0]["response"]["id"], &events[0]["response"]["status"]),
        (&last["id"], &json!("in_progress"))
    );
    for event in &events[3..8] {
        let item = event["item_id"].as_str().or(event["item"]["id"].as_str());
        assert_eq!(item, last["output"][0]["id"].as_str(), "{event}");
    }
}

#[tokio::test]
async fn tools_are_called_and_answered() {
    let server = Server::start(Settings::default());
    let first = ask(&server, weather("weather?")).await;
    let call = &first["output"][0];
    assert_eq!(
        (&call["type"], &call["call_id"], &call["name"]),
        (&json!("function_call"), &json!("call_1"), &json!("weather"))
    );
    assert_eq!(call["arguments"], "{\"city\":\"Ulm\"}");

    let mut streamed = weather("weather?");
    streamed["stream"] = json!(true);
    let (events, _) = events(post(&server, "/v1/responses", streamed).await).await;
    assert_eq!(
        order(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );

    let mut second = weather("weather?");
    let output = json!({"type": "function_call_output", "call_id": "call_1", "output": "rain"});
    second["input"] = json!([{"role": "user", "content": "weather?"}, call, output]);
    let second = ask(&server, second).await;
    assert_eq!(second["output"][0]["content"][0]["text"], "rain");
}

#[tokio::test]
async fn a_message_can_be_referred_to_by_whom_it_was_said_to() {
    let keys = antiphon_desk::Keys::new(["sk-one", "sk-two"]);
    let server = Server::start(Settings { keys, ..Settings::default() });
    let ask = async |key: &str, body: Value| {
        let request = reqwest::Client::new().post(server.url("/v1/responses")).bearer_auth(key).json(&body);
        request.send().await.expect("a reply")
    };
    let said: Value = ask("sk-one", json!({"input": "remember this"})).await.json().await.expect("JSON");
    let reference = json!({"type": "item_reference", "id": said["output"][0]["id"]});
    let referring = json!({ "input": [reference] });
    let again: Value = ask("sk-one", referring.clone()).await.json().await.expect("JSON");
    assert_eq!(again["output"][0]["content"][0]["text"], "remember this");
    let (status, message) = error(ask("sk-two", referring).await).await;
    assert!(status == 400 && message.contains("not kept"), "{status} {message}");
}

#[tokio::test]
async fn what_fails_is_told_before_or_within_the_stream() {
    let server = Server::start(Settings::default());
    for stream in [false, true] {
        let failed =
            post(&server, "/v1/responses", json!({"input": "fail unavailable", "stream": stream})).await;
        assert_eq!(error(failed).await.0, 503);
    }
    let (events, _) =
        events(post(&server, "/v1/responses", json!({"input": "fail late", "stream": true})).await).await;
    let last = &events[events.len() - 1];
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.failed"), &json!("failed")));
    assert!(
        last["response"]["error"]["message"].as_str().is_some_and(|message| message.contains("lunch")),
        "{last}"
    );
    let refused =
        post(&server, "/v1/responses", json!({"input": "hi", "previous_response_id": "resp_1"})).await;
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!(body["error"]["param"], "previous_response_id");
}

#[tokio::test]
async fn azures_paths_lead_to_the_same_resources() {
    let server = Server::start(Settings::default());
    let chat = json!({"messages": [{"role": "user", "content": "hi"}]});
    for (path, body, object) in [
        ("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", &chat, "chat.completion"),
        ("/openai/v1/chat/completions", &chat, "chat.completion"),
        ("/openai/responses?api-version=2025-04-01-preview", &json!({"input": "hi"}), "response"),
        ("/openai/v1/responses", &json!({"input": "hi"}), "response"),
        ("/openai/deployments/e/embeddings?api-version=2024-10-21", &json!({"input": "hi"}), "list"),
    ] {
        let answer = post(&server, path, body.clone()).await;
        assert_eq!(answer.status(), 200, "{path}");
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["object"], object, "{path}");
    }
    let speech =
        post(&server, "/openai/deployments/tts/audio/speech", json!({"input": "hi", "voice": "alloy"})).await;
    assert_eq!(speech.status(), 200);
    let refused = post(&server, "/openai/v1/embeddings", json!({})).await;
    assert_eq!(error(refused).await.0, 400, "errors have OpenAI's shape there, too");
}
