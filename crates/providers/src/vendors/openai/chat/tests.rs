use std::time::Duration;

use antiphon_core::{ErrorKind, FinishReason, Message, RateLimit, Requester, Role, Tool, Usage, lock};
use futures_util::TryStreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::remote::ServerEvent;
use crate::remote::chat::Dialect;
use crate::remote::testing::{
    Server, Step, asking, converse, data_events, events, json_like, latest, response, survives,
    survives_events,
};

/// An answer as OpenAI streams it.
const ANSWER: &str = concat!(
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"k2"}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Hello."},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":8}}}"#,
    "\n\ndata: [DONE]\n\n",
);
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn options(server: &Server) -> OpenAiOptions {
    let api_key = Some(ApiKey::new("s3cret\n"));
    OpenAiOptions { api_key, ..OpenAiOptions::new(format!("{}/v1", server.url), "m") }
}

fn chat(server: &Server) -> OpenAiChat {
    OpenAiChat::new(options(server)).expect("made")
}

/// The deltas of these events, one of which is the end.
async fn deltas(chunks: &[&str]) -> Result<Vec<ChatDelta>> {
    converse(&chat(&Server::sending(data_events(chunks)).await)).await
}

fn call(index: usize, id: Option<&str>, name: Option<&str>, arguments: &str) -> ChatDelta {
    ChatDelta::ToolCall {
        index,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.into(),
    }
}

#[tokio::test]
async fn it_obeys_the_spec() {
    crate::spec::llm(&chat(&Server::sending(events(ANSWER)).await)).await;
}

#[tokio::test]
async fn it_survives_its_server() {
    let ask = || {
        asking(|url, bounds| {
            OpenAiChat::new(OpenAiOptions { bounds, ..OpenAiOptions::new(format!("{url}/v1"), "m") })
                .expect("made")
        })
    };
    survives(ask(), &events(ANSWER)).await;
    survives_events(ask()).await;
}

#[tokio::test]
async fn a_reply_streams_and_counts() {
    let server = Server::sending(events(ANSWER)).await;
    let trace = Some(TRACE.parse().expect("valid"));
    let request =
        ChatRequest { trace, ..ChatRequest::new(Requester::local(), vec![Message::new(Role::User, "hi")]) };
    let deltas: Vec<_> = chat(&server).chat(request).map(|delta| delta.expect("works")).collect().await;
    let usage = Usage { input_tokens: 12, cached_tokens: 8, output_tokens: 3 };
    assert_eq!(
        deltas,
        [ChatDelta::Text("Hello.".into()), ChatDelta::Done { finish: FinishReason::Stop, usage }]
    );
    let head = server.requests()[0].head.to_lowercase();
    assert!(
        head.starts_with("post /v1/chat/completions ") && head.contains("authorization: bearer s3cret\r\n")
    );
    assert!(head.contains(&format!("traceparent: {TRACE}")), "{head}");
}

#[tokio::test]
async fn azure_has_its_own_key_and_paths() {
    let server = Server::sending(events(ANSWER)).await;
    let mut azure = OpenAiOptions { auth: Some(Auth::ApiKeyHeader), ..options(&server) };
    converse(&OpenAiChat::new(azure.clone()).expect("made")).await.expect("works");
    azure.base_url = format!("{}/openai", server.url);
    azure.settings.api_version = Some("2024-10-21".to_owned());
    let older = OpenAiChat::new(azure).expect("made");
    converse(&older).await.expect("works");
    older.probe().await.expect("there");
    let heads: Vec<_> = server.requests().into_iter().map(|request| request.head).collect();
    assert!(
        heads[0].starts_with("POST /v1/chat/completions ") && heads[0].contains("api-key: s3cret"),
        "{heads:?}"
    );
    assert!(!heads[0].to_lowercase().contains("authorization"), "{heads:?}");
    assert!(
        heads[1].starts_with("POST /openai/deployments/m/chat/completions?api-version=2024-10-21 "),
        "{heads:?}"
    );
    assert!(heads[2].starts_with("GET /openai/models?api-version=2024-10-21 "), "{heads:?}");
    let elsewhere =
        ChatRequest { model: Some("../../files".into()), ..ChatRequest::new(Requester::local(), Vec::new()) };
    let error = older.chat(elsewhere).next().await.expect("answers").expect_err("no name");
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::Invalid, 3), "{error}");
}

