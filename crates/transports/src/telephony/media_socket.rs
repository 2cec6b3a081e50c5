//! Media sockets: a telephone company dials a WebSocket and sends a call's audio over it. The vendors differ in their
//! messages, which is all that a [`Dialect`] is about; the call itself is the same for all of them.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_audio::Ingest;
use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::{CallControl, Error, Event, Result};
use axum::extract::ws::{Message, WebSocket};

use super::codec::Codec;
use crate::socket::Socket;

/// The largest message that is read. Vendors send 20 ms of audio at a time; this is room for half a minute of it.
pub(super) const MAX_MESSAGE: usize = 1 << 20;
/// The start message follows the connection within milliseconds.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Vendors greet with one message before the start message, if any.
const MAX_BEFORE_START: usize = 16;
/// Vendors play what they were sent unless told to clear it, so little needs to be there: enough to cover a network
/// that stumbles.
const LEAD: Duration = Duration::from_millis(200);
/// Audio that may wait to be sent: ten times the lead.
const MAX_QUEUED: Duration = Duration::from_secs(2);
/// A call logs this many of the messages that it could not read. A stranger must not fill the log.
const MAX_LOGGED: u32 = 3;
/// Room for one decoded payload that is kept between messages: more than any vendor sends in real time.
const MAX_KEPT: usize = 64 << 10;

/// What one vendor's messages look like. A value is the dialect of one stream.
///
/// A new vendor is one file that implements this and [`super::vendor::Vendor`], and its routes in [`super::routes`].
pub(crate) trait Dialect: Sized + Send + 'static {
    /// The vendor's name, for logs and metrics.
    const NAME: &'static str;
    /// The least audio that the vendor takes in one message; shorter pieces are filled up with silence.
    const SHORTEST: Duration = Duration::ZERO;

    /// Reads a message that came before the call began: the start message begins it, all others give `None`. Fails
    /// when the stream cannot be served.
    fn start(message: &Message) -> Result<Option<(Self, StreamStart)>>;

    /// Reads a message of the call. Appends the audio that it brings, as encoded, to `payload`.
    fn read(&mut self, message: &Message, payload: &mut Vec<u8>) -> Result<Heard>;

    /// A message that plays this encoded audio.
    fn audio(&self, payload: &[u8]) -> Message;

    /// A message that the vendor sends back once all audio before it was played or cleared.
    fn mark(&self, name: &str) -> Message;

    /// A message that drops all audio that was not played yet.
    fn clear(&self) -> Message;
}

/// What a start message says of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StreamStart {
    /// The vendor's name for the call, for the log.
    pub(super) call: String,
    /// The caller's number, as the vendor tells it.
    pub(super) from: Option<String>,
    /// How the caller's audio comes in.
    pub(super) input: Codec,
    /// How the agent's audio goes out.
    pub(super) output: Codec,
}

/// What a message means for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Audio of the caller.
    Audio,
    /// The caller pressed a key.
    Key(char),
    /// The call is over.
    Stop,
    /// Nothing that the call needs to know.
    Nothing,
}

/// One stream as a call.
pub(crate) struct MediaSocket<D> {
    socket: Socket,
    dialect: D,
    input: Codec,
    output: Codec,
    ingest: Ingest,
    /// Encoded audio of one message; kept so that its memory is used again.
    payload: Vec<u8>,
    /// Messages that could not be read.
    unreadable: u32,
}

impl<D: Dialect> MediaSocket<D> {
    /// Waits for the start message.
    pub(crate) async fn accept(ws: WebSocket) -> Result<(Self, StreamStart)> {
        let mut socket = Socket::new(ws, 0);
        let started = tokio::time::timeout(START_WITHIN, started::<D>(&mut socket)).await;
        let (dialect, start) = started.map_err(|_| {
            Error::unavailable(format!("no start message within {} s", START_WITHIN.as_secs()))
        })??;
        let StreamStart { input, output, .. } = start;
        // Half as much again covers base64 and the JSON around it.
        socket.allow_queued(output.bytes_per_second() * MAX_QUEUED.as_secs() as usize * 3 / 2);
        let ingest = Ingest::new(input.rate());
        let media_socket =
            Self { socket, dialect, input, output, ingest, payload: Vec::new(), unreadable: 0 };
        Ok((media_socket, start))
    }

