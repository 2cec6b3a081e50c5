//! A WebSocket that is polled by the call's own task, with a bounded queue of outgoing messages.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{Error, Result};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use futures_util::{Sink, Stream};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::Error as WebSocketError;

use crate::intake::Meter;

/// Time between pings. They keep the connection open at proxies, which drop those that are silent for 30 to 60 s.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that has read nothing for this long is considered gone, even if its connection is still open.
const STALLED: Duration = Duration::from_secs(20);
/// A client that has sent nothing for this long, not even the answer to three pings, is considered gone as well. The
/// operating system notices when a client's connection breaks, but not when only the part behind a proxy does.
const SILENT: Duration = Duration::from_secs(70);
/// How long the other side may take to answer the close message.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);
/// Small messages are written together, up to this many bytes. No more is handed to the WebSocket before that is
/// written, because its own buffer is not part of the bounded queue and cannot be taken back.
const BATCH: usize = 4 << 10;
/// What is said of a connection that ends without a word.
const UNANNOUNCED: &str = "the connection ended without a close message";
/// The WebSocket's own buffer for reading, which every socket has. Half a second of Realtime audio fits.
const READ_BUFFER: usize = 16 << 10;
/// Most bytes that the WebSocket's own buffer for writing may hold: a batch and the longest message, which is a session with its
/// instructions and tools. Without a bound answers to pings would pile up there for a client that does not read.
const MAX_WRITE_BUFFER: usize = 2 << 20;
/// Longest time in which a message longer than live audio must arrive: enough for the longest one at 3 Mbit/s.
const MESSAGE_TIME: Duration = Duration::from_mins(1);
/// Most pings and pongs that a client may send in [`CONTROL_TIME`]. Clients ping every few seconds at most, and each ping is answered.
const MAX_CONTROL: u32 = 100;
/// The time in which pings and pongs are counted.
const CONTROL_TIME: Duration = Duration::from_secs(10);
/// Length of the head of a short frame with its mask, in bytes (RFC 6455, section 5.2).
const FRAME_HEAD: usize = 6;

/// The code of a connection that has done what it was for (RFC 6455, section 7.4.1).
pub(crate) const NORMAL: u16 = 1000;
/// The longest reason in a close message, in bytes (RFC 6455, section 5.5: 125 with the code).
const MAX_REASON: usize = 123;

/// Codes with which a connection is closed (RFC 6455, section 7.4.1, and IANA's registry).
mod code {
    /// The client does what no client should.
    pub(super) const POLICY: u16 = 1008;
    /// A message is too long.
    pub(super) const TOO_BIG: u16 = 1009;
    /// There is no room now.
    pub(super) const TRY_AGAIN: u16 = 1013;
}

/// Bounds what the WebSocket itself keeps in memory, and the length of a message in bytes.
pub(crate) fn bounded(upgrade: WebSocketUpgrade, max_message: usize) -> WebSocketUpgrade {
    upgrade
        .max_message_size(max_message)
        .max_frame_size(max_message)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(BATCH)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
}

/// How far a connection has come towards its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    /// Messages go both ways.
    Open,
    /// The server's close message has been queued or sent. Nothing may follow it.
    ClosedByServer,
    /// The client has sent its close message.
    ClosedByClient,
    /// Both sides have said so, or one of them is gone.
    Over,
}

/// One WebSocket connection, with a bounded queue of what is to be sent.
pub(crate) struct Socket {
    ws: WebSocket,
    meter: Meter,
    /// Whether a message was handed on and is perhaps still in use.
    in_use: bool,
    control: ControlFrames,
    queue: VecDeque<Message>,
    /// Bytes of the messages in `queue`.
    queued: usize,
    max_queued: usize,
    /// When the client last read something, or when nothing waited for it.
    progress: Instant,
    /// When the client last sent something.
    silent_since: Option<Instant>,
    ping: Pin<Box<Sleep>>,
    /// Bytes handed to the WebSocket that are perhaps not written yet.
    unflushed: usize,
    ending: Ending,
    /// Why the connection was lost.
    failed: Option<Error>,
}

impl Socket {
    /// At most `max_queued` bytes may wait. A client that reads too slowly for that is dropped.
    pub(crate) fn new(ws: WebSocket, meter: Meter, max_queued: usize) -> Self {
        Self {
            ws,
            meter,
            in_use: false,
            control: ControlFrames { count: 0, since: Instant::now() },
            queue: VecDeque::new(),
            queued: 0,
            max_queued,
            progress: Instant::now(),
            silent_since: None,
            ping: Box::pin(tokio::time::sleep(PING_EVERY)),
            unflushed: 0,
            ending: Ending::Open,
            failed: None,
        }
    }

