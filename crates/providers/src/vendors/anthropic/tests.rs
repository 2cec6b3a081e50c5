use std::time::Duration;

use antiphon_core::{
    ErrorKind, FinishReason, Message, RateLimit, Requester, Role, Tool, ToolCall, ToolChoice, Usage, lock,
};
use futures_util::StreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::remote::ServerEvent;
use crate::remote::chat::Dialect;
use crate::remote::testing::{
    Server, asking, converse, data_events, events, json_like, latest, response, survives, survives_events,
};

/// An answer as Anthropic streams it.
const ANSWER: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":10,"cache_read_input_tokens":100,"output_tokens":1}}}"#,
    "\n\nevent: content_block_start\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    "\n\nevent: ping\n",
    r#"data: {"type": "ping"}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello."}}"#,
    "\n\nevent: content_block_stop\n",
    r#"data: {"type":"content_block_stop","index":0}"#,
    "\n\nevent: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#,
    "\n\nevent: message_stop\n",
    r#"data: {"type":"message_stop"}"#,
    "\n\n",
);

fn options(server: &Server) -> AnthropicOptions {
    let base_url = format!("{}/v1", server.url);
    AnthropicOptions { base_url, api_key: Some(ApiKey::new("s3cret")), ..AnthropicOptions::new("m") }
}

fn chat(server: &Server) -> AnthropicChat {
    AnthropicChat::new(options(server)).expect("made")
}

/// The deltas of these events.
async fn deltas(chunks: &[&str]) -> Result<Vec<ChatDelta>> {
    converse(&chat(&Server::sending(data_events(chunks)).await)).await
}

#[tokio::test]
async fn it_obeys_the_spec() {
    crate::spec::llm(&chat(&Server::sending(events(ANSWER)).await)).await;
}

#[tokio::test]
async fn it_survives_its_server() {
    let ask = || {
        asking(|url, bounds| {
            let base_url = format!("{url}/v1");
            AnthropicChat::new(AnthropicOptions { base_url, bounds, ..AnthropicOptions::new("m") })
                .expect("made")
        })
    };
    survives(ask(), &events(ANSWER)).await;
    survives_events(ask()).await;
}

#[tokio::test]
async fn a_reply_streams_and_counts_what_was_cached() {
    let server = Server::sending(events(ANSWER)).await;
    let got = converse(&chat(&server)).await.expect("works");
    let usage = Usage { input_tokens: 135, cached_tokens: 100, output_tokens: 15 };
    assert_eq!(
        got,
        [ChatDelta::Text("Hello.".into()), ChatDelta::Done { finish: FinishReason::Stop, usage }]
    );
    chat(&server).probe().await.expect("there");
    let requests = server.requests();
    let head = requests[0].head.to_lowercase();
    assert!(head.starts_with("post /v1/messages ") && head.contains("x-api-key: s3cret"), "{head}");
    assert!(head.contains("anthropic-version: 2023-06-01") && !head.contains("authorization"), "{head}");
    assert!(requests[1].head.starts_with("GET /v1/models?limit=1 "));
}

