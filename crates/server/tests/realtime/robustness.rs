//! Bad input and bad clients.

use antiphon_server::http::Settings;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::support::Server;
use crate::support::tools::until;
use antiphon_providers::fake::under_way;

#[tokio::test]
async fn nonsense_is_answered_and_the_session_goes_on() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    for (message, code, event_id) in [
        (Message::text("{"), "invalid_json", json!(null)),
        (Message::text("[]"), "invalid_json", json!(null)),
        (Message::binary(vec![0, 1, 2]), "invalid_event", json!(null)),
        (Message::text(r#"{"type":"hello","event_id":"1"}"#), "unknown_event", json!("1")),
        (
            Message::text(r#"{"type":"input_audio_buffer.append","audio":"???","event_id":"2"}"#),
            "invalid_value",
            json!("2"),
        ),
        (
            Message::text(r#"{"type":"input_audio_buffer.append","event_id":"3"}"#),
            "invalid_value",
            json!("3"),
        ),
        (Message::text(r#"{"type":"session.update","event_id":"4"}"#), "invalid_value", json!("4")),
        (
            Message::text(r#"{"type":"session.update","session":{"audio":7},"event_id":"5"}"#),
            "invalid_value",
            json!("5"),
        ),
        (
            Message::text(r#"{"type":"conversation.item.create","item":{"type":"poem"},"event_id":"6"}"#),
            "invalid_value",
            json!("6"),
        ),
        (
            Message::text(r#"{"type":"output_audio_buffer.clear","event_id":"7"}"#),
            "invalid_event",
            json!("7"),
        ),
    ] {
        client.raw(message.clone()).await;
        let error = client.until("error").await;
        assert_eq!(error["error"]["code"], code, "{message:?}: {error:#}");
        assert_eq!(error["error"]["event_id"], event_id, "{message:?}");
    }
    client.update(json!({ "type": "realtime" })).await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_mid_reply_leaves_nothing_behind() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.says("endless").await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.output_audio.delta").await;
    drop(client);
    until("the call is over", || server.app.calls.active() == 0).await;
    until("all work is dropped", || under_way() == 0).await;
}
