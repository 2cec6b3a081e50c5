//! A call over OpenAI's protocol in which the person types.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::program::{PATIENCE, Program};

/// The item of what a person has typed.
pub(crate) fn typed(text: &str) -> Value {
    json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] })
}

/// A session of OpenAI's protocol.
pub(crate) struct RealtimeCall {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// All events that have come so far.
    pub(crate) events: Vec<Value>,
}

impl RealtimeCall {
    pub(crate) async fn begin(server: &Program) -> Self {
        Self::by(server, "").await
    }

    /// A call by this person; by nobody in particular if the name is empty.
    pub(crate) async fn by(server: &Program, person: &str) -> Self {
        let url = format!("{}/v1/realtime?model=gpt-realtime", server.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("an address");
        if !person.is_empty() {
            request.headers_mut().insert("openai-safety-identifier", person.parse().expect("a header"));
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("connects");
        Self { socket, events: Vec::new() }
    }

    pub(crate) async fn send(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.expect("sent");
    }

    /// The response to a typed question. `response` has the fields of the request for it.
    pub(crate) async fn ask(&mut self, question: &str, response: Value) -> Value {
        self.answer(typed(question), response).await
    }

    /// The response to an item of the conversation.
    pub(crate) async fn answer(&mut self, item: Value, response: Value) -> Value {
        self.send(json!({ "type": "conversation.item.create", "item": item })).await;
        self.send(json!({ "type": "response.create", "response": response })).await;
        self.until("response.done").await["response"].take()
    }

    /// Waits for the next event of this kind.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        let found = async {
            while let Some(message) = self.socket.next().await {
                let message = message.expect("a message");
                let Ok(event) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else {
                    continue;
                };
                assert!(event["type"] != "error" || kind == "error", "{event}");
                self.events.push(event.clone());
                if event["type"] == kind {
                    return event;
                }
            }
            panic!("the server hung up");
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it comes in time")
    }
}
