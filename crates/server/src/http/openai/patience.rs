//! Bounds for every wait for an engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_core::{BoxStream, Error, ErrorKind, Result};
use futures_util::stream::unfold;
use futures_util::{FutureExt, StreamExt};

/// Longest time without any progress of an engine. A prompt of 2,000 tokens takes the embedded model 8 s on two
/// cores; the rest is for requests that wait before it.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The same answers, but a pause longer than [`PATIENCE`] ends them with a timeout. While `progress` changes, the
/// engine counts as working.
pub(super) fn bounded<T: Send + 'static>(
    answers: BoxStream<'static, Result<T>>,
    engine: &'static str,
    progress: Arc<AtomicU64>,
) -> BoxStream<'static, Result<T>> {
    let next = move |answers: Option<BoxStream<'static, Result<T>>>| {
        let progress = Arc::clone(&progress);
        async move {
            let mut answers = answers?;
            loop {
                let before = progress.load(Ordering::Relaxed);
                match tokio::time::timeout(PATIENCE, answers.next()).await {
                    Ok(Some(answer)) => return Some((answer, Some(answers))),
                    Ok(None) => return None,
                    Err(_) if progress.load(Ordering::Relaxed) != before => {}
                    Err(_) => return Some((Err(silent(engine)), None)),
                }
            }
        }
        .boxed()
    };
    unfold(Some(answers), next).boxed()
}

/// Waits for a single answer of an engine, for at most [`PATIENCE`].
pub(super) async fn answer<T>(engine: &'static str, answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(silent(engine)))
}

fn silent(engine: &'static str) -> Error {
    let seconds = PATIENCE.as_secs();
    Error::new(
        ErrorKind::Timeout,
        format!("the engine {engine} was silent for {seconds} s; it is overloaded or down"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[tokio::test(start_paused = true)]
    async fn a_silent_engine_is_given_up() {
        let answers = stream::iter([Ok(1)]).chain(stream::pending()).boxed();
        let got: Vec<_> = bounded(answers, "mute", Arc::default()).collect().await;
        assert_eq!(got[0], Ok(1));
        assert_eq!(got[1].as_ref().unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(got.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_at_work_is_waited_for() {
        let progress = Arc::new(AtomicU64::new(0));
        let working = Arc::clone(&progress);
        let answers = stream::once(async move {
            for _ in 0..10 {
                tokio::time::sleep(PATIENCE / 2).await;
                working.fetch_add(1, Ordering::Relaxed);
            }
            Ok(1)
        });
        let got: Vec<_> = bounded(answers.boxed(), "busy", progress).collect().await;
        assert_eq!(got, [Ok(1)]);
    }
}
