use std::time::Duration;

use antiphon_core::{
    ErrorKind, FinishReason, Message, Requester, Role, Tool, ToolCall, ToolChoice, Usage, lock,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::remote::ServerEvent;
use crate::remote::chat::Dialect;
use crate::remote::testing::{
    Server, asking, converse, data_events, events, json_like, latest, response, survives, survives_events,
};

/// An answer as Google streams it.
const ANSWER: &str = concat!(
    r#"data: {"candidates": [{"content": {"parts": [{"text": "Hel"}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 9,"totalTokenCount": 30,"thoughtsTokenCount": 20,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 9}]},"modelVersion": "gemini-2.5-flash","responseId": "x"}"#,
    "\r\n\r\n",
    r#"data: {"candidates": [{"content": {"parts": [{"text": "lo."}],"role": "model"},"finishReason": "STOP","index": 0}],"usageMetadata": {"promptTokenCount": 9,"candidatesTokenCount": 2,"totalTokenCount": 31,"cachedContentTokenCount": 4,"thoughtsTokenCount": 20},"modelVersion": "gemini-2.5-flash"}"#,
    "\r\n\r\n",
);

fn options(server: &Server) -> GeminiOptions {
    let base_url = format!("{}/v1beta", server.url);
    GeminiOptions { base_url, api_key: Some(ApiKey::new("s3cret")), ..GeminiOptions::new("gemini-2.5-flash") }
}

fn chat(server: &Server) -> GeminiChat {
    GeminiChat::new(options(server)).expect("made")
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
            let base_url = format!("{url}/v1beta");
            GeminiChat::new(GeminiOptions { base_url, bounds, ..GeminiOptions::new("m") }).expect("made")
        })
    };
    survives(ask(), &events(ANSWER)).await;
    survives_events(ask()).await;
}

#[tokio::test]
async fn a_reply_streams_and_counts_thoughts() {
    let server = Server::sending(events(ANSWER)).await;
    let got = converse(&chat(&server)).await.expect("works");
    let usage = Usage { input_tokens: 9, cached_tokens: 4, output_tokens: 22 };
    let text = |text: &str| ChatDelta::Text(text.to_owned());
    assert_eq!(got, [text("Hel"), text("lo."), ChatDelta::Done { finish: FinishReason::Stop, usage }]);
    chat(&server).probe().await.expect("there");
    let requests = server.requests();
    let head = requests[0].head.to_lowercase();
    assert!(
        head.starts_with("post /v1beta/models/gemini-2.5-flash:streamgeneratecontent?alt=sse "),
        "{head}"
    );
    assert!(head.contains("x-goog-api-key: s3cret"), "{head}");
    assert!(requests[1].head.starts_with("GET /v1beta/models/gemini-2.5-flash "));
}

