//! A WebSocket that is polled by the call's own task, with a bounded queue of outgoing messages.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{Error, Result};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{Sink, Stream};
use tokio::time::{Instant, Sleep};

/// Time between pings. They keep the connection open at proxies, which drop those that are silent for 30 to 60 s.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that has read nothing for this long is considered gone, even if its connection is still open.
const STALLED: Duration = Duration::from_secs(20);
/// A client that has sent nothing for this long, not even the answer to three pings, is considered gone as well. The
/// operating system notices when a client's connection breaks, but not when only the part behind a proxy does.
const SILENT: Duration = Duration::from_secs(70);
/// Small messages are written together, up to this many bytes. No more is handed to the WebSocket before that is
/// written, because its own buffer is not part of the bounded queue and cannot be taken back.
const BATCH: usize = 4 << 10;
/// What is said of a connection that ends without a word.
const UNANNOUNCED: &str = "the connection ended without a close message";

/// One WebSocket connection, with a bounded queue of what is to be sent.
pub(crate) struct Socket {
    ws: WebSocket,
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
    /// Whether the close message has been queued or sent. Nothing may follow it.
    closing: bool,
    /// Whether the client has sent its close message.
    is_closed: bool,
    /// Why the connection was lost.
    failed: Option<Error>,
}

impl Socket {
    /// At most `max_queued` bytes may wait. A client that reads too slowly for that is dropped.
    pub(crate) fn new(ws: WebSocket, max_queued: usize) -> Self {
        Self {
            ws,
            queue: VecDeque::new(),
            queued: 0,
            max_queued,
            progress: Instant::now(),
            silent_since: None,
            ping: Box::pin(tokio::time::sleep(PING_EVERY)),
            unflushed: 0,
            closing: false,
            is_closed: false,
            failed: None,
        }
    }

    /// Changes how many bytes may wait.
    pub(crate) fn allow_queued(&mut self, max_queued: usize) {
        self.max_queued = max_queued;
    }

    /// Queues a message, unless the connection is being closed.
    pub(crate) fn send(&mut self, message: Message) {
        if self.closing {
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
        self.closing = true;
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
    /// is an error of [`Self::poll_flush`], so that nobody takes it for a client that hung up.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            if self.is_closed {
                return Poll::Ready(None);
            }
            if self.failed.is_some() {
                return Poll::Pending;
            }
            let Poll::Ready(received) = Pin::new(&mut self.ws).poll_next(cx) else {
                self.silent_since.get_or_insert_with(Instant::now);
                return Poll::Pending;
            };
            self.silent_since = None;
            match received {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => {
                    self.is_closed = matches!(message, Message::Close(_));
                    return Poll::Ready(Some(message));
                }
                // This end has hung up before.
                Some(Err(_)) | None if self.closing => return Poll::Ready(None),
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

    /// Writes what is queued.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        let written = self.poll_write(cx);
        let Poll::Ready(Err(error)) = written else { return written };
        // A client that closes and is gone cannot be written to any more, but it has said that it goes.
        if self.has_said_goodbye(cx) {
            return Poll::Ready(Ok(()));
        }
        self.failed = Some(error.clone());
        Poll::Ready(Err(error))
    }

    /// Whether the client's close message is among what it has sent. All else of that is dropped.
    fn has_said_goodbye(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.is_closed {
            match Pin::new(&mut self.ws).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => self.is_closed = matches!(message, Message::Close(_)),
                Poll::Ready(Some(Err(_)) | None) | Poll::Pending => return false,
            }
        }
        true
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_ping(cx);
        if self.silent_since.is_some_and(|since| since.elapsed() > SILENT) {
            return Poll::Ready(Err(Error::unavailable("the client is silent: connection dropped")));
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
