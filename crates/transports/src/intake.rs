//! Bounds what clients have the server hold while their messages arrive and wait to be used.
//!
//! A WebSocket message is held from its first byte to its last, and one of Realtime may be 20 MiB long. So each connection counts
//! what it has received of the message under way. The first bytes of a message are free, which is all that live audio ever
//! needs; beyond them a message takes its part of a quota that all connections share.

mod fragments;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use antiphon_core::{Share, lock};
use antiphon_desk::{Part, Quota};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use fragments::Fragments;

/// Bytes of a message that are free: two seconds of Realtime audio, of which clients send a tenth in one message.
const FREE: usize = 128 << 10;
/// The quota is asked for this much at a time, so that a long message asks hundreds of times and not for each packet.
const STEP: usize = 64 << 10;
/// Most bytes beyond the free ones that all messages hold together: four of the longest ones at a time. A message that is put
/// together may take up to twice its length, so this costs up to 192 MiB.
const IN_ALL: usize = 96 << 20;
/// Most of them that the clients with one key or address hold, so that they cannot use up what there is for all others.
const EACH: usize = IN_ALL / 2;

/// Size of the buffer through which a WebSocket's bytes pass.
const BUFFER: usize = 16 << 10;

/// What all messages under way may hold, and what those of one share may.
pub(crate) fn quota() -> Arc<Quota<Share>> {
    Arc::new(Quota::new(IN_ALL, EACH))
}

/// Counts what one connection has received of the message under way. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    bytes: usize,
    /// When it came to be more than the free bytes.
    long_since: Option<Instant>,
    /// `None` until the connection is a WebSocket: requests are bounded by other means.
    part: Option<Part<Share>>,
    refused: bool,
}

impl Meter {
    /// From now on what is received takes from `quota`, on the account of `share`.
    pub(crate) fn arm(&self, quota: &Arc<Quota<Share>>, share: Option<Share>) {
        lock(&self.0).part = Some(quota.part(share));
    }

    /// The message is no longer held.
    pub(crate) fn used(&self) {
        let mut received = lock(&self.0);
        received.bytes = 0;
        received.long_since = None;
        if let Some(part) = &mut received.part {
            part.clear();
        }
    }

    /// Since when the message has been longer than what is free.
    pub(crate) fn long_since(&self) -> Option<Instant> {
        lock(&self.0).long_since
    }

    /// These bytes were no part of a message.
    pub(crate) fn discount(&self, bytes: usize) {
        let mut received = lock(&self.0);
        received.bytes = received.bytes.saturating_sub(bytes);
    }

    fn is_armed(&self) -> bool {
        lock(&self.0).part.is_some()
    }

    /// Whether there was no room for the message.
    pub(crate) fn refused(&self) -> bool {
        lock(&self.0).refused
    }

    fn count(&self, bytes: usize) -> io::Result<()> {
        let mut received = lock(&self.0);
        received.bytes = received.bytes.saturating_add(bytes);
        let beyond = received.bytes.saturating_sub(FREE);
        let Some(part) = &mut received.part else { return Ok(()) };
        let Some(missing) = beyond.checked_sub(part.amount()).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        if part.grow(missing.next_multiple_of(STEP)).is_err() {
            received.refused = true;
            return Err(io::Error::other("the messages under way hold all the bytes that they may"));
        }
        received.long_since.get_or_insert_with(Instant::now);
        Ok(())
    }
}

/// A connection whose received bytes are counted, and whose long frames are cut once it is a WebSocket.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    meter: Meter,
    fragments: Fragments,
    /// What has arrived and was not read yet.
    out: Vec<u8>,
    /// How much of `out` has been read.
    read: usize,
}

impl<S> Metered<S> {
    /// Counts on `meter` what comes from `stream`.
    pub fn new(stream: S, meter: Meter) -> Self {
        Self { stream, meter, fragments: Fragments::default(), out: Vec::new(), read: 0 }
    }

    /// Moves what has arrived to `buffer`. Returns false if there is nothing.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = &self.out[self.read..];
        let piece = &rest[..rest.len().min(buffer.remaining())];
        buffer.put_slice(piece);
        self.read += piece.len();
        let any = !piece.is_empty();
        if self.read == self.out.len() {
            self.read = 0;
            self.out.clear();
        }
        any
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.meter.is_armed() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let mut bytes = [MaybeUninit::uninit(); BUFFER];
        loop {
            if buffer.remaining() == 0 || this.hand_on(buffer) {
                return Poll::Ready(Ok(()));
            }
            let mut arrived = ReadBuf::uninit(&mut bytes);
            std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut arrived))?;
            if arrived.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.meter.count(arrived.filled().len())?;
            this.fragments.cut(arrived.filled(), &mut this.out);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection with its own count on this quota.
    fn armed(quota: &Arc<Quota<Share>>) -> Meter {
        let meter = Meter::default();
        meter.arm(quota, Some(Share::Key("key-1".into())));
        meter
    }

    #[tokio::test(start_paused = true)]
    async fn messages_under_way_hold_what_they_may_and_those_that_are_used_nothing() {
        let quota = Arc::new(Quota::new(4 * STEP, 2 * STEP));
        let meters: Vec<Meter> = (0..100).map(|_| armed(&quota)).collect();
        for meter in &meters {
            meter.count(FREE).expect("the beginning of a message is free");
            assert_eq!(meter.long_since(), None);
        }
        meters[0].count(2 * STEP).expect("the part of one key");
        meters[1].count(1).expect_err("more than the part of one key");
        assert!(meters[1].refused() && !meters[0].refused());
        assert!(meters[0].long_since().is_some());
        meters[0].used();
        assert_eq!(meters[0].long_since(), None);
        meters[2].count(1).expect("there is room again");
    }

    #[test]
    fn a_connection_that_has_gone_holds_nothing() {
        let quota = Arc::new(Quota::new(STEP, STEP));
        let meter = armed(&quota);
        meter.count(FREE + STEP).expect("room");
        drop(meter);
        armed(&quota).count(FREE + STEP).expect("room again");
    }

    #[test]
    fn a_request_is_not_counted() {
        let meter = Meter::default();
        meter.count(usize::MAX).expect("bounded by other means");
    }
}