    /// Changes how many bytes may wait.
    pub(crate) fn allow_queued(&mut self, max_queued: usize) {
        self.max_queued = max_queued;
    }

    /// Queues a message, unless the connection is being closed.
    pub(crate) fn send(&mut self, message: Message) {
        if self.ending > Ending::Open {
            return;
        }
        if self.queue.is_empty() && self.unflushed == 0 {
            self.progress = Instant::now();
        }
        self.queued += length(&message);
        self.queue.push_back(message);
    }

    /// Queues the close message, with which the connection ends.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() })));
        self.ending = self.ending.max(Ending::ClosedByServer);
    }

    /// Removes the queued messages for which `stale` holds.
    pub(crate) fn retract(&mut self, stale: impl Fn(&Message) -> bool) {
        self.queue.retain(|message| !stale(message));
        self.queued = self.queue.iter().map(length).sum();
    }

    /// Whether the queue is empty enough to add more.
    pub(crate) fn has_room(&self) -> bool {
        self.queued < self.max_queued / 4
    }

    /// The next text, binary or close message; `None` when one of both sides has ended the connection. A connection that was lost
    /// or turned away is an error of [`Self::poll_flush`], so that nobody takes it for a client that hung up. Whoever asks has used
    /// the message before.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if std::mem::take(&mut self.in_use) {
            self.meter.used();
        }
        loop {
            if self.ending >= Ending::ClosedByClient {
                return Poll::Ready(None);
            }
            if self.failed.is_some() {
                return Poll::Pending;
            }
            let Poll::Ready(received) = Pin::new(&mut self.ws).poll_next(cx) else {
                if self.silent_since.get_or_insert_with(Instant::now).elapsed() > SILENT {
                    self.failed = Some(Error::unavailable("the client is silent: connection dropped"));
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            };
            self.silent_since = None;
            match received {
                Some(Ok(message @ (Message::Ping(_) | Message::Pong(_)))) => {
                    self.meter.discount(length(&message) + FRAME_HEAD);
                    if !self.control.another() {
                        self.turn_away(cx, code::POLICY, "too many pings: send one every few seconds");
                    }
                }
                Some(Ok(message)) => {
                    if matches!(message, Message::Close(_)) {
                        self.leave();
                    }
                    self.in_use = true;
                    return Poll::Ready(Some(message));
                }
                // This end has hung up before.
                Some(Err(_)) | None if self.ending > Ending::Open => {
                    self.ending = Ending::Over;
                    return Poll::Ready(None);
                }
                Some(Err(_)) if self.meter.refused() => {
                    let reason = "long messages hold all the memory there is for them: send shorter ones";
                    self.turn_away(cx, code::TRY_AGAIN, reason);
                }
                Some(Err(error)) if is_too_long(&error) => {
                    self.turn_away(cx, code::TOO_BIG, "the message is too long: send it in parts");
                }
                // After a broken frame nothing more can be read.
                Some(Err(error)) => self.failed = Some(lost(error)),
                None => self.failed = Some(Error::unavailable(UNANNOUNCED)),
            }
            // Whoever polls has to learn of it by flushing again.
            cx.waker().wake_by_ref();
        }
    }

    /// The next text, binary or close message, as [`Self::poll_recv`] has it, while nothing is to be written.
    pub(crate) async fn recv(&mut self) -> Result<Option<Message>> {
        poll_fn(|cx| match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => self.poll_recv(cx).map(Ok),
        })
        .await
    }

    /// Ends the connection, and says why if the client still reads. The call is lost for the same reason.
    fn turn_away(&mut self, cx: &mut Context<'_>, code: u16, reason: &'static str) {
        tracing::debug!(code, reason, "connection closed");
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        if Pin::new(&mut self.ws).start_send(close).is_ok() {
            // Nothing is left to do if it cannot be written.
            let _ = Pin::new(&mut self.ws).poll_flush(cx);
        }
        self.failed = Some(Error::unavailable(format!("the client was turned away: {reason}")));
    }

    /// The other side ends the connection: nothing of what is queued matters any more but the answer, which the WebSocket itself
    /// gives when it is polled next.
    fn leave(&mut self) {
        self.ending = self.ending.max(Ending::ClosedByClient);
        self.retract(|_| true);
        self.unflushed = 0;
    }

    /// Writes what is queued. Once the close message of either side is part of that, it is ready only when the other side has
    /// ended the connection as well: a connection that is dropped before may take the last messages with it.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if self.ending == Ending::Over {
            return Poll::Ready(Ok(()));
        }
        let error = match self.poll_write(cx) {
            Poll::Ready(Ok(())) if self.ending > Ending::Open => return self.poll_closed(cx).map(Ok),
            Poll::Ready(Err(error)) => error,
            written => return written,
        };
        // A client that closes and is gone cannot be written to any more, but it has said that it goes.
        if self.has_said_goodbye(cx) {
            return Poll::Ready(Ok(()));
        }
        self.failed = Some(error.clone());
        Poll::Ready(Err(error))
    }

    /// Whether the client's close message is among what it has sent. All else of that is dropped.
    fn has_said_goodbye(&mut self, cx: &mut Context<'_>) -> bool {
        while self.ending < Ending::ClosedByClient {
            match Pin::new(&mut self.ws).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    self.meter.used();
                    if matches!(message, Message::Close(_)) {
                        self.ending = Ending::ClosedByClient;
                    }
                }
                Poll::Ready(Some(Err(_)) | None) | Poll::Pending => return false,
            }
        }
        true
    }

    /// Waits until the connection is over. What comes meanwhile was said to a call that is over.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ending < Ending::Over {
            let received = std::task::ready!(Pin::new(&mut self.ws).poll_next(cx));
            self.meter.used();
            if !matches!(received, Some(Ok(_))) {
                self.ending = Ending::Over;
            }
        }
        Poll::Ready(())
    }

    /// Ends a connection on which no call began, with a reason for the other side unless it has ended it itself.
    pub(crate) async fn refuse(&mut self, reason: &Error) {
        let mut reason = reason.to_string();
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        self.close(code::POLICY, &reason);
        let closed = std::future::poll_fn(|cx| self.poll_flush(cx));
        // It is over whether or not the other side answers.
        let _ = tokio::time::timeout(CLOSED_WITHIN, closed).await;
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_ping(cx);
        let under_way = self.meter.long_since().filter(|_| !self.in_use);
        if under_way.is_some_and(|since| since.elapsed() > MESSAGE_TIME) {
            let message = format!("a message did not arrive within {} s", MESSAGE_TIME.as_secs());
            return Poll::Ready(Err(Error::unavailable(message)));
        }
        loop {
            if self.unflushed >= BATCH || (self.unflushed > 0 && self.queue.is_empty()) {
                match Pin::new(&mut self.ws).poll_flush(cx) {
                    Poll::Ready(flushed) => flushed.map_err(lost)?,
                    Poll::Pending => return self.wait(),
                }
                self.unflushed = 0;
                self.progress = Instant::now();
            }
            let Some(message) = self.queue.front() else { return Poll::Ready(Ok(())) };
            let length = length(message);
            let Poll::Ready(ready) = Pin::new(&mut self.ws).poll_ready(cx) else {
                return self.wait();
            };
            ready.map_err(lost)?;
            if let Some(message) = self.queue.pop_front() {
                self.queued -= length;
                Pin::new(&mut self.ws).start_send(message).map_err(lost)?;
                self.unflushed += length.max(1);
            }
        }
    }

    /// The client reads nothing more now. Limits how long that may last and how much may wait.
    fn wait(&self) -> Poll<Result<()>> {
        if self.queued > self.max_queued || self.progress.elapsed() > STALLED {
            return Poll::Ready(Err(Error::unavailable("the client reads too slowly: connection dropped")));
        }
        Poll::Pending
    }

    /// Pings the client even while it is being sent audio, since its answer shows that it is still there. The timer
    /// also wakes the task of a client that reads nothing.
    fn poll_ping(&mut self, cx: &mut Context<'_>) {
        while self.ping.as_mut().poll(cx).is_ready() {
            self.ping.as_mut().reset(Instant::now() + PING_EVERY);
            self.send(Message::Ping(bytes::Bytes::new()));
        }
    }
}

/// Counts the pings and pongs of a client.
struct ControlFrames {
    count: u32,
    since: Instant,
}

impl ControlFrames {
    /// Counts one more. Returns false if there are too many.
    fn another(&mut self) -> bool {
        if self.since.elapsed() > CONTROL_TIME {
            *self = Self { count: 0, since: Instant::now() };
        }
        self.count += 1;
        self.count <= MAX_CONTROL
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(WebSocketError::Capacity(_)))
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn lost(error: axum::Error) -> Error {
    Error::unavailable(format!("the connection is lost: {error}"))
}