/// The body of a request to a server with this base URL.
fn body(base_url: &str, change: impl Fn(&mut OpenAiOptions), request: &ChatRequest) -> Value {
    let mut options = OpenAiOptions::new(base_url, "m");
    change(&mut options);
    wire::request("m", request, &wire::Style::new(Vendor::of(base_url), &options))
}

#[test]
fn servers_are_told_what_they_understand() {
    let messages = vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, "hi")];
    let request = ChatRequest { max_tokens: Some(9), ..ChatRequest::new(Requester::local(), messages) };
    let openai = body("https://api.openai.com/v1", |_| {}, &request);
    assert_eq!((&openai["max_completion_tokens"], &openai["max_tokens"]), (&json!(9), &Value::Null));
    assert_eq!(openai["prompt_cache_key"], json!("antiphon-82218ced4e7eff32"), "the same for ever");
    let azure = body("https://r.openai.azure.com/openai/v1", |_| {}, &request);
    assert_eq!((&azure["max_completion_tokens"], &azure["prompt_cache_key"]), (&json!(9), &Value::Null));
    let other = body("http://localhost/v1", |_| {}, &request);
    assert_eq!((&other["max_tokens"], &other["prompt_cache_key"]), (&json!(9), &Value::Null));
    assert_eq!((&other["max_completion_tokens"], &other["reasoning_effort"]), (&Value::Null, &Value::Null));
    let asked = |options: &mut OpenAiOptions| {
        options.prompt_cache_key = Some(true);
        options.settings.reasoning_effort = Some("minimal".into());
    };
    let asked = body("http://localhost/v1", asked, &request);
    assert_eq!(
        (&asked["prompt_cache_key"], &asked["reasoning_effort"]),
        (&openai["prompt_cache_key"], &json!("minimal"))
    );
    let without = ChatRequest::new(Requester::local(), vec![Message::new(Role::User, "hi")]);
    assert_eq!(body("https://api.openai.com/v1", |_| {}, &without)["prompt_cache_key"], Value::Null);
}

#[test]
fn a_request_says_everything() {
    let tool = Tool { name: "f".into(), description: String::new(), parameters: json!({}) };
    let called = antiphon_core::ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() };
    let messages = vec![
        Message { tool_calls: vec![called], ..Message::new(Role::Assistant, "") },
        Message { tool_call_id: Some("c".into()), ..Message::new(Role::Tool, "1") },
    ];
    let request = ChatRequest {
        tools: vec![tool],
        temperature: Some(0.5),
        seed: Some(7),
        single_call: true,
        stop: vec!["x".into()],
        ..ChatRequest::new(Requester::local(), messages)
    };
    let body = body("http://localhost/v1", |_| {}, &request);
    assert_eq!(body["messages"][0]["tool_calls"][0]["function"]["arguments"], json!("{}"));
    assert_eq!(
        (&body["messages"][1]["tool_call_id"], &body["messages"][1]["role"]),
        (&json!("c"), &json!("tool"))
    );
    assert_eq!((&body["temperature"], &body["seed"], &body["stop"]), (&json!(0.5), &json!(7), &json!(["x"])));
    assert_eq!(
        (&body["tool_choice"], &body["stream_options"]["include_usage"]),
        (&json!("auto"), &json!(true))
    );
    assert_eq!(body["parallel_tool_calls"], json!(false));
}

