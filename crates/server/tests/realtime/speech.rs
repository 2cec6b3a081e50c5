//! Spoken turns, which are found in the audio or committed by the client, interrupted, truncated, or
//! only transcribed.

use antiphon_server::settings::Settings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::client::{Client, silence, speech};
use crate::support::Server;

fn transcribed(turn_detection: &Value) -> Value {
    let input = json!({ "transcription": { "model": "whisper-1" }, "turn_detection": turn_detection });
    json!({ "type": "realtime", "audio": { "input": input } })
}

#[tokio::test]
async fn a_spoken_turn_comes_in_openais_order() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    let vad = json!({ "type": "server_vad", "silence_duration_ms": 300 });
    let session = client.update(transcribed(&vad)).await;
    assert_eq!(session["audio"]["input"]["turn_detection"]["interrupt_response"], true);
    client.events.clear();
    // All of the audio is sent at once, many times faster than real time.
    let mut audio = silence(0.5);
    audio.extend(speech(2.1));
    audio.extend(silence(1.0));
    client.appends(&audio).await;
    let done = client.until("response.done").await;
    let kinds: Vec<&str> = client
        .kinds()
        .into_iter()
        .filter(|kind| !kind.starts_with("conversation.item.input_audio_transcription"))
        .collect();
    assert_eq!(
        kinds[..4],
        [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
        ]
    );
    let first = |kind: &str| {
        client.events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind}"))
    };
    let item = &first("input_audio_buffer.speech_started")["item_id"];
    let start = first("input_audio_buffer.speech_started")["audio_start_ms"].as_u64().unwrap();
    let end = first("input_audio_buffer.speech_stopped")["audio_end_ms"].as_u64().unwrap();
    assert!((150..350).contains(&start) && (2_500..2_750).contains(&end), "{start} {end}");
    assert_eq!(&first("conversation.item.added")["item"]["id"], item);
    let completed = first("conversation.item.input_audio_transcription.completed");
    assert_eq!(&completed["item_id"], item);
    assert_eq!(completed["transcript"], "one word one word");
    assert_eq!(completed["usage"]["type"], "duration");
    for (before, after) in [
        ("response.created", "response.output_item.added"),
        ("response.content_part.added", "response.output_audio_transcript.delta"),
        ("response.output_audio_transcript.delta", "response.output_audio.delta"),
        ("response.output_audio.delta", "response.output_audio.done"),
        ("response.output_audio.done", "response.output_audio_transcript.done"),
        ("response.output_audio_transcript.done", "response.content_part.done"),
        ("response.content_part.done", "response.output_item.done"),
    ] {
        let place = |kind: &str| {
            client
                .events
                .iter()
                .position(|event| event["type"] == kind)
                .unwrap_or_else(|| panic!("no {kind}"))
        };
        assert!(place(before) < place(after), "{before} before {after}");
    }
    let spoken = &done["response"]["output"][0]["content"][0];
    assert_eq!(*spoken, json!({ "type": "output_audio", "transcript": "one word one word" }));
    assert!(client.heard() > 0.5, "{} s", client.heard());
}

#[tokio::test]
async fn a_turn_without_words_has_an_empty_transcript() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.update(transcribed(&json!({ "type": "server_vad", "silence_duration_ms": 300 }))).await;
    let mut audio = speech(0.4);
    audio.extend(silence(1.0));
    client.appends(&audio).await;
    let item = client.until("input_audio_buffer.speech_started").await["item_id"].clone();
    assert_eq!(client.until("input_audio_buffer.committed").await["item_id"], item);
    assert_eq!(client.until("conversation.item.done").await["item"]["content"][0]["transcript"], "");
    let completed = client.until("conversation.item.input_audio_transcription.completed").await;
    assert_eq!((&completed["item_id"], &completed["transcript"]), (&item, &json!("")));
    client.send(json!({ "type": "conversation.item.retrieve", "item_id": item })).await;
    client.until("conversation.item.retrieved").await;
    assert!(!client.kinds().contains(&"response.created"), "there is nothing to answer");
}

