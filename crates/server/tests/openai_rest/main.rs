//! OpenAI's REST API as clients see it. Every response is validated against OpenAI's own schemas.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says so in print"
)]

mod access;
mod audio;
mod chat;
mod connections;
mod embeddings;
mod operation;
mod performance;
mod recorded;
mod responses;
mod robustness;
mod speech;
#[path = "../support/mod.rs"]
mod support;
mod transcriptions;

use serde_json::Value;

/// The objects in a stream of server-sent events without the final `[DONE]`, and whether that was there.
async fn events(response: reqwest::Response) -> (Vec<Value>, bool) {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.expect("a body");
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let done = data.last() == Some(&"[DONE]");
    let events = data.iter().filter(|data| **data != "[DONE]");
    (events.map(|data| serde_json::from_str(data).expect("JSON")).collect(), done)
}

/// The status and message of an error, which must have OpenAI's format.
async fn error(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("JSON");
    let error = body["error"].as_object().unwrap_or_else(|| panic!("no error in {body}"));
    for field in ["message", "type", "param", "code"] {
        assert!(error.contains_key(field), "{field} is missing in {body}");
    }
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1));
    (status, error["message"].as_str().expect("a message").to_owned())
}
