//! What pydantic, zod and servers of the Model Context Protocol write as the parameters of tools, and the embedded language model.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::program::{Place, Program};
use crate::realtime_call::RealtimeCall;

/// Schemas as such programs write them, an object of a name and `parameters` on each line.
const SCHEMAS: &str = include_str!("tool_schemas.jsonl");

/// A server with the embedded language model.
async fn server() -> (Place, Program) {
    let place = Place::new("");
    place.replace(
        "[llm]\nengine = \"sim\"\nfirst_token_ms = 50\ntoken_ms = 2\ntokens = 20\n",
        "[llm]\nengine = \"llama\"\n",
    );
    place.link_models();
    let server = place.serve().await;
    (place, server)
}

/// What the model answers when it must call a tool with these parameters.
async fn called(server: &Program, parameters: Option<&Value>) -> Value {
    let mut function = json!({ "name": "f", "description": "Does it" });
    if let Some(parameters) = parameters {
        function["parameters"] = parameters.clone();
    }
    let body = json!({
        "messages": [{ "role": "user", "content": "Do it with Paris." }],
        "tools": [{ "type": "function", "function": function }],
        "tool_choice": "required", "max_tokens": 40,
    });
    let url = format!("{}/v1/chat/completions", server.url);
    let answer = reqwest::Client::new().post(url).json(&body).send().await.expect("an answer");
    let status = answer.status();
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(status, 200, "{function}: {answer}");
    answer["choices"][0].clone()
}

/// Whether a call came to its end; its arguments are valid by the schema then.
async fn is_held(server: &Program, line: &str) -> bool {
    let schema: Value = serde_json::from_str(line).expect("JSON");
    let name = schema["name"].as_str().expect("a name");
    let parameters = Some(&schema["parameters"]).filter(|parameters| !parameters.is_null());
    let choice = called(server, parameters).await;
    let arguments = choice["message"]["tool_calls"][0]["function"]["arguments"].as_str().expect("a call");
    // Lists and texts without an end are cut at the limit.
    if choice["finish_reason"] == "length" {
        return false;
    }
    let arguments: Value = serde_json::from_str(arguments).expect("JSON");
    if let Some(parameters) = parameters {
        let valid = jsonschema::validator_for(parameters).expect("a schema").is_valid(&arguments);
        // Grammars cannot say that no value comes twice.
        assert!(valid || name.starts_with("uniqueItems"), "{name}: {arguments}");
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn every_schema_that_clients_write_is_taken_and_held() {
    let (_place, server) = server().await;
    // Four at a time, as many as the model answers side by side.
    let held = stream::iter(SCHEMAS.lines()).map(|line| is_held(&server, line)).buffer_unordered(4);
    let held = held.filter(|held| std::future::ready(*held)).count().await;
    assert!(held > 25, "{held} calls came to their end");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_cannot_be_held_is_refused_before_anybody_speaks() {
    let (_place, server) = server().await;
    let mut call = RealtimeCall::begin(&server).await;
    call.until("session.created").await;
    let tool = json!({ "type": "function", "name": "look_up", "parameters": { "type": "banana" } });
    call.send(json!({ "type": "session.update", "session": { "type": "realtime", "tools": [tool] } })).await;
    let refused = call.until("error").await["error"].take();
    assert_eq!(refused["param"], "session.tools");
    assert!(refused["message"].as_str().is_some_and(|message| message.contains("banana")), "{refused}");
    call.send(json!({ "type": "response.create", "response": { "tools": [tool] } })).await;
    assert_eq!(call.until("error").await["error"]["param"], "response.tools");
    server.stop().await;
}
