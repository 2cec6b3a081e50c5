//! Work after a turn, beside the call. It delays no reply, and gets a moment to finish when the call ends.

use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::BoxFuture;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// Most work that may wait. A memory store that is so far behind is stuck, and no more is sent to it.
const MAX_WAITING: usize = 16;
/// How long a call that is over waits for unfinished work.
const MOMENT: Duration = Duration::from_secs(2);

/// The unfinished background work of one call.
#[derive(Default)]
pub(super) struct BackgroundWork(FuturesUnordered<BoxFuture<'static, ()>>);

impl BackgroundWork {
    /// Adds work, unless there is too much already; `what` names it in the log for that case.
    pub(super) fn push(&mut self, what: &'static str, work: BoxFuture<'static, ()>) {
        if self.0.len() < MAX_WAITING {
            self.0.push(work);
        } else {
            tracing::warn!(what, "dropped: {MAX_WAITING} earlier pieces of background work are unfinished");
        }
    }

    /// Lets the work make progress.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        // Usually there is none, and this runs with every packet, so the check comes first.
        while !self.0.is_empty() && self.0.poll_next_unpin(cx) == Poll::Ready(Some(())) {}
    }

    /// Whether all of it is done.
    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits for the work to finish, up to a bound.
    pub(super) async fn finish(&mut self) {
        let all = async { while self.0.next().await.is_some() {} };
        if tokio::time::timeout(MOMENT, all).await.is_err() {
            tracing::warn!(left = self.0.len(), "the call has ended before its background work");
        }
    }
}
