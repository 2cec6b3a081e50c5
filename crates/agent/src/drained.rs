//! Reads a reply to its end without playing it, so that the caches below the engines keep it.

use std::time::Duration;

use antiphon_core::Result;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::reply::{Reply, ReplyPart, ReplyTimes, STALLED, stalled};

/// The result of a whole reply.
#[derive(Default)]
pub(crate) struct DrainedStream {
    pub(crate) text: String,
    pub(crate) clauses: usize,
    pub(crate) audio: Duration,
    pub(crate) times: ReplyTimes,
}

/// Reads a whole reply.
///
/// # Errors
/// Errors of the engines, and `Timeout` when nothing new comes for [`STALLED`].
pub(crate) async fn drain(mut reply: Reply) -> Result<DrainedStream> {
    let mut drained = DrainedStream::default();
    loop {
        // An engine that always has more to say must not occupy the thread for ever.
        tokio::task::coop::consume_budget().await;
        let Some(part) = timeout(STALLED, reply.next()).await.map_err(|_| stalled())? else { break };
        match part? {
            ReplyPart::Text(text) => drained.text.push_str(&text),
            ReplyPart::Clause(_) => drained.clauses += 1,
            ReplyPart::Audio(chunk) => drained.audio += chunk.duration(),
            ReplyPart::ToolCall { .. } | ReplyPart::Written | ReplyPart::Done { .. } => {}
        }
    }
    drained.times = reply.times();
    Ok(drained)
}