    /// What a message means; `None` when nothing.
    fn understand(&mut self, message: &Message, audio: &mut Vec<i16>) -> Option<Inbound> {
        self.payload.clear();
        self.payload.shrink_to(MAX_KEPT);
        match self.dialect.read(message, &mut self.payload) {
            Ok(Heard::Audio) if self.payload.is_empty() => None,
            Ok(Heard::Audio) => {
                self.input.decode(&self.payload, &mut self.ingest, audio);
                Some(Inbound::Audio)
            }
            Ok(Heard::Key(key)) => Some(Inbound::Dtmf(key)),
            Ok(Heard::Stop) => Some(Inbound::Hangup),
            Ok(Heard::Nothing) => None,
            Err(error) => {
                self.ignore(&error);
                None
            }
        }
    }

    fn ignore(&mut self, error: &Error) {
        self.unreadable = self.unreadable.saturating_add(1);
        if self.unreadable <= MAX_LOGGED {
            let last = self.unreadable == MAX_LOGGED;
            tracing::warn!(%error, further_ones_are_logged = !last, "message ignored");
        }
    }
}

async fn started<D: Dialect>(socket: &mut Socket) -> Result<(D, StreamStart)> {
    for _ in 0..MAX_BEFORE_START {
        match poll_fn(|cx| socket.poll_recv(cx)).await {
            Some(Message::Close(_)) | None => {
                return Err(Error::unavailable("the connection ended before its start message"));
            }
            Some(message) => {
                if let Some(started) = D::start(&message)? {
                    return Ok(started);
                }
            }
        }
    }
    Err(Error::invalid("too many messages before the start message"))
}

impl<D: Dialect> Transport for MediaSocket<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn output(&self) -> OutputAudio {
        OutputAudio { rate: self.output.rate(), pacing: Pacing::Server { lead: LEAD } }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        loop {
            let inbound = match std::task::ready!(self.socket.poll_recv(cx)) {
                Some(Message::Close(_)) | None => return Poll::Ready(None),
                Some(message) => self.understand(&message, audio),
            };
            if inbound.is_some() {
                return Poll::Ready(inbound);
            }
        }
    }

    fn send(&mut self, outbound: Outbound) {
        let message = match outbound {
            Outbound::Audio { mut samples, .. } => {
                let shortest = self.output.rate().samples_in(D::SHORTEST);
                samples.resize(samples.len().max(shortest), 0);
                self.payload.clear();
                self.output.encode(&samples, &mut self.payload);
                self.dialect.audio(&self.payload)
            }
            Outbound::Clear => {
                self.socket.retract(|message| matches!(message, Message::Text(_) | Message::Binary(_)));
                self.dialect.clear()
            }
            Outbound::Event(Event::ReplyDone { reply, .. }) => self.dialect.mark(reply.as_str()),
            Outbound::Control(CallControl::HangUp(_)) => return self.socket.close(1000, ""),
            Outbound::Event(_) | Outbound::Control(_) => return,
        };
        self.socket.send(message);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.socket.poll_flush(cx)
    }
}

/// Understands messages, one a line, as a stream would. `greeting` starts it.
#[cfg(fuzzing)]
pub(super) fn fuzz<D: Dialect>(greeting: &str, text: &str) {
    let mut audio = Vec::new();
    let Ok(Some((mut dialect, mut start))) = D::start(&Message::text(greeting)) else { return };
    for line in text.lines() {
        let message = Message::text(line);
        if let Ok(Some(started)) = D::start(&message) {
            (dialect, start) = started;
        }
        let mut payload = Vec::new();
        if let Ok(Heard::Audio) = dialect.read(&message, &mut payload) {
            start.input.decode(&payload, &mut Ingest::new(start.input.rate()), &mut audio);
        }
        dialect.mark(line);
        audio.clear();
    }
}
