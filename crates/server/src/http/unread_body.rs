//! A request's body whose rest is read even though nobody wants it any more.
//!
//! Many clients send the whole body before they read the answer. If the server closes a connection on which bytes are still coming, the
//! system of such a client throws away the answer together with the connection (RFC 9112, section 9.6), so that it sees a broken
//! connection instead of the refusal and of the `Retry-After` in it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body::Frame;

/// For how long the rest is read. Clients that are farther away are told by a broken connection.
const LINGERS: Duration = Duration::from_secs(2);
/// How much of the rest is read: two minutes of uncompressed speech and some more.
const MOST: usize = 8 << 20;

/// A body of which what is left when it is dropped is read and thrown away.
pub(super) struct UnreadBody(Body);

impl UnreadBody {
    /// Wraps the body of a request with these headers. Who asks before sending the body (`Expect`) does not send it when refused.
    pub(super) fn of(headers: &HeaderMap, body: Body) -> Body {
        let is_sent = !body.is_end_stream() && !headers.contains_key(header::EXPECT);
        if is_sent { Body::new(Self(body)) } else { body }
    }
}

impl Drop for UnreadBody {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (false, Ok(runtime)) = (self.0.is_end_stream(), runtime) {
            runtime.spawn(tokio::time::timeout(LINGERS, throw_away(std::mem::take(&mut self.0))));
        }
    }
}

async fn throw_away(body: Body) {
    let mut pieces = body.into_data_stream();
    let mut left = MOST;
    while let Some(Ok(piece)) = pieces.next().await {
        let Some(rest) = left.checked_sub(piece.len()) else { return };
        left = rest;
    }
}

impl HttpBody for UnreadBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;
    use tokio::time::sleep;

    use super::*;

    /// A body of endless pieces, and how many of its bytes were read.
    fn endless(piece: usize, every: Duration) -> (Body, Arc<AtomicUsize>) {
        let read = Arc::<AtomicUsize>::default();
        let counted = read.clone();
        let pieces = stream::repeat(Bytes::from(vec![0; piece])).then(move |piece| {
            counted.fetch_add(piece.len(), Ordering::Relaxed);
            async move {
                sleep(every).await;
                Ok::<_, axum::Error>(piece)
            }
        });
        (Body::from_stream(pieces), read)
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_is_read_for_a_while_and_not_without_end() {
        let (body, read) = endless(1 << 20, Duration::ZERO);
        drop(UnreadBody::of(&HeaderMap::new(), body));
        sleep(Duration::from_millis(10)).await;
        assert_eq!(read.load(Ordering::Relaxed), MOST + (1 << 20), "as much as may be");

        let (body, read) = endless(1, Duration::from_millis(100));
        drop(UnreadBody::of(&HeaderMap::new(), body));
        sleep(Duration::from_mins(1)).await;
        let most = (LINGERS.as_millis() / 100) as usize;
        assert!(read.load(Ordering::Relaxed).abs_diff(most) <= 1, "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_before_sending_is_not_waited_for() {
        let (body, read) = endless(1, Duration::ZERO);
        let expects = HeaderMap::from_iter([(header::EXPECT, "100-continue".parse().expect("a value"))]);
        drop(UnreadBody::of(&expects, body));
        sleep(Duration::from_mins(1)).await;
        assert_eq!(read.load(Ordering::Relaxed), 0);
    }
}
