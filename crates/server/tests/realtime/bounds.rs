//! What a client may have the server hold, and how it is told when that is too much.

use antiphon_desk::Keys;
use antiphon_server::settings::Settings;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::Client;
use crate::support::Server;
use crate::support::tools::until;

const MIB: usize = 1 << 20;

/// JSON that takes a hundred times as much memory as a tree.
fn forest(bytes: usize) -> String {
    format!("[{}0]", r#"{"a":0},"#.repeat(bytes / 8))
}

#[tokio::test]
async fn an_event_that_is_too_large_for_its_type_is_refused_and_the_session_goes_on() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    let forest = forest(MIB);
    let item =
        |content: &str| format!(r#"{{"type":"conversation.item.create","event_id":"1","item":{content}}}"#);
    for event in [
        format!(
            r#"{{"type":"session.update","event_id":"1","session":{{"type":"realtime","tracing":{forest}}}}}"#
        ),
        format!(r#"{{"type":"session.update","event_id":"1","unheard_of":{forest}}}"#),
        item(&format!(r#"{{"type":"message","role":"user","content":{forest}}}"#)),
        item(&format!(
            r#"{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{}"}}]}}"#,
            "x".repeat(MIB)
        )),
        format!(r#"{{"type":"response.create","event_id":"1","response":{{"metadata":{forest}}}}}"#),
        format!(r#"{{"type":"response.cancel","event_id":"1","x":{forest}}}"#),
    ] {
        client.raw(Message::text(event)).await;
        let error = client.until("error").await;
        assert_eq!(error["error"]["code"], "event_too_large", "{error:#}");
        assert_eq!(error["error"]["event_id"], "1");
    }
    client.update(json!({ "type": "realtime" })).await;
}

#[tokio::test]
async fn what_is_only_given_back_is_short_and_what_nobody_knows_is_dropped() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    let session =
        client.update(json!({ "type": "realtime", "tracing": { "group_id": "g" }, "unheard_of": [1] })).await;
    assert_eq!((&session["tracing"], &session["unheard_of"]), (&json!({ "group_id": "g" }), &Value::Null));
    for (name, value) in [("tracing", forest(20_000)), ("prompt", forest(20_000)), ("tools", forest(1_000))] {
        let update =
            format!(r#"{{"type":"session.update","session":{{"type":"realtime","{name}":{value}}}}}"#);
        client.raw(Message::text(update)).await;
        let error = client.until("error").await;
        let param = error["error"]["param"].as_str().expect("the field").to_owned();
        assert!(param.starts_with(&format!("session.{name}")), "{param}");
    }
    let session = client.update(json!({ "type": "realtime" })).await;
    assert_eq!(session["tracing"], json!({ "group_id": "g" }), "what was refused changes nothing");
}

#[tokio::test]
async fn tools_that_would_take_much_memory_are_refused() {
    let server = Server::start(Settings::default());
    let mut client = Client::connect(&server, "").await;
    let parameters: Value = serde_json::from_str(&forest(100_000)).expect("JSON");
    let tool = json!({ "type": "function", "name": "f", "parameters": { "enum": parameters } });
    for event in [
        json!({ "type": "session.update", "session": { "type": "realtime", "tools": [tool] } }),
        json!({ "type": "response.create", "response": { "tools": [tool] } }),
    ] {
        client.send(event).await;
        let error = client.until("error").await;
        assert!(
            error["error"]["message"].as_str().expect("a message").contains("KiB of memory"),
            "{error:#}"
        );
    }
}

#[tokio::test]
async fn client_secrets_hold_short_sessions() {
    let server = Server::start(Settings { keys: Keys::new(["sk-test"]), ..Settings::default() });
    let http = reqwest::Client::new();
    let create = async |session: Value| {
        let post = http.post(server.url("/v1/realtime/client_secrets")).bearer_auth("sk-test");
        let response = post.json(&json!({ "session": session })).send().await.expect("an answer");
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
    };
    let (status, made) = create(json!({ "type": "realtime", "instructions": "x".repeat(60_000) })).await;
    assert_eq!(status, 200, "{made}");
    let (status, error) = create(json!({ "type": "realtime", "instructions": "x".repeat(70_000) })).await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("session")));
    let (status, error) =
        create(serde_json::from_str(&format!(r#"{{"tracing":{}}}"#, forest(MIB))).expect("JSON")).await;
    assert_eq!(status, 413, "{error}");
}

/// A socket, and the code with which the server closes it.
async fn closed_with(server: &Server, messages: Vec<Message>) -> CloseCode {
    let (mut socket, _) = connect_async(server.socket("/v1/realtime")).await.expect("connects");
    for message in messages {
        // The server may close before all of it is sent.
        let _ = socket.send(message).await;
    }
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code,
            Some(Ok(_)) => {}
            end => panic!("{end:?}"),
        }
    }
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_connection() {
    let server = Server::start(Settings::default());
    let pings = vec![Message::Ping(vec![7; 125].into()); 101];
    assert_eq!(closed_with(&server, pings).await, CloseCode::Policy);
    until("the call is over", || server.app.desk.calls.active() == 0).await;
}

/// Sends all of a message of this length but its last byte, on a socket of its own, unless the server closes that before.
async fn begin_message(server: &Server, key: &str, length: usize) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.expect("connects");
    let head = format!(
        "GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nauthorization: Bearer {key}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 256];
    let read = socket.read(&mut answer).await.expect("an answer");
    assert!(answer[..read].starts_with(b"HTTP/1.1 101"));
    let mut message = vec![0x81, 0xff];
    message.extend((length as u64 + 1).to_be_bytes());
    // A mask of zeros leaves the text as it is.
    message.extend([0; 4]);
    message.resize(message.len() + length, b'x');
    let _ = socket.write_all(&message).await;
    socket
}

#[tokio::test]
async fn messages_under_way_of_one_key_leave_room_for_those_of_another() {
    let server = Server::start(Settings { keys: Keys::new(["sk-1", "sk-2"]), ..Settings::default() });
    let calls = || server.app.desk.calls.active();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(begin_message(&server, "sk-1", 16 * MIB).await);
    }
    until("the fourth, for which its key has no room, is closed", || calls() == 3).await;
    held.push(begin_message(&server, "sk-2", 16 * MIB).await);
    let mut other = Client::connect_as(&server, "", &[("authorization", "Bearer sk-1")]).await;
    other.says("hello").await;
    assert_eq!(calls(), 5, "live audio and text always have room");
    drop((held, other));
    until("all calls are over", || calls() == 0).await;
}

#[tokio::test]
async fn one_key_leaves_lines_to_the_others() {
    let keys = Keys::new(["sk-1", "sk-2"]);
    let server = Server::start(Settings { keys, max_calls: 2, ..Settings::default() });
    let mut first = Client::connect_as(&server, "", &[("authorization", "Bearer sk-1")]).await;
    first.says("hello").await;
    let mut request = server.socket("/v1/realtime").into_client_request().expect("an address");
    request.headers_mut().insert("authorization", "Bearer sk-1".parse().expect("a header"));
    let Err(Error::Http(refused)) = connect_async(request).await else {
        panic!("more than half of the lines")
    };
    assert_eq!(refused.status(), 429);
    let mut second = Client::connect_as(&server, "", &[("authorization", "Bearer sk-2")]).await;
    second.says("hello").await;
}
