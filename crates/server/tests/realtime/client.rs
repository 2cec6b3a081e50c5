//! A Realtime client that validates every event against OpenAI's schemas.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::Server;
use crate::support::schema::assert_server_event;

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(20);
const RATE: usize = 24_000;

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// All events received so far.
    pub(crate) events: Vec<Value>,
}

impl Client {
    /// Connects, and receives `session.created`.
    pub(crate) async fn connect(server: &Server, query: &str) -> Self {
        Self::connect_as(server, query, &[]).await
    }

    /// Does the same with additional headers.
    pub(crate) async fn connect_as(server: &Server, query: &str, headers: &[(&'static str, &str)]) -> Self {
        let url = server.socket(&format!("/v1/realtime{query}"));
        let mut request = url.into_client_request().expect("an address");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let (socket, _) = connect_async(request).await.expect("connects");
        let mut client = Self { socket, events: Vec::new() };
        client.until("session.created").await;
        client
    }

    pub(crate) async fn send(&mut self, event: Value) {
        self.raw(Message::text(event.to_string())).await;
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        self.socket.send(message).await.expect("sent");
    }

    pub(crate) async fn update(&mut self, session: Value) -> Value {
        self.send(json!({ "type": "session.update", "session": session })).await;
        self.until("session.updated").await["session"].take()
    }

    pub(crate) async fn says(&mut self, text: &str) {
        let content = json!([{ "type": "input_text", "text": text }]);
        let item = json!({ "type": "message", "role": "user", "content": content });
        self.send(json!({ "type": "conversation.item.create", "item": item })).await;
        self.until("conversation.item.done").await;
    }

    pub(crate) async fn appends(&mut self, pcm: &[u8]) {
        self.send(json!({ "type": "input_audio_buffer.append", "audio": BASE64.encode(pcm) })).await;
    }

    /// The next event of the server; waits for it, but not forever.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let message = message.unwrap_or_else(|_| panic!("nothing came after {:#?}", self.kinds()));
            match message.expect("open").expect("a message") {
                Message::Text(text) => {
                    let event: Value = serde_json::from_str(&text).expect("JSON");
                    assert_server_event(&event);
                    self.events.push(event.clone());
                    return event;
                }
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Waits for the next event of this kind.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == kind {
                return event;
            }
            assert!(event["type"] != "error" || kind == "error", "{event:#}");
        }
    }

    /// The kinds of all events; consecutive events of the same kind count as one.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.events.iter().filter_map(|event| event["type"].as_str()).collect();
        kinds.dedup();
        kinds
    }

    /// How many seconds of audio were received.
    pub(crate) fn heard(&self) -> f64 {
        let deltas = self.events.iter().filter(|event| event["type"] == "response.output_audio.delta");
        let bytes: usize = deltas
            .map(|event| BASE64.decode(event["delta"].as_str().expect("a delta")).expect("base64").len())
            .sum();
        bytes as f64 / (2 * RATE) as f64
    }
}

/// Audio that the test's detector judges to be speech.
pub(crate) fn speech(seconds: f64) -> Vec<u8> {
    let samples = (seconds * RATE as f64) as usize;
    (0..samples).flat_map(|n| (if n / 60 % 2 == 0 { 3_000_i16 } else { -3_000 }).to_le_bytes()).collect()
}

pub(crate) fn silence(seconds: f64) -> Vec<u8> {
    vec![0; 2 * (seconds * RATE as f64) as usize]
}
