//! What is done after a turn, beside the call: it delays no reply, and is given a moment when the call ends.

use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::BoxFuture;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// A memory store that is so far behind is stuck: what more comes is not remembered.
const MAX_WAITING: usize = 16;
/// A call that is over waits no longer for what is still to be done.
const MOMENT: Duration = Duration::from_secs(2);

/// Work under way.
#[derive(Default)]
pub(super) struct BackgroundWork(FuturesUnordered<BoxFuture<'static, ()>>);

impl BackgroundWork {
    /// Takes on more; `what` is for the log if there is no room.
    pub(super) fn push(&mut self, what: &'static str, work: BoxFuture<'static, ()>) {
        if self.0.len() < MAX_WAITING {
            self.0.push(work);
        } else {
            tracing::warn!(what, "left undone: {MAX_WAITING} of the turns before are still being seen to");
        }
    }

    /// Goes on with it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        // Mostly there is none, and this is asked with every packet.
        while !self.0.is_empty() && self.0.poll_next_unpin(cx) == Poll::Ready(Some(())) {}
    }

    /// Whether all of it is done.
    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// Brings it to an end, within bounds.
    pub(super) async fn finish(&mut self) {
        let all = async { while self.0.next().await.is_some() {} };
        if tokio::time::timeout(MOMENT, all).await.is_err() {
            tracing::warn!(left = self.0.len(), "the call is over before all that was said is remembered");
        }
    }
}
