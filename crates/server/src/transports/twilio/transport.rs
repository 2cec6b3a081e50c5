//! One Twilio stream as a call.

use std::borrow::Cow;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_audio::{Ingest, Law};
use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::{CallControl, Error, Event, Result, SampleRate};
use axum::extract::ws::{Message, WebSocket};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::wire::{self, Incoming, MediaFormat};
use crate::transports::socket::Socket;

/// The protocol's name, for logs and metrics.
pub(super) const NAME: &str = "twilio";
/// Twilio plays what it was sent unless told to clear it, so little needs to be there: enough to cover a network
/// that stumbles.
const LEAD: Duration = Duration::from_millis(200);
/// Two seconds of mu-law as base64 JSON: ten times the lead.
const MAX_QUEUED: usize = 24_000;

/// One Twilio stream.
pub(super) struct TwilioTransport {
    socket: Socket,
    stream_sid: String,
    ingest: Ingest,
    mulaw: Vec<u8>,
    over: bool,
}

/// What the `start` message tells.
pub(super) struct Started {
    pub(super) call_sid: String,
    /// The caller's number.
    pub(super) from: Option<String>,
}

impl TwilioTransport {
    pub(super) fn new(ws: WebSocket) -> Self {
        Self {
            socket: Socket::new(ws, MAX_QUEUED),
            stream_sid: String::new(),
            ingest: Ingest::new(SampleRate::HZ_8000),
            mulaw: Vec::new(),
            over: false,
        }
    }

    /// Waits for the `start` message.
    pub(super) async fn started(&mut self) -> Result<Started> {
        loop {
            let message = poll_fn(|cx| self.socket.poll_recv(cx)).await;
            let Some(Message::Text(text)) = message else {
                return Err(Error::unavailable("the connection ended before its start message"));
            };
            let incoming = parse(&text)?;
            let Some(start) = incoming.start else { continue };
            start.format.as_ref().map_or(Ok(()), MediaFormat::check)?;
            let sid = start.stream_sid.or(incoming.stream_sid);
            self.stream_sid = sid.ok_or_else(|| Error::invalid("the start message has no streamSid"))?.into();
            let from = start.parameters.from.map(Cow::into_owned);
            return Ok(Started { call_sid: start.call_sid.unwrap_or_default().into(), from });
        }
    }

    /// What a message means; `None` when nothing.
    fn understand(&mut self, text: &str, audio: &mut Vec<i16>) -> Option<Inbound> {
        let incoming = match parse(text) {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::warn!(%error, "message ignored");
                return None;
            }
        };
        match incoming.event.as_ref() {
            "media" => {
                let media = incoming.media.filter(|m| m.track.as_deref() != Some("outbound"))?;
                self.mulaw.clear();
                // A payload that is no base64 is as good as a lost packet.
                STANDARD.decode_vec(media.payload.as_ref(), &mut self.mulaw).ok()?;
                self.ingest.g711(Law::Mu, &self.mulaw, audio);
                Some(Inbound::Audio)
            }
            "dtmf" => incoming.dtmf.and_then(|d| d.digit.chars().next()).map(Inbound::Dtmf),
            "stop" => Some(Inbound::Hangup),
            _ => None,
        }
    }
}

fn parse(text: &str) -> Result<Incoming<'_>> {
    serde_json::from_str(text).map_err(|e| Error::invalid(format!("no Media Streams message: {e}")))
}

impl Transport for TwilioTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self) -> OutputAudio {
        OutputAudio { rate: SampleRate::HZ_8000, pacing: Pacing::Server { lead: LEAD } }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        loop {
            let inbound = match std::task::ready!(self.socket.poll_recv(cx)) {
                Some(Message::Text(text)) => self.understand(&text, audio),
                Some(Message::Close(_)) | None => return Poll::Ready(None),
                Some(_) => None,
            };
            if inbound.is_some() {
                return Poll::Ready(inbound);
            }
        }
    }

    fn send(&mut self, outbound: Outbound) {
        let message = match outbound {
            Outbound::Audio { samples, .. } => {
                self.mulaw.clear();
                Law::Mu.encode_into(&samples, &mut self.mulaw);
                wire::media(&self.stream_sid, &self.mulaw)
            }
            Outbound::Clear => {
                self.socket.retract(|message| matches!(message, Message::Text(_)));
                wire::clear(&self.stream_sid)
            }
            // The mark comes back when the reply was played or cleared.
            Outbound::Event(Event::ReplyDone { reply, .. }) => wire::mark(&self.stream_sid, reply.as_str()),
            Outbound::Event(_) => return,
            Outbound::Control(CallControl::HangUp(_)) => {
                self.over = true;
                return self.socket.close(1000, "");
            }
            Outbound::Control(_) => return,
        };
        if !self.over {
            self.socket.send(Message::text(message));
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.socket.poll_flush(cx)
    }
}
