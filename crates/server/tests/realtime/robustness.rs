//! Invalid input and misbehaving clients.

use std::time::Duration;

use antiphon_server::settings::Settings;
use futures_util::StreamExt;
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Client, speech};
use crate::support::Server;
use crate::support::tools::{until, until_within};
use antiphon_providers::scripted::fake::under_way;

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
async fn a_close_is_answered_without_an_error() {
    let server = Server::start(Settings::default());
    for path in ["/v1/realtime", "/talk/ws"] {
        let (mut socket, _) = connect_async(server.socket(path)).await.expect("connects");
        socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await.expect("sent");
        let mut code = None;
        while let Some(message) = socket.next().await {
            if let Message::Close(frame) = message.expect("no error") {
                code = frame.map(|frame| frame.code);
            }
        }
        assert_eq!(code, Some(CloseCode::Normal), "{path}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_mid_reply_leaves_nothing_behind() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.says("endless").await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.output_audio.delta").await;
    drop(client);
    until("the call is over", || server.app.desk.calls.active() == 0).await;
}

/// For a client that does not read, both the queued data and the time before it is dropped are bounded.
#[tokio::test]
async fn a_client_that_never_reads_is_dropped() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.says("endless").await;
    client.send(json!({ "type": "response.create" })).await;
    until_within(Duration::from_mins(1), "the call is over", || server.app.desk.calls.active() == 0).await;
    let metrics = server.app.metrics.encode().unwrap();
    assert!(metrics.contains("antiphon_calls_total{transport=\"realtime\",outcome=\"lost\"} 1"), "{metrics}");
    drop(client);
    until_within(Duration::from_secs(30), "all work of all tests is dropped", || under_way() == 0).await;
}

/// A person who never pauses is answered every two minutes, and no buffer grows.
#[tokio::test]
async fn ten_minutes_of_speech_without_a_pause_are_many_turns() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    let detection = json!({ "type": "server_vad", "create_response": false });
    let input = json!({ "turn_detection": detection, "transcription": { "model": "m" } });
    client.update(json!({ "type": "realtime", "audio": { "input": input } })).await;
    client.events.clear();
    let minute = speech(60.0);
    for n in 0..10 {
        client.appends(&minute).await;
        if n % 2 == 1 {
            client.until("conversation.item.input_audio_transcription.completed").await;
        }
    }
    let committed =
        client.events.iter().filter(|event| event["type"] == "input_audio_buffer.committed").count();
    assert!((4..=6).contains(&committed), "{committed} turns");
    let completed = client.events.last().unwrap()["transcript"].as_str().unwrap().split(' ').count();
    assert!((230..=242).contains(&completed), "{completed} words in two minutes");
}
