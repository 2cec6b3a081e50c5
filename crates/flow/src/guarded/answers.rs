//! Answers that come in pieces.

use std::sync::Arc;

use antiphon_core::{BoxStream, Priority, Result, Share};
use futures_util::{StreamExt, stream};
use tokio::time::timeout_at;

use super::request::Request;
use crate::target::Target;

/// What the pieces of an answer are and how to judge them.
pub(super) struct AnswerKind<T: 'static> {
    /// What a piece is called in errors: "token".
    pub(super) piece: &'static str,
    /// Whether a piece carries anything.
    pub(super) is_useful: fn(&T) -> bool,
    /// Whether a piece is the last one, so that nobody has to wait for the end of the stream.
    pub(super) is_last: fn(&T) -> bool,
}

/// Calls `ask` once the request is let through, and passes the answer on as long as it comes in time.
pub(super) fn watch<T: Send + 'static>(
    target: Arc<Target>,
    (priority, share): (Priority, Share),
    ask: impl FnOnce() -> BoxStream<'static, Result<T>> + Send + 'static,
    kind: &'static AnswerKind<T>,
) -> BoxStream<'static, Result<T>> {
    stream::unfold(Step::Ask { target, priority, share, ask, kind }, advance).boxed()
}

enum Step<A, T: 'static> {
    Ask { target: Arc<Target>, priority: Priority, share: Share, ask: A, kind: &'static AnswerKind<T> },
    Answer(Answer<T>),
    Over,
}

async fn advance<A, T>(step: Step<A, T>) -> Option<(Result<T>, Step<A, T>)>
where
    A: FnOnce() -> BoxStream<'static, Result<T>>,
{
    let mut answer = match step {
        Step::Ask { target, priority, share, ask, kind } => {
            match Request::admit(target, priority, share).await {
                Ok(request) => Answer { request, pieces: ask(), kind },
                Err(error) => return Some((Err(error), Step::Over)),
            }
        }
        Step::Answer(answer) => answer,
        Step::Over => return None,
    };
    let piece = answer.next().await;
    match &piece {
        Some(Ok(last)) if (answer.kind.is_last)(last) => answer.request.ended(),
        Some(Ok(_)) => return piece.map(|piece| (piece, Step::Answer(answer))),
        Some(Err(error)) => answer.request.failed(error),
        None => answer.request.ended(),
    }
    piece.map(|piece| (piece, Step::Over))
}

struct Answer<T: 'static> {
    request: Request,
    pieces: BoxStream<'static, Result<T>>,
    kind: &'static AnswerKind<T>,
}

impl<T> Answer<T> {
    /// The next useful piece. Time counts only while somebody waits for it, so that a slow reader does not make
    /// the engine look slow.
    async fn next(&mut self) -> Option<Result<T>> {
        let by = self.request.next_by();
        loop {
            match timeout_at(by, self.pieces.next()).await {
                Ok(Some(Ok(piece))) if (self.kind.is_last)(&piece) => return Some(Ok(piece)),
                Ok(Some(Ok(piece))) if (self.kind.is_useful)(&piece) => {
                    self.request.answered();
                    return Some(Ok(piece));
                }
                Ok(Some(Ok(_))) => {}
                Ok(end) => return end,
                Err(_) => return Some(Err(self.request.late(self.kind.piece))),
            }
        }
    }
}