#[tokio::test]
async fn calls_get_identities_and_keep_their_signatures() {
    let answer = concat!(
        r#"data: {"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true},{"functionCall":{"name":"f","args":{"b": 1, "a": 2}},"thoughtSignature":"Sig="}]}}]}"#,
        "\r\n\r\n",
        r#"data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"g"}}]},"finishReason":"STOP"}]}"#,
        "\r\n\r\n",
    );
    let server = Server::sending(events(answer)).await;
    let mut options = options(&server);
    options.model = "gemini-3-flash-preview".to_owned();
    let engine = GeminiChat::new(options).expect("made");
    let got = converse(&engine).await.expect("works");
    let call = |delta: &ChatDelta| match delta {
        ChatDelta::ToolCall { id: Some(id), name: Some(name), arguments, .. } => {
            ToolCall { id: id.clone(), name: name.clone(), arguments: arguments.clone() }
        }
        other => panic!("{other:?}"),
    };
    let (f, g) = (call(&got[0]), call(&got[1]));
    assert_eq!((f.arguments.as_str(), g.arguments.as_str()), (r#"{"b": 1, "a": 2}"#, "{}"));
    assert_ne!(f.id, g.id);
    assert!(matches!(got[2..], [ChatDelta::Done { finish: FinishReason::ToolCalls, .. }]), "{got:?}");

    let foreign = ToolCall { id: "call_of_another".into(), ..g.clone() };
    let messages = vec![
        Message::new(Role::User, "?"),
        Message { tool_calls: vec![foreign], ..Message::new(Role::Assistant, "") },
        Message { tool_calls: vec![f, g], ..Message::new(Role::Assistant, "") },
    ];
    let _: Vec<_> = engine.chat(ChatRequest::new(Requester::local(), messages)).collect().await;
    let sent = server.requests()[1].json();
    assert_eq!(
        sent["contents"][1]["parts"][0]["thoughtSignature"],
        json!("skip_thought_signature_validator")
    );
    assert_eq!(sent["contents"][3]["parts"][0]["thoughtSignature"], json!("Sig="));
    assert_eq!(sent["contents"][3]["parts"][1]["thoughtSignature"], Value::Null);
}

#[tokio::test]
async fn every_end_has_its_reason() {
    let cases = [
        ("MAX_TOKENS", FinishReason::Length),
        ("SAFETY", FinishReason::ContentFilter),
        ("PROHIBITED_CONTENT", FinishReason::ContentFilter),
        ("OTHER", FinishReason::Stop),
    ];
    for (reason, wanted) in cases {
        let end = format!(r#"{{"candidates":[{{"finishReason":"{reason}","index":0}}]}}"#);
        let got = deltas(&[&end]).await.expect("works");
        assert!(matches!(got[..], [ChatDelta::Done { finish, .. }] if finish == wanted), "{reason}");
    }
    let blocked =
        r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":7}}"#;
    let usage = Usage { input_tokens: 7, ..Usage::default() };
    let done = ChatDelta::Done { finish: FinishReason::ContentFilter, usage };
    assert_eq!(deltas(&[blocked]).await, Ok(vec![done]));
    let malformed = r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#;
    assert_eq!(deltas(&[malformed]).await.expect_err("no reply").kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn errors_say_what_the_server_said() {
    let midst = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    let begin = r#"{"candidates":[{"content":{"parts":[{"text":"Hel"}]}}]}"#;
    let error = deltas(&[begin, midst]).await.expect_err("failed");
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("overloaded"), "{error}");

    let wrong = r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}]"#;
    let server = Server::sending(response("400 Bad Request", "", wrong)).await;
    let error = converse(&chat(&server)).await.expect_err("refused");
    assert!(
        error.kind() == ErrorKind::Unauthorized && error.to_string().contains("API key not valid"),
        "{error}"
    );

    let many = r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"17s"}]}}"#;
    let server = Server::sending(response("429 Too Many Requests", "", many)).await;
    assert!(!format!("{:?}", options(&server)).contains("s3cret"));
    let error = converse(&chat(&server)).await.expect_err("refused");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(17))));
    // Google sends no limits in headers, but a proxy in front of it may.
    let limits = "x-ratelimit-remaining: 3\r\nx-ratelimit-reset: 10\r\n";
    let server = Server::sending(response("429 Too Many Requests", limits, "{}")).await;
    let options = options(&server);
    let told = latest(&options.limits);
    assert!(GeminiChat::new(options).expect("made").probe().await.is_err());
    assert_eq!(lock(&told).map(|limit| limit.remaining), Some(3));
}

#[tokio::test]
async fn a_model_is_no_path() {
    let server = Server::sending(events(ANSWER)).await;
    let other =
        ChatRequest { model: Some("../files?x".into()), ..ChatRequest::new(Requester::local(), Vec::new()) };
    let error = chat(&server).chat(other).next().await.expect("answers").expect_err("no name");
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::Invalid, 0), "{error}");
    assert!(GeminiChat::new(GeminiOptions::new("models/x")).is_err());
}