#[tokio::test]
async fn a_server_that_calls_several_tools_all_the_same_is_cut_down_to_one() {
    let piece = |index: usize, id: &str, arguments: &str| {
        let function = json!({ "name": "f", "arguments": arguments });
        let call = json!({ "index": index, "id": id, "function": function });
        json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] }).to_string()
    };
    let (first, second) = (piece(0, "a", "{}"), piece(1, "b", "{}"));
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;
    let server = Server::sending(data_events(&[&first, &second, end, "[DONE]"])).await;
    let question = ChatRequest {
        single_call: true,
        ..ChatRequest::new(Requester::local(), vec![Message::new(Role::User, "hi")])
    };
    let got: Result<Vec<ChatDelta>> = chat(&server).chat(question).try_collect().await;
    let done = ChatDelta::Done { finish: FinishReason::ToolCalls, usage: Usage::default() };
    assert_eq!(got.expect("works"), [call(0, Some("a"), Some("f"), "{}"), done]);
}

#[tokio::test]
async fn groq_has_its_own_place_for_usage() {
    let end = r#"{"id":"c","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":{"queue_time":0.07,"prompt_tokens":23,"completion_tokens":19,"total_tokens":42}}}"#;
    let begin = r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"x_groq":{"id":"req_1"}}"#;
    let got = deltas(&[begin, end, "[DONE]"]).await.expect("works");
    let usage = Usage { input_tokens: 23, cached_tokens: 0, output_tokens: 19 };
    assert_eq!(got, [ChatDelta::Done { finish: FinishReason::Stop, usage }]);
    let stopped = deltas(&[begin, r#"{"choices":[],"x_groq":{"id":"r","error":"over capacity"}}"#]).await;
    assert!(stopped.expect_err("failed").to_string().contains("over capacity"));
}

#[tokio::test]
async fn llama_server_thinks_and_times() {
    let got = deltas(&[
        r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1,"object":"chat.completion.chunk"}"#,
        r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"reasoning_content":"Hm."}}]}"#,
        r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hi"}}]}"#,
        r#"{"choices":[{"finish_reason":"length","index":0,"delta":{}}],"timings":{"prompt_n":1,"predicted_per_second":52.1}}"#,
        r#"{"choices":[],"usage":{"completion_tokens":2,"prompt_tokens":11,"total_tokens":13},"timings":{"prompt_n":1}}"#,
        "[DONE]",
    ])
    .await;
    let usage = Usage { input_tokens: 11, cached_tokens: 0, output_tokens: 2 };
    let done = ChatDelta::Done { finish: FinishReason::Length, usage };
    assert_eq!(got, Ok(vec![ChatDelta::Text("Hi".into()), done]));
}

