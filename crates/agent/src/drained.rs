//! A reply made before anybody asks: it goes nowhere, what is below the engines keeps it.

use std::time::Duration;

use antiphon_core::Result;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::reply::{Reply, ReplyPart, ReplyTimes, STALLED, stalled};

/// All of a reply.
#[derive(Default)]
pub(crate) struct DrainedStream {
    pub(crate) text: String,
    pub(crate) clauses: usize,
    pub(crate) audio: Duration,
    pub(crate) times: ReplyTimes,
}

/// Makes all of a reply.
///
/// # Errors
/// The engines', and `Timeout` when nothing new comes for [`STALLED`].
pub(crate) async fn drain(mut reply: Reply) -> Result<DrainedStream> {
    let mut drained = DrainedStream::default();
    loop {
        // An engine that always has more to say does not keep the thread.
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
