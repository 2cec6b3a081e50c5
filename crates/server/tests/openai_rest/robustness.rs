//! Hostile and careless clients, and clients that disappear.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use antiphon_server::settings::Settings;
use futures_util::StreamExt;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::Server;
use crate::support::tools::{tasks, tasks_at_rest, until};
use crate::{audio, error};
use antiphon_providers::scripted::fake::under_way;

fn chat(text: &str, streamed: bool) -> Value {
    json!({"messages": [{"role": "user", "content": text}], "stream": streamed})
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_server_goes_on() {
    let server = Server::start(Settings::default());
    let client = reqwest::Client::new();
    let url = server.url("/v1/chat/completions");
    let (status, message) = error(client.post(&url).json(&chat("break", false)).send().await.unwrap()).await;
    assert_eq!(status, 500);
    assert!(!message.contains("as asked"), "the inside of the server is nobody's business: {message}");
    let response = client.post(&url).json(&chat("hello", false)).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn an_answer_without_end_is_ended() {
    let server = Server::start(Settings::default());
    let url = server.url("/v1/chat/completions");
    let response = reqwest::Client::new().post(url).json(&chat("endless", false)).send().await.unwrap();
    let (status, message) = error(response).await;
    assert_eq!(status, 502, "{message}");
    assert!(message.contains("max_completion_tokens"), "{message}");
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let server =
        Server::start(Settings { max_json_bytes: 1_000, max_upload_bytes: 100_000, ..Settings::default() });
    let client = reqwest::Client::new();
    let long = "a".repeat(2_000);
    let response =
        client.post(server.url("/v1/embeddings")).json(&json!({"input": long})).send().await.unwrap();
    assert_eq!(error(response).await.0, 413);

    let file = Part::bytes(audio::wav(&audio::noise(200_000), 16_000)).file_name("a.wav");
    let upload =
        client.post(server.url("/v1/audio/transcriptions")).multipart(Form::new().part("file", file));
    assert_eq!(error(upload.send().await.unwrap()).await.0, 413);
    let file = Part::bytes(audio::wav(&audio::noise(20_000), 16_000)).file_name("a.wav");
    let upload =
        client.post(server.url("/v1/audio/transcriptions")).multipart(Form::new().part("file", file));
    assert_eq!(upload.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn requests_over_the_limit_are_told_to_come_back() {
    let server = Server::start(Settings { max_requests: 1, ..Settings::default() });
    let client = reqwest::Client::new();
    let url = server.url("/v1/chat/completions");
    let held = client.post(&url).json(&chat("hang", true)).send().await.unwrap();
    let response = client.post(&url).json(&chat("hello", false)).send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(error(response).await.0, 429);
    drop(held);
    until("the place is free again", || server.app.requests.available_permits() == 1).await;
    assert_eq!(client.post(&url).json(&chat("hello", false)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_sends_everything_before_reading_learns_why_it_was_for_nothing() {
    let server = Server::start(Settings::default());
    let address = server.address;
    let answer = tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        let length = 4 << 20;
        let head = format!(
            "POST /v1/nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        // The answer is there long before this is sent.
        for _ in 0..64 {
            std::thread::sleep(Duration::from_millis(5));
            socket.write_all(&vec![0; length / 64]).unwrap();
        }
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn clients_that_leave_take_their_work_with_them() {
    let server = Server::start(Settings::default());
    let before = tasks_at_rest().await;
    {
        let client = reqwest::Client::new();
        for (path, body) in [
            ("/v1/chat/completions", chat("endless", true)),
            ("/v1/chat/completions", chat("hang", true)),
            ("/v1/audio/speech", json!({"input": "endless"})),
            (
                "/v1/audio/speech",
                json!({"input": "endless", "response_format": "flac", "stream_format": "sse"}),
            ),
            ("/v1/audio/speech", json!({"input": "endless", "response_format": "opus"})),
        ] {
            let response = client.post(server.url(path)).json(&body).send().await.unwrap();
            assert_eq!(response.status(), 200, "{body}");
            let first = response.bytes_stream().next().await;
            assert!(first.is_some_and(|bytes| bytes.is_ok()));
        }
        // A client that disappears before the answer begins.
        let waiting = client.post(server.url("/v1/chat/completions")).json(&chat("hang", false)).send();
        assert!(tokio::time::timeout(Duration::from_millis(200), waiting).await.is_err());
    }
    until("all work is dropped", || under_way() == 0).await;
    until("no task is left", || tasks() <= before).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_behind() {
    let server = Server::start(Settings::default());
    let before = tasks_at_rest().await;
    let address = server.address;
    tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        let head = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\
                    content-type: multipart/form-data; boundary=b\r\n\r\n\
                    --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF";
        socket.write_all(head.as_bytes()).unwrap();
    })
    .await
    .unwrap();
    until("the request is forgotten", || tasks() <= before && server.app.requests.available_permits() == 64)
        .await;
}

#[tokio::test]
async fn nonsense_instead_of_http_is_answered_or_closed() {
    let server = Server::start(Settings::default());
    let address = server.address;
    for nonsense in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0; 64]]
    {
        tokio::task::spawn_blocking(move || {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket.write_all(nonsense).unwrap();
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer);
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
        })
        .await
        .unwrap();
    }
    assert_eq!(reqwest::get(server.url("/healthz")).await.unwrap().status(), 200);
}

/// Runs in virtual time, which jumps to the next timeout whenever everything waits.
#[tokio::test(start_paused = true)]
async fn clients_that_say_nothing_are_hung_up_on() {
    let server = Server::start(Settings::default());
    for begun in ["", "P", "PRI", "GET /healthz HTTP/1.1\r\nhost: x\r\n"] {
        let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
        socket.write_all(begun.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{begun:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_never_come_are_not_waited_for() {
    let server = Server::start(Settings::default());
    for (path, media_type) in [
        ("/v1/chat/completions", "application/json"),
        ("/v1/audio/transcriptions", "multipart/form-data; boundary=b"),
    ] {
        let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\ncontent-type: {media_type}\r\n\r\n--b"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
    until("the places are free", || server.app.requests.available_permits() == 64).await;
}

#[tokio::test]
async fn null_is_absent() {
    let server = Server::start(Settings::default());
    let chat = |extra: &Value| {
        let mut body = json!({ "max_tokens": 2, "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        body
    };
    let nothing_described = json!([{ "type": "function", "function": { "name": "f", "description": null } }]);
    for (path, body) in [
        ("/v1/embeddings", json!({ "input": "hello", "encoding_format": null, "dimensions": null })),
        ("/v1/chat/completions", chat(&json!({ "tools": null }))),
        ("/v1/chat/completions", chat(&json!({ "stream_options": { "include_usage": null } }))),
        ("/v1/chat/completions", chat(&json!({ "tools": nothing_described }))),
        ("/v1/responses", json!({ "input": "hi", "tools": null, "text": { "format": null } })),
    ] {
        let response =
            reqwest::Client::new().post(server.url(path)).json(&body).send().await.expect("a reply");
        assert_eq!(response.status(), 200, "{path}: {body}");
    }
}
