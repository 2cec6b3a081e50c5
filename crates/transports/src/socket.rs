//! A WebSocket polled by the call's own task, with a bounded queue of what goes out.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{Error, Result};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{Sink, Stream};
use tokio::time::{Instant, Sleep};

/// Proxies drop connections that are silent for 30 to 60 s.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that takes nothing for this long is gone, even if its connection is not.
const STALLED: Duration = Duration::from_secs(20);
/// A client that sends nothing for this long, not even the answer to three pings, is gone as well. The system notices
/// a client whose connection broke, but not one behind a proxy whose own connection goes on.
const SILENT: Duration = Duration::from_secs(70);
/// Small messages are written together up to so many bytes. More must not be handed to the WebSocket before that is
/// written: what it holds, it holds beside the queue's bound, and it cannot be taken back.
const BATCH: usize = 4 << 10;

/// One WebSocket connection.
pub(crate) struct Socket {
    ws: WebSocket,
    queue: VecDeque<Message>,
    /// Bytes in `queue`.
    queued: usize,
    max_queued: usize,
    /// When the client last took something, or nothing waited for it.
    progress: Instant,
    /// Since when nothing has come in.
    silent_since: Option<Instant>,
    ping: Pin<Box<Sleep>>,
    /// Bytes handed to the WebSocket that may not be written yet.
    unflushed: usize,
    /// The end of the connection is queued or sent: nothing may follow it.
    closing: bool,
    failed: bool,
}

impl Socket {
    /// `max_queued` bytes may wait; a client that reads more slowly is dropped.
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

    /// Lets so many bytes wait from now on.
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

    /// Queues the end of the connection.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() })));
        self.closing = true;
    }

    /// Forgets the queued messages for which `stale` holds.
    pub(crate) fn retract(&mut self, stale: impl Fn(&Message) -> bool) {
        self.queue.retain(|message| !stale(message));
        self.queued = self.queue.iter().map(length).sum();
    }

    /// Whether little enough waits to add more.
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
                // A broken frame leaves nothing to go on with.
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

    /// The client does not take more now: for how much longer, and how much, is bounded.
    fn wait(&self) -> Poll<Result<()>> {
        if self.queued > self.max_queued || self.progress.elapsed() > STALLED {
            return Poll::Ready(Err(Error::unavailable("the client reads too slowly: connection dropped")));
        }
        Poll::Pending
    }

    /// Pings a client even while it is sent audio: its answer tells that it is still there. The timer also wakes a
    /// connection whose client takes nothing.
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
