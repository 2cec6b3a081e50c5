//! Clients that want one tool called at a time (`parallel_tool_calls: false`), and a language model on another server that calls
//! two all the same.

use serde_json::{Value, json};

use crate::model::{Behaviour, Model, with_models};
use crate::program::{Place, Program};
use crate::realtime_call::RealtimeCall;

/// The deltas of an answer that calls two tools.
fn call_both(_asked: &str) -> Vec<Value> {
    let call = |index: usize, city: &str| {
        let arguments = json!({ "city": city }).to_string();
        let function = json!({ "name": "weather", "arguments": arguments });
        json!({ "tool_calls": [{ "index": index, "id": format!("call_{index}"), "type": "function", "function": function }] })
    };
    vec![call(0, "Ulm"), call(1, "Bonn")]
}

/// The tool in the form of the newer interfaces.
fn weather() -> Value {
    json!({ "type": "function", "name": "weather", "parameters": { "type": "object" } })
}

/// How many tools an answer over REST calls.
async fn called(server: &Program, path: &str, mut body: Value, parallel: Option<bool>) -> usize {
    body["parallel_tool_calls"] = json!(parallel);
    let url = format!("{}/v1/{path}", server.url);
    let answer = reqwest::Client::new().post(url).json(&body).send().await.expect("answers");
    let answer: Value = answer.json().await.expect("JSON");
    let calls = answer.pointer("/choices/0/message/tool_calls").or(answer.get("output"));
    calls.and_then(Value::as_array).unwrap_or_else(|| panic!("{answer}")).len()
}

/// How many tools a response over Realtime calls.
async fn called_live(server: &Program, session: Option<bool>, response: Option<bool>) -> usize {
    let mut call = RealtimeCall::begin(server).await;
    let update = json!({ "type": "realtime", "output_modalities": ["text"], "tools": [weather()], "parallel_tool_calls": session });
    call.send(json!({ "type": "session.update", "session": update })).await;
    let done = call.ask("Will it rain?", json!({ "parallel_tool_calls": response })).await;
    done["output"].as_array().unwrap_or_else(|| panic!("{done}")).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tool_is_called_where_the_client_wants_one() {
    let (model, url) = Model::start(Behaviour::Sends(call_both)).await;
    let server = with_models(Place::new(""), &[&url]).serve().await;
    let function = json!({ "name": "weather", "parameters": { "type": "object" } });
    let chat = json!({
        "messages": [{ "role": "user", "content": "Will it rain?" }],
        "tools": [{ "type": "function", "function": function }],
    });
    let responses = json!({ "input": "Will it rain?", "tools": [weather()] });
    for (parallel, count) in [(None, 2), (Some(true), 2), (Some(false), 1)] {
        assert_eq!(called(&server, "chat/completions", chat.clone(), parallel).await, count, "{parallel:?}");
        assert_eq!(called(&server, "responses", responses.clone(), parallel).await, count, "{parallel:?}");
        let told = model.requests().pop().expect("asked")["parallel_tool_calls"].take();
        assert_eq!(told, if count == 1 { json!(false) } else { Value::Null }, "{parallel:?}");
    }
    for (session, response, count) in
        [(None, None, 2), (Some(false), None, 1), (Some(false), Some(true), 2), (None, Some(false), 1)]
    {
        let live = called_live(&server, session, response).await;
        assert_eq!(live, count, "session {session:?}, response {response:?}");
    }
    server.stop().await;
}