#[tokio::test]
async fn calls_are_numbered_among_themselves() {
    let got = deltas(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"at\": \"Bonn\"}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_2","name":"time","input":{}}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":5,"output_tokens":89}}"#,
        r#"{"type":"message_stop"}"#,
    ])
    .await
    .expect("works");
    let call = |index, id: Option<&str>, name: Option<&str>, arguments: &str| ChatDelta::ToolCall {
        index,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.to_owned(),
    };
    let usage = Usage { input_tokens: 5, cached_tokens: 0, output_tokens: 89 };
    let wanted = [
        call(0, Some("toolu_1"), Some("weather"), ""),
        call(0, None, None, r#"{"at": "Bonn"}"#),
        call(1, Some("toolu_2"), Some("time"), ""),
        call(1, None, None, "{}"),
        ChatDelta::Done { finish: FinishReason::ToolCalls, usage },
    ];
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn every_end_has_its_reason() {
    let cases = [
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("refusal", FinishReason::ContentFilter),
        ("pause_turn", FinishReason::Stop),
    ];
    for (reason, wanted) in cases {
        let end = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#);
        let got = deltas(&[&end, r#"{"type":"from_the_future"}"#, r#"{"type":"message_stop"}"#]).await;
        assert!(
            matches!(got.expect("works")[..], [ChatDelta::Done { finish, .. }] if finish == wanted),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_error_in_the_midst_says_what_it_is() {
    let cases = [
        ("overloaded_error", ErrorKind::Unavailable),
        ("api_error", ErrorKind::Unavailable),
        ("rate_limit_error", ErrorKind::RateLimited),
        ("authentication_error", ErrorKind::Unauthorized),
        ("timeout_error", ErrorKind::Timeout),
    ];
    for (name, kind) in cases {
        let event = format!(r#"{{"type": "error", "error": {{"type": "{name}", "message": "Overloaded"}}}}"#);
        let begin = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}"#;
        let error = deltas(&[begin, &event]).await.expect_err("failed");
        assert!(error.kind() == kind && error.to_string().contains("Overloaded"), "{error}");
    }
}

#[tokio::test]
async fn refusals_say_what_the_server_said() {
    let wrong = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"req_1"}"#;
    let server = Server::sending(response("401 Unauthorized", "", wrong)).await;
    let error = chat(&server).probe().await.expect_err("refused");
    assert!(
        error.kind() == ErrorKind::Unauthorized && error.to_string().contains("invalid x-api-key"),
        "{error}"
    );
    let busy = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let server = Server::sending(response("529 ", "", busy)).await;
    assert_eq!(converse(&chat(&server)).await.expect_err("busy").kind(), ErrorKind::Unavailable);
    let limits = "anthropic-ratelimit-requests-limit: 50\r\nanthropic-ratelimit-requests-remaining: 0\r\n\
        anthropic-ratelimit-requests-reset: 2026-11-21T10:00:30Z\r\ndate: Sat, 21 Nov 2026 10:00:00 GMT\r\nretry-after: 9\r\n";
    let many = r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed the rate limit"}}"#;
    let server = Server::sending(response("429 Too Many Requests", limits, many)).await;
    let options = options(&server);
    assert!(!format!("{options:?}").contains("s3cret"));
    let told = latest(&options.limits);
    let error = converse(&AnthropicChat::new(options).expect("made")).await.expect_err("refused");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(9))));
    assert_eq!(
        *lock(&told),
        Some(RateLimit { remaining: 0, reset: Duration::from_secs(30), limit: Some(50) })
    );
}

fn body(request: &ChatRequest) -> Value {
    request::body(&AnthropicOptions::new("m"), request)
}

#[test]
fn a_conversation_is_put_as_anthropic_wants_it() {
    let call =
        |id: &str, arguments: &str| ToolCall { id: id.into(), name: "f".into(), arguments: arguments.into() };
    let calls = vec![call("a", r#"{"x":1}"#), call("b", "{broken"), call("c", "")];
    let answer = |id: &str| Message { tool_call_id: Some(id.into()), ..Message::new(Role::Tool, "1") };
    let messages = vec![
        Message::new(Role::System, "Be brief."),
        Message::new(Role::User, "Well?"),
        Message { tool_calls: calls, ..Message::new(Role::Assistant, "Let me see.") },
        answer("a"),
        answer("b"),
        answer("c"),
        Message::new(Role::User, "And?"),
        Message::new(Role::Assistant, "It is \n"),
    ];
    let tool = Tool { name: "f".into(), description: "Does.".into(), parameters: Value::Null };
    let request = ChatRequest {
        tools: vec![tool],
        tool_choice: ToolChoice::Required,
        single_call: true,
        temperature: Some(1.5),
        top_p: Some(0.9),
        stop: vec!["\n".into(), "END".into()],
        ..ChatRequest::new(Requester::local(), messages)
    };
    let text = |text: &str| json!({ "type": "text", "text": text });
    let result = |id: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": "1" });
    let called =
        |id: &str, input: Value| json!({ "type": "tool_use", "id": id, "name": "f", "input": input });
    let broken = json!({ "malformed": "{broken" });
    let wanted = json!({
        "model": "m", "max_tokens": 1024, "stream": true, "temperature": 1.0, "stop_sequences": ["END"],
        "system": [{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } }],
        "messages": [
            { "role": "user", "content": [text("Well?")] },
            { "role": "assistant", "content": [text("Let me see."), called("a", json!({ "x": 1 })), called("b", broken), called("c", json!({}))] },
            { "role": "user", "content": [result("a"), result("b"), result("c"), text("And?")] },
            { "role": "assistant", "content": [text("It is")] },
        ],
        "tools": [{ "name": "f", "description": "Does.", "input_schema": { "type": "object" } }],
        "tool_choice": { "type": "any", "disable_parallel_tool_use": true },
    });
    assert_eq!(body(&request), wanted);
}

#[test]
fn a_request_says_what_it_was_asked_to() {
    let request = ChatRequest {
        model: Some("n".into()),
        max_tokens: Some(5),
        top_p: Some(0.5),
        ..ChatRequest::new(Requester::local(), vec![Message::new(Role::Assistant, "Hello.")])
    };
    let body = body(&request);
    assert_eq!((&body["model"], &body["max_tokens"], &body["top_p"]), (&json!("n"), &json!(5), &json!(0.5)));
    assert_eq!((&body["system"], &body["tools"]), (&Value::Null, &Value::Null));
    assert_eq!(body["messages"][0]["role"], json!("user"), "the user begins");
    assert_eq!(body["messages"][1]["content"][0]["text"], json!("Hello."));
}

proptest! {
    #[test]
    fn any_event_is_taken(data in json_like(&["type", "message_start", "message", "usage", "input_tokens",
        "content_block_start", "content_block", "tool_use", "id", "name", "text", "content_block_delta", "delta",
        "text_delta", "input_json_delta", "partial_json", "content_block_stop", "message_delta", "error"])) {
        let remote = Remote::new("http://localhost", "the server", "[llm]").expect("made");
        let mut reader = events::Messages::default();
        let _ = reader.read(&remote, &ServerEvent { name: String::new(), data });
    }

    #[test]
    fn events_in_any_order_are_taken(order in prop::collection::vec(0_usize..8, 0..20)) {
        let remote = Remote::new("http://localhost", "the server", "[llm]").expect("made");
        let known: Vec<&str> = ANSWER.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let json = r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}"#;
        let mut reader = events::Messages::default();
        for n in order {
            let data = (*known.get(n).unwrap_or(&json)).to_owned();
            let chunk = reader.read(&remote, &ServerEvent { name: String::new(), data });
            prop_assert!(chunk.is_ok());
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_gone() {
    let server = Server::sending(events(ANSWER)).await;
    let mut stream = chat(&server).chat(ChatRequest::new(Requester::local(), Vec::new()));
    assert!(stream.next().await.is_some_and(|delta| delta.is_ok()));
    drop(stream);
}
