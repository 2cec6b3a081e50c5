//! Media sockets: a telephone company opens a WebSocket to the server and sends a call's audio over it. Vendors
//! differ only in their messages, which [`Dialect`] describes; everything else is the same for all of them.

use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_audio::Ingest;
use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::{CallControl, Error, Event, Result};
use axum::extract::ws::{Message, WebSocket};

use super::codec::Codec;
use crate::socket::Socket;

/// Largest message in bytes. Vendors send 20 ms of audio at a time; this is room for half a minute.
pub(super) const MAX_MESSAGE: usize = 1 << 20;
/// How long the start message may take. Vendors send it within milliseconds of the connection.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Most messages before the start message. Vendors send one greeting at most.
const MAX_BEFORE_START: usize = 16;
/// Audio sent ahead of real time, enough to survive short delays in the network. It is small because vendors play all
/// they have received unless they are told to clear it.
const LEAD: Duration = Duration::from_millis(200);
/// Most audio that may wait to be sent: ten times the lead.
const MAX_QUEUED: Duration = Duration::from_secs(2);
/// How many unreadable messages of one call are logged, so that a stranger cannot fill the log.
const MAX_LOGGED: u32 = 3;
/// Most bytes of buffer for a decoded payload that are kept between messages: more than any vendor sends in
/// real time.
const MAX_KEPT: usize = 64 << 10;

/// The messages of one vendor. A value is the dialect of one stream.
///
/// A new vendor is one file that implements this trait and [`super::vendor::Vendor`], and its routes
/// in [`super::routes`].
pub(crate) trait Dialect: Sized + Send + 'static {
    /// The vendor's name, for logs and metrics.
    const NAME: &'static str;
    /// The least audio that the vendor accepts in one message. Shorter pieces are padded with silence.
    const SHORTEST: Duration = Duration::ZERO;

    /// Reads a message that comes before the call has begun. The start message begins the call; for all others the
    /// result is `None`. Fails when the stream cannot be served.
    fn start(message: &Message) -> Result<Option<(Self, StreamStart)>>;

    /// Reads a message of the call, and appends its audio, still encoded, to `payload`.
    fn read(&mut self, message: &Message, payload: &mut Vec<u8>) -> Result<Heard>;

    /// The message that plays this encoded audio.
    fn audio(&self, payload: &[u8]) -> Message;

    /// The message that the vendor sends back once all audio before it was played or cleared.
    fn mark(&self, name: &str) -> Message;

    /// The message that drops all audio that was not played yet.
    fn clear(&self) -> Message;
}

/// What a start message says about its stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StreamStart {
    /// The vendor's name for the call, for the log.
    pub(super) call: String,
    /// The caller's number, as the vendor reports it.
    pub(super) from: Option<String>,
    /// The number that was called, as the vendor reports it.
    pub(super) to: Option<String>,
    /// The encoding of the caller's audio.
    pub(super) input: Codec,
    /// The encoding of the agent's audio.
    pub(super) output: Codec,
}

/// What a message means for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The message holds audio of the caller.
    Audio,
    /// The caller pressed a key.
    Key(char),
    /// The call is over.
    Stop,
    /// The message holds nothing that matters to the call.
    Nothing,
}

/// One media stream as the transport of a call.
pub(crate) struct MediaSocket<D> {
    socket: Socket,
    dialect: D,
    input: Codec,
    output: Codec,
    ingest: Ingest,
    /// The encoded audio of one message. The buffer is kept so that its memory is reused.
    payload: Vec<u8>,
    /// How many messages could not be read.
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
        // The limit counts encoded bytes. Half as much again is for base64 and the JSON around it.
        socket.allow_queued(output.bytes_per_second() * MAX_QUEUED.as_secs() as usize * 3 / 2);
        let ingest = Ingest::new(input.rate());
        let media_socket =
            Self { socket, dialect, input, output, ingest, payload: Vec::new(), unreadable: 0 };
        Ok((media_socket, start))
    }

    /// What a message means for the call; `None` if nothing.
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
        match socket.recv().await? {
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

/// Parses messages, one on each line, as a stream would. `greeting` begins the stream.
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
