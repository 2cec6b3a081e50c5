//! Tools that the client runs and tools that the server runs itself.

use antiphon_server::settings::Settings;
use antiphon_stack::config::{
    Config, EmbedEngine, EmotionEngine, LlmEngine, SttEngine, TtsEngine, TurnEngine, VadEngine,
};
use antiphon_stack::{BuildContext, build};
use serde_json::json;

use crate::client::Client;
use crate::support::Server;

/// A configuration that needs no models, whose agent may ask what time it is.
fn telling_the_time() -> Config {
    let mut config = Config::default();
    config.agent.tools = vec!["time".to_owned()];
    (config.vad.engine, config.turn.engine) = (VadEngine::Energy, TurnEngine::Silence);
    (config.stt.engine, config.llm.engine) = (SttEngine::Fake, LlmEngine::Fake);
    (config.tts.engine, config.embed.engine) = (TtsEngine::Fake, EmbedEngine::Fake);
    config.emotion.engine = Some(EmotionEngine::Off);
    config
}

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

#[tokio::test]
async fn the_servers_own_tool_is_run_and_never_shown_to_the_client() {
    let stack = build(&telling_the_time(), &BuildContext::default()).expect("no models are needed");
    let server = Server::start_with(Settings::default(), stack.agent, stack.engines);
    let mut client = Client::connect(&server, "").await;
    let manual = json!({ "input": { "turn_detection": null } });
    let session = json!({ "type": "realtime", "output_modalities": ["text"], "audio": manual });
    let session = client.update(session).await;
    assert_eq!(session["tools"], json!([]), "the client must not take it for one of its own");
    client.says("what time is it?").await;
    client.events.clear();
    client.send(json!({ "type": "response.create" })).await;
    let done = client.until("response.done").await;
    let output = done["response"]["output"].as_array().expect("items");
    assert_eq!(output.len(), 1, "the call is no item of the client's: {output:?}");
    // The scripted model repeats the last message, which is the tool's answer.
    let text = output[0]["content"][0]["text"].as_str().expect("text");
    let told: serde_json::Value = serde_json::from_str(text).expect("the answer as it was");
    assert!(told["weekday"].is_string() && told["date"].is_string(), "{told}");
    assert!(!client.kinds().iter().any(|kind| kind.contains("function_call")), "{:?}", client.kinds());
}