#[tokio::test]
async fn an_interruption_cancels_the_response() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.update(transcribed(&json!({ "type": "server_vad" }))).await;
    client.says("endless").await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.output_audio.delta").await;
    client.appends(&speech(0.4)).await;
    let started = client.until("input_audio_buffer.speech_started").await;
    let response = client.until("response.done").await["response"].take();
    assert_eq!(response["status"], "cancelled");
    assert_eq!(response["status_details"]["reason"], "turn_detected");
    let item = response["output"][0]["id"].clone();
    assert_ne!(started["item_id"], item);
    client.send(json!({ "type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 40 })).await;
    assert_eq!(client.until("conversation.item.truncated").await["audio_end_ms"], 40);
    let late = json!({ "type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 9_000_000, "event_id": "late" });
    client.send(late).await;
    assert_eq!(client.until("error").await["error"]["event_id"], "late");
}

#[tokio::test]
async fn without_interruptions_the_response_goes_on() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client
        .update(transcribed(
            &json!({ "type": "server_vad", "interrupt_response": false, "create_response": false }),
        ))
        .await;
    client.says("a reply of some length that is spoken").await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.output_audio.delta").await;
    let mut audio = speech(1.2);
    audio.extend(silence(1.0));
    client.appends(&audio).await;
    let (mut done, mut committed) = (false, false);
    while !(done && committed) {
        let event = client.next().await;
        committed |= event["type"] == "input_audio_buffer.committed";
        if event["type"] == "response.done" {
            assert_eq!(event["response"]["status"], "completed");
            done = true;
        }
    }
}

#[tokio::test]
async fn manual_turns_are_committed_by_the_client() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.update(transcribed(&Value::Null)).await;
    client.send(json!({ "type": "input_audio_buffer.commit", "event_id": "empty" })).await;
    let error = client.until("error").await;
    assert_eq!(error["error"]["code"], "input_audio_buffer_commit_empty");
    assert_eq!(error["error"]["event_id"], "empty");
    client.appends(&speech(1.0)).await;
    client.send(json!({ "type": "input_audio_buffer.clear" })).await;
    client.until("input_audio_buffer.cleared").await;
    // A minute of audio is sent at once, which no queue for real time could hold.
    for _ in 0..4 {
        client.appends(&speech(15.02)).await;
    }
    client.send(json!({ "type": "input_audio_buffer.commit" })).await;
    let committed = client.until("input_audio_buffer.committed").await;
    assert!(!client.kinds().contains(&"input_audio_buffer.speech_started"));
    client.send(json!({ "type": "response.create" })).await;
    let completed = client.until("conversation.item.input_audio_transcription.completed").await;
    assert_eq!(completed["item_id"], committed["item_id"]);
    let words = completed["transcript"].as_str().unwrap().split_whitespace().count();
    assert_eq!(words, 120, "two words a second, none lost");
    assert_eq!(client.until("response.done").await["response"]["status"], "completed");
}

#[tokio::test]
async fn audio_in_an_item_is_transcribed_before_it_is_answered() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    client.update(transcribed(&Value::Null)).await;
    let part = json!({ "type": "input_audio", "audio": BASE64.encode(speech(2.0)) });
    let item = json!({ "type": "message", "role": "user", "content": [part] });
    client.send(json!({ "type": "conversation.item.create", "item": item })).await;
    client.send(json!({ "type": "response.create", "response": { "output_modalities": ["text"] } })).await;
    let added = client.until("conversation.item.added").await;
    assert_eq!(added["item"]["content"][0], json!({ "type": "input_audio", "transcript": null }));
    let done = client.until("response.done").await;
    assert_eq!(done["response"]["output"][0]["content"][0]["text"], "one word one word");
}

#[tokio::test]
async fn a_transcription_session_tells_words_as_they_are_spoken() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "?intent=transcription").await;
    let session = &client.events[0]["session"];
    assert_eq!(session["type"], "transcription");
    assert!(session.get("instructions").is_none());
    for _ in 0..4 {
        client.appends(&speech(1.0)).await;
    }
    let delta = client.until("conversation.item.input_audio_transcription.delta").await;
    assert_eq!(delta["delta"], "one word");
    client.appends(&silence(1.0)).await;
    client.until("conversation.item.input_audio_transcription.completed").await;
    let text = |kind: &str, field: &str| -> String {
        let of_kind = client.events.iter().filter(|event| event["type"] == kind);
        of_kind.filter_map(|event| event[field].as_str()).collect()
    };
    let completed = text("conversation.item.input_audio_transcription.completed", "transcript");
    assert_eq!(text("conversation.item.input_audio_transcription.delta", "delta"), completed);
    client.send(json!({ "type": "response.create" })).await;
    assert_eq!(client.until("error").await["error"]["code"], "invalid_session_type");
}

#[tokio::test]
async fn telephone_audio_goes_in_and_out() {
    let server = Server::start(Settings::default());
    for format in ["audio/pcmu", "audio/pcma"] {
        let mut client = Client::connect(&server, "").await;
        let format = json!({ "type": format });
        let input = json!({ "format": format, "turn_detection": null });
        let audio = json!({ "input": input, "output": { "format": format } });
        client.update(json!({ "type": "realtime", "audio": audio })).await;
        client.appends(&vec![0x20; 16_800]).await;
        client.send(json!({ "type": "input_audio_buffer.commit" })).await;
        client.send(json!({ "type": "response.create" })).await;
        let response = client.until("response.done").await["response"].take();
        assert_eq!(response["audio"]["output"]["format"], format);
        let deltas = client.events.iter().filter(|event| event["type"] == "response.output_audio.delta");
        let bytes: usize =
            deltas.map(|event| BASE64.decode(event["delta"].as_str().unwrap()).unwrap().len()).sum();
        // Fourteen letters of 50 ms each: "one word one word".
        assert!((5_000..6_500).contains(&bytes), "{bytes}");
    }
}
