//! Items and responses in text.

use antiphon_server::settings::Settings;
use serde_json::json;

use crate::client::Client;
use crate::support::Server;

fn text_session() -> serde_json::Value {
    json!({ "type": "realtime", "output_modalities": ["text"], "audio": { "input": { "turn_detection": null } } })
}

#[tokio::test]
async fn a_written_response_comes_in_openais_order() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "?model=gpt-realtime").await;
    let session = client.update(text_session()).await;
    assert_eq!(session["model"], "gpt-realtime");
    assert_eq!(session["output_modalities"], json!(["text"]));
    client.says("hello there").await;
    client.events.clear();
    client
        .send(json!({ "type": "response.create", "response": { "metadata": { "topic": "greeting" } } }))
        .await;
    let done = client.until("response.done").await;
    client.until("rate_limits.updated").await;
    assert_eq!(
        client.kinds(),
        [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
        ]
    );
    let response = &done["response"];
    assert_eq!(response["status"], "completed");
    assert_eq!(response["metadata"]["topic"], "greeting");
    assert_eq!(response["output"][0]["content"][0], json!({ "type": "output_text", "text": "hello there" }));
    assert_eq!(response["usage"]["input_tokens"], 10);
    let added = &client.events[1]["item"];
    assert_eq!((&added["status"], &added["content"]), (&json!("in_progress"), &json!([])));
}

#[tokio::test]
async fn a_response_outside_the_conversation_leaves_no_trace_in_it() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.update(text_session()).await;
    client.says("remember this").await;
    let reference = client.events.last().unwrap()["item"]["id"].clone();
    let question =
        json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "aside" }] });
    let input = json!([{ "type": "item_reference", "id": reference }, question]);
    let response = json!({ "conversation": "none", "input": input, "metadata": { "n": "1" } });
    client.events.clear();
    client.send(json!({ "type": "response.create", "response": response })).await;
    let done = client.until("response.done").await;
    let text = &done["response"]["output"][0]["content"][0]["text"];
    assert_eq!(text, "remember this aside", "two messages of one person are one turn");
    assert!(done["response"].get("conversation_id").is_none());
    assert!(!client.kinds().contains(&"conversation.item.added"));
    let missing = json!({ "input": [{ "type": "item_reference", "id": "item_none" }] });
    client.send(json!({ "type": "response.create", "event_id": "e9", "response": missing })).await;
    let error = client.until("error").await;
    assert_eq!(error["error"]["code"], "item_not_found");
    assert_eq!(error["error"]["event_id"], "e9");
}

#[tokio::test]
async fn items_are_placed_retrieved_and_deleted() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.update(text_session()).await;
    let item = |id: &str, role: &str, content: serde_json::Value| json!({ "id": id, "type": "message", "role": role, "content": content });
    let text = |kind: &str, text: &str| json!([{ "type": kind, "text": text }]);
    let create = |item, after: Option<&str>| {
        let mut event = json!({ "type": "conversation.item.create", "item": item });
        if let Some(after) = after {
            event["previous_item_id"] = json!(after);
        }
        event
    };
    client.send(create(item("b", "assistant", text("output_text", "two")), None)).await;
    client.send(create(item("a", "user", text("input_text", "one")), Some("root"))).await;
    client.send(create(item("s", "system", text("input_text", "be kind")), Some("a"))).await;
    for (id, before) in [("b", json!(null)), ("a", json!(null)), ("s", json!("a"))] {
        let added = client.until("conversation.item.added").await;
        assert_eq!((&added["item"]["id"], &added["previous_item_id"]), (&json!(id), &before));
    }
    client.send(json!({ "type": "conversation.item.retrieve", "item_id": "b" })).await;
    let retrieved = client.until("conversation.item.retrieved").await;
    assert_eq!(retrieved["item"]["content"], text("output_text", "two"));
    client.send(json!({ "type": "conversation.item.delete", "item_id": "b" })).await;
    assert_eq!(client.until("conversation.item.deleted").await["item_id"], "b");
    client.send(json!({ "type": "conversation.item.retrieve", "item_id": "b", "event_id": "gone" })).await;
    let error = client.until("error").await;
    assert_eq!(error["error"]["event_id"], "gone");
    assert_eq!(error["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn one_response_at_a_time_and_any_of_them_can_be_cancelled() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.update(text_session()).await;
    client.send(json!({ "type": "response.cancel", "event_id": "e1" })).await;
    assert_eq!(client.until("error").await["error"]["code"], "response_cancel_not_active");
    client.says("hang").await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.output_text.delta").await;
    client.send(json!({ "type": "response.create", "event_id": "e2" })).await;
    let error = client.until("error").await;
    assert_eq!(error["error"]["code"], "conversation_already_has_active_response");
    assert_eq!(error["error"]["event_id"], "e2");
    client.send(json!({ "type": "response.cancel" })).await;
    let response = client.until("response.done").await["response"].take();
    assert_eq!(response["status"], "cancelled");
    assert_eq!(response["status_details"]["reason"], "client_cancelled");
    assert_eq!(response["output"][0]["status"], "incomplete");
}

#[tokio::test]
async fn a_model_that_fails_fails_the_response_and_not_the_session() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.update(text_session()).await;
    for (said, code) in [("fail rate", "rate_limit_exceeded"), ("fail late", "unavailable")] {
        let content = json!([{ "type": "input_text", "text": said }]);
        let input = json!([{ "type": "message", "role": "user", "content": content }]);
        client.send(json!({ "type": "response.create", "response": { "input": input } })).await;
        let response = client.until("response.done").await["response"].take();
        assert_eq!(response["status"], "failed");
        assert_eq!(response["status_details"]["error"]["code"], code);
    }
    client.says("one two three four").await;
    client.send(json!({ "type": "response.create", "response": { "max_output_tokens": 2 } })).await;
    let response = client.until("response.done").await["response"].take();
    assert_eq!(response["status"], "incomplete");
    assert_eq!(response["status_details"]["reason"], "max_output_tokens");
}