#[test]
fn a_conversation_is_put_as_google_wants_it() {
    let call = |id: &str| ToolCall { id: id.into(), name: "f".into(), arguments: r#"{"x":1}"#.into() };
    let answer =
        |id: &str, text: &str| Message { tool_call_id: Some(id.into()), ..Message::new(Role::Tool, text) };
    let messages = vec![
        Message::new(Role::System, "Be brief."),
        Message::new(Role::Assistant, "Hello."),
        Message::new(Role::User, "Well?"),
        Message { tool_calls: vec![call("a"), call("b")], ..Message::new(Role::Assistant, "") },
        answer("a", r#"{"y":2}"#),
        answer("b", "sunny"),
    ];
    let parameters = json!({ "type": "object", "properties": { "x": { "type": "integer" } }, "additionalProperties": false });
    let tool = |parameters| Tool { name: "f".into(), description: "Does.".into(), parameters };
    let request = ChatRequest {
        tools: vec![tool(parameters), tool(Value::Null)],
        tool_choice: ToolChoice::Function("f".into()),
        temperature: Some(0.5),
        max_tokens: Some(5),
        seed: Some(u64::MAX),
        stop: (0..6).map(|n| n.to_string()).collect(),
        ..ChatRequest::new(Requester::local(), messages)
    };
    let settings = GeminiSettings { thinking_budget: Some(0), thinking_level: None };
    let options = GeminiOptions { settings, ..GeminiOptions::new("m") };
    let called = json!({ "functionCall": { "name": "f", "args": { "x": 1 } } });
    let response = |response: Value| json!({ "functionResponse": { "name": "f", "response": response } });
    let schema = json!({ "type": "object", "properties": { "x": { "type": "integer" } } });
    let wanted = json!({
        "systemInstruction": { "parts": [{ "text": "Be brief." }] },
        "contents": [
            { "role": "user", "parts": [{ "text": "(The conversation begins.)" }] },
            { "role": "model", "parts": [{ "text": "Hello." }] },
            { "role": "user", "parts": [{ "text": "Well?" }] },
            { "role": "model", "parts": [called, called] },
            { "role": "user", "parts": [response(json!({ "y": 2 })), response(json!({ "output": "sunny" }))] },
        ],
        "tools": [{ "functionDeclarations": [
            { "name": "f", "description": "Does.", "parameters": schema }, { "name": "f", "description": "Does." },
        ] }],
        "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["f"] } },
        "generationConfig": {
            "temperature": 0.5, "maxOutputTokens": 5, "seed": 0x7fff_ffff, "stopSequences": ["0", "1", "2", "3", "4"],
            "thinkingConfig": { "thinkingBudget": 0 },
        },
    });
    assert_eq!(request::body(&options, "gemini-2.5-flash", &request, &Signatures::default()), wanted);
    let plain = request::body(
        &GeminiOptions::new("m"),
        "m",
        &ChatRequest::new(Requester::local(), Vec::new()),
        &Signatures::default(),
    );
    assert_eq!(plain.as_object().expect("an object").len(), 1, "{plain}");
    let settings = GeminiSettings { thinking_budget: None, thinking_level: Some("low".into()) };
    let options = GeminiOptions { settings, ..GeminiOptions::new("m") };
    let leveled = request::body(
        &options,
        "m",
        &ChatRequest::new(Requester::local(), Vec::new()),
        &Signatures::default(),
    );
    assert_eq!(leveled["generationConfig"], json!({ "thinkingConfig": { "thinkingLevel": "low" } }));
    let settings = GeminiSettings { thinking_budget: Some(0), ..options.settings };
    let both = GeminiChat::new(GeminiOptions { settings, ..GeminiOptions::new("m") });
    assert!(both.err().expect("refused").to_string().contains("one of them"));
}

proptest! {
    #[test]
    fn any_event_is_taken(data in json_like(&["candidates", "content", "parts", "text", "thought", "functionCall",
        "name", "args", "finishReason", "STOP", "promptFeedback", "blockReason", "usageMetadata", "promptTokenCount",
        "cachedContentTokenCount", "error"])) {
        let remote = Remote::new("http://localhost", "the server", "[llm]").expect("made");
        let mut reader = events::Contents::new(Arc::default());
        let _ = reader.read(&remote, &ServerEvent { name: String::new(), data });
    }
}
