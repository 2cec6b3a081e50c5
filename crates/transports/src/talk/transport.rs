//! The connection of one visitor of the talk page as the transport of a call.

use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_audio::Ingest;
use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::{CallControl, Result, SampleRate};
use axum::extract::ws::{Message, WebSocket};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire;
use crate::intake::Meter;
use crate::socket::{NORMAL, Socket};

/// The protocol's name, for logs and metrics.
pub(super) const NAME: &str = "talk";
/// Audio sent ahead of real time, so that playback survives delays in the network. The page drops it at once when
/// told to clear.
const LEAD: Duration = Duration::from_millis(300);
/// Most bytes that may wait for the page: five seconds of 24 kHz audio, many times the lead.
const MAX_QUEUED: usize = 240_000;

/// The messages that the page sends as JSON text.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PageMessage {
    /// Words that the person typed.
    Text { text: String },
}

/// The transport of one connection.
pub(super) struct TalkTransport {
    socket: Socket,
    ingest: Ingest,
}

impl TalkTransport {
    pub(super) fn new(ws: WebSocket, meter: Meter) -> Self {
        Self { socket: Socket::new(ws, meter, MAX_QUEUED), ingest: Ingest::new(SampleRate::HZ_16000) }
    }

    fn tell(&mut self, event: &Value) {
        self.socket.send(Message::text(event.to_string()));
    }
}

impl Transport for TalkTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self) -> OutputAudio {
        OutputAudio { rate: SampleRate::HZ_24000, pacing: Pacing::Server { lead: LEAD } }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        loop {
            match std::task::ready!(self.socket.poll_recv(cx)) {
                Some(Message::Binary(bytes)) => {
                    self.ingest.s16le(&bytes, audio);
                    return Poll::Ready(Some(Inbound::Audio));
                }
                Some(Message::Text(text)) => match serde_json::from_str(&text) {
                    Ok(PageMessage::Text { text }) => return Poll::Ready(Some(Inbound::Text(text))),
                    Err(error) => self.tell(&wire::failure(&format!("not understood: {error}"))),
                },
                Some(Message::Close(_)) | None => return Poll::Ready(None),
                Some(_) => {}
            }
        }
    }

    fn send(&mut self, outbound: Outbound) {
        match outbound {
            Outbound::Audio { turn, samples, .. } => {
                let mut bytes = Vec::with_capacity(4 + 2 * samples.len());
                bytes.extend_from_slice(&turn.0.to_le_bytes());
                bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
                self.socket.send(Message::binary(bytes));
            }
            Outbound::Clear => {
                self.socket.retract(|message| matches!(message, Message::Binary(_)));
                self.tell(&json!({ "type": "clear" }));
            }
            Outbound::Event(event) => {
                if let Some(event) = wire::event(&event) {
                    self.tell(&event);
                }
            }
            Outbound::Control(CallControl::HangUp(_)) => {
                self.tell(&json!({ "type": "hangup" }));
                self.socket.close(NORMAL, "");
            }
            Outbound::Control(_) => {}
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.socket.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::spec::{Peer, socket};

    #[tokio::test(start_paused = true)]
    async fn a_page_obeys_the_transports_specification() {
        let peer = Peer {
            limit: super::super::MAX_MESSAGE,
            opening: Vec::new(),
            speech: Message::binary(vec![1; 640]),
            garbage: vec![
                Message::text(""),
                Message::text("{}"),
                Message::text(r#"{"type":"news"}"#),
                Message::binary(Vec::new()),
                // An odd byte, so that the next message would begin in the middle of a sample.
                Message::binary(vec![1; 3]),
            ],
            is_audio: Message::is_binary,
            is_clear: Some(|message| message.to_text().is_ok_and(|text| text == r#"{"type":"clear"}"#)),
            open: |ws| {
                Box::pin(async {
                    Some(Box::new(TalkTransport::new(ws, Meter::default())) as Box<dyn Transport>)
                })
            },
        };
        socket(&peer).await;
    }
}
