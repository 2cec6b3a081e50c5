//! Tools that the client runs: the calls, their answers, and calls while the words before them are still
//! being spoken.

use antiphon_server::settings::Settings;
use serde_json::json;

use crate::client::Client;
use crate::support::Server;

#[tokio::test]
async fn a_tool_is_called_and_its_output_read() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    let tool = json!({ "type": "function", "name": "weather", "description": "Weather", "parameters": { "type": "object" } });
    let session = client.update(json!({ "type": "realtime", "tools": [tool] })).await;
    assert_eq!(session["tools"][0], tool);
    client.says("rain today?").await;
    client.events.clear();
    client.send(json!({ "type": "response.create" })).await;
    let done = client.until("response.done").await;
    assert_eq!(
        client.kinds(),
        [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
    );
    let added = &client.events[1]["item"];
    assert_eq!(added["status"], "in_progress");
    assert_eq!(added["arguments"], "");
    assert!(added.get("role").is_none(), "an absent field is absent: null breaks clients");
    let call = &done["response"]["output"][0];
    assert_eq!(call["arguments"], "{\"city\":\"Ulm\"}");
    let output = json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "sunny" });
    client.send(json!({ "type": "conversation.item.create", "item": output })).await;
    client.until("conversation.item.done").await;
    let response = json!({ "tool_choice": "none", "output_modalities": ["text"] });
    client.send(json!({ "type": "response.create", "response": response })).await;
    let done = client.until("response.done").await;
    assert_eq!(done["response"]["output"][0]["content"][0]["text"], "sunny");
}
