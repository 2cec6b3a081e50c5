//! A request's body that must arrive steadily. Whoever sends a byte every few seconds would otherwise hold a place for as long as the
//! whole body may take.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep};

/// Longest pause between two pieces of a body. A phone that changes cells is back sooner.
const PAUSE: Duration = Duration::from_secs(30);
/// How long the server waits for a body before its rate matters.
const GRACE: Duration = Duration::from_secs(30);
/// The lowest rate in bytes per second, as in Apache's default `RequestReadTimeout body=20,MinRate=500`, rounded up.
const RATE: u64 = 512;
/// What the client is told.
pub(super) const TOO_SLOW: &str =
    "the body comes too slowly: send at least 512 bytes a second, and pause for no longer than 30 s";

/// A body, and how long the server has waited for it.
pub(super) struct SteadyBody {
    body: Body,
    received: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    slow: Slow,
}

/// Whether a body came too slowly.
#[derive(Clone, Default)]
pub(super) struct Slow(Arc<AtomicBool>);

impl Slow {
    /// Whether the body was given up.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl SteadyBody {
    /// Tells `slow` if `body` comes too slowly.
    pub(super) fn new(body: Body, slow: Slow) -> Self {
        let timer = Box::pin(tokio::time::sleep(PAUSE));
        Self { body, received: 0, waited: Duration::ZERO, waiting_since: None, timer, slow }
    }

    /// Only the time in which the server waits for the client counts, not that in which it works.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let by_rate = (GRACE + Duration::from_secs(self.received / RATE)).saturating_sub(self.waited);
        self.timer.as_mut().reset(since + by_rate.min(PAUSE));
        std::task::ready!(self.timer.as_mut().poll(cx));
        self.slow.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(axum::Error::new(std::io::Error::new(std::io::ErrorKind::TimedOut, TOO_SLOW)))))
    }
}

impl HttpBody for SteadyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else { return self.wait(cx) };
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &frame {
            self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// Sends this many pieces, one every so often. Returns whether all of them were received.
    async fn is_received(pieces: usize, bytes: usize, every: Duration) -> bool {
        let pieces = stream::unfold(0, move |sent| async move {
            tokio::time::sleep(every).await;
            (sent < pieces).then(|| (Ok::<_, axum::Error>(Bytes::from(vec![0; bytes])), sent + 1))
        });
        let slow = Slow::default();
        let body = Body::new(SteadyBody::new(Body::from_stream(pieces), slow.clone()));
        let received = axum::body::to_bytes(body, usize::MAX).await.is_ok();
        assert_eq!(slow.is_set(), !received);
        received
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_ended_and_a_slow_connection_is_not() {
        let second = Duration::from_secs(1);
        assert!(is_received(600, 600, second).await, "a slow connection");
        assert!(!is_received(600, 1, second).await, "a trickle");
        assert!(is_received(5, 1, second).await, "a short body");
        assert!(is_received(10, 100_000, 25 * second).await, "one that stumbles");
        assert!(!is_received(10, 100_000, 35 * second).await, "one that pauses for too long");
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_own_slowness_is_not_the_clients() {
        let pieces = stream::iter((0..3).map(|_| Ok::<_, axum::Error>(Bytes::from_static(b"x"))));
        let mut body = SteadyBody::new(Body::from_stream(pieces), Slow::default());
        for _ in 0..3 {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            assert!(frame.is_some_and(|frame| frame.is_ok()));
            tokio::time::sleep(10 * PAUSE).await;
        }
    }
}
