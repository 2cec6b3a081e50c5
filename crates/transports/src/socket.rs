//! A WebSocket that is polled by the call's own task, with a bounded queue of outgoing messages.

use std::collections::VecDeque;
use std::future::Future;
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
    failed: bool,
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
            failed: false,
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

    /// The next text, binary or close message; `None` when the connection is over.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            let Poll::Ready(received) = Pin::new(&mut self.ws).poll_next(cx) else {
                self.silent_since.get_or_insert_with(Instant::now);
                return Poll::Pending;
            };
            self.silent_since = None;
            match received {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Poll::Ready(Some(message)),
                // After a broken frame nothing more can be read.
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
    }

    /// Writes what is queued.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.failed {
            return Poll::Ready(Err(Error::unavailable("the connection is lost")));
        }
        let written = self.poll_write(cx);
        if let Poll::Ready(Err(_)) = written {
            self.failed = true;
        }
        written
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