#[tokio::test]
async fn thoughts_in_fields_and_parts_of_their_own_are_not_said() {
    let got = deltas(&[
        r#"{"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"secret"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"","reasoning":"secret","reasoning_details":[{"text":"secret"}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"secret"}]}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"Hello "}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"there."},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])
    .await;
    let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
    let said = ["Hello ", "there."].map(|text| ChatDelta::Text(text.to_owned()));
    assert_eq!(got, Ok([said.to_vec(), vec![done]].concat()));
}

#[tokio::test]
async fn ollama_numbers_all_calls_alike_and_says_nothing_of_usage() {
    let got = deltas(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"id":"call_a","index":0,"type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"call_b","index":0,"type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])
    .await;
    let done = ChatDelta::Done { finish: FinishReason::ToolCalls, usage: Usage::default() };
    let (a, b) = (call(0, Some("call_a"), Some("f"), r#"{"x":1}"#), call(1, Some("call_b"), Some("f"), "{}"));
    assert_eq!(got, Ok(vec![a, b, done]));
}

#[tokio::test]
async fn calls_without_numbers_or_identities_are_told_apart() {
    let got = deltas(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"x":1}}},{"function":{"name":"g","arguments":null}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ])
    .await
    .expect("works");
    let [ChatDelta::ToolCall { id: Some(a), .. }, ChatDelta::ToolCall { id: Some(b), .. }, more, _] =
        got.as_slice()
    else {
        panic!("{got:?}")
    };
    assert_ne!(a, b);
    assert_eq!(got[0], call(0, Some(a), Some("f"), r#"{"x":1}"#));
    assert_eq!(more, &call(1, None, None, "{}"));
}

#[tokio::test]
async fn a_call_in_pieces_is_named_once() {
    // OpenAI sends the id in the first piece; versions of vLLM sent another id with each piece.
    let got = deltas(&[
        r#"{"choices":[{"delta":{"content":null,"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"chatcmpl-tool-2","function":{"arguments":"{\"a\""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ])
    .await
    .expect("works");
    assert_eq!(
        got[..3],
        [call(0, Some("c"), Some("f"), ""), call(0, None, None, "{\"a\""), call(0, None, None, ":1}")]
    );
}

#[tokio::test]
async fn an_error_in_the_midst_says_what_it_is() {
    let said = r#"{"choices":[{"delta":{"content":"Hel"}}]}"#;
    let cases = [
        (
            r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#,
            ErrorKind::Unavailable,
            "had an error",
        ),
        (
            r#"{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}"#,
            ErrorKind::RateLimited,
            "Rate limit",
        ),
        (
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            ErrorKind::Invalid,
            "too long",
        ),
        (r#"{"error":"model runner has unexpectedly stopped"}"#, ErrorKind::Unavailable, "unexpectedly"),
    ];
    for (event, kind, words) in cases {
        let error = deltas(&[said, event, "[DONE]"]).await.expect_err("failed");
        assert!(error.kind() == kind && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn what_is_whole_is_not_taken_back() {
    // The usage is late or broken, but the reply is complete.
    let said = r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    for rest in ["{nonsense", r#"{"error":"late"}"#, "[DONE]"] {
        assert_eq!(deltas(&[said, rest]).await.expect("said").len(), 2);
    }
    let hanging = Server::start(move |_| vec![Step::Send(data_events(&[said])), Step::Hang]).await;
    let between = Duration::from_millis(50);
    let bounds = Bounds { between, ..Bounds::default() };
    let chat = OpenAiChat::new(OpenAiOptions { bounds, ..options(&hanging) }).expect("made");
    assert_eq!(converse(&chat).await.expect("said").len(), 2);
}

#[tokio::test]
async fn refusals_say_what_the_server_said_but_never_the_key() {
    let wrong = r#"{"error":{"message":"Incorrect API key provided: s3cret.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
    let server = Server::sending(response("401 Unauthorized", "", wrong)).await;
    let error = chat(&server).probe().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(
        error.to_string().contains("Incorrect API key") && !error.to_string().contains("s3cret"),
        "{error}"
    );
    let limits = "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1m2s\r\nretry-after-ms: 1500\r\n";
    let busy = r#"{"error":{"message":"Rate limit reached for m","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
    let server = Server::sending(response("429 Too Many Requests", limits, busy)).await;
    let options = options(&server);
    let told = latest(&options.limits);
    let error = converse(&OpenAiChat::new(options).expect("made")).await.expect_err("refused");
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ErrorKind::RateLimited, Some(Duration::from_millis(1_500)))
    );
    assert_eq!(
        *lock(&told),
        Some(RateLimit { remaining: 0, reset: Duration::from_secs(62), limit: Some(60) })
    );
}

#[test]
fn a_key_is_not_shown_and_must_be_one() {
    let mut options = OpenAiOptions::new("http://localhost/v1", "m");
    options.api_key = Some(ApiKey::new("s3cret"));
    assert!(!format!("{options:?}").contains("s3cret"));
    for broken in ["", "two\nlines s3cret"] {
        options.api_key = Some(ApiKey::new(broken));
        let error = OpenAiChat::new(options.clone()).err().expect("no key");
        assert!(error.kind() == ErrorKind::Invalid && !error.to_string().contains("s3cret"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_event_is_taken(data in json_like(&["choices", "delta", "content", "tool_calls", "index", "id", "function",
        "name", "arguments", "finish_reason", "usage", "prompt_tokens", "error", "x_groq", "[DONE]"])) {
        let remote = Remote::new("http://localhost", "the server", "[llm]").expect("made");
        let mut reader = wire::Completions::default();
        for _ in 0..2 {
            let _ = reader.read(&remote, &ServerEvent { name: String::new(), data: data.clone() });
        }
    }
}
