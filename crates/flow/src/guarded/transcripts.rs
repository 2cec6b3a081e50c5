//! The transcripts of an utterance, each of which answers a flush.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use antiphon_core::{BoxStream, Error, ErrorKind, Priority, Result, Share, SttInput, Transcript, lock};
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::breaker::Ticket;
use crate::scheduler::Permit;
use crate::target::Target;

/// Calls `ask` with the audio if the engine works, and passes its transcripts on as long as flushes are answered in time.
pub(super) fn watch(
    target: Arc<Target>,
    (priority, share): (Priority, Share),
    audio: BoxStream<'static, SttInput>,
    ask: impl FnOnce(BoxStream<'static, SttInput>) -> BoxStream<'static, Result<Transcript>>,
) -> BoxStream<'static, Result<Transcript>> {
    let ticket = match target.breaker().allow(Instant::now()) {
        Ok(ticket) => Some(ticket),
        Err(error) => return stream::once(async move { Err(error) }).boxed(),
    };
    let flushes = Arc::new(Flushes { target, priority, share, open: Mutex::default(), more: Notify::new() });
    let transcripts = ask(listen(audio, flushes.clone()));
    stream::unfold(Some(Watched { transcripts, flushes, ticket }), async |watched| {
        let mut watched = watched?;
        if let Some(transcript) = watched.next().await {
            return transcript.map(|transcript| (transcript, Some(watched)));
        }
        let late = watched.flushes.late();
        watched.failed(&late);
        Some((Err(late), None))
    })
    .boxed()
}

/// Passes audio on to the engine and counts its flushes, and its end if audio came after the last flush.
fn listen(mut audio: BoxStream<'static, SttInput>, flushes: Arc<Flushes>) -> BoxStream<'static, SttInput> {
    let mut unflushed = false;
    stream::poll_fn(move |cx| {
        let input = audio.poll_next_unpin(cx);
        match &input {
            Poll::Ready(Some(SttInput::Audio(_))) => unflushed = true,
            Poll::Ready(None) if !unflushed => {}
            Poll::Ready(Some(SttInput::Flush) | None) => {
                unflushed = false;
                flushes.push();
            }
            Poll::Pending => {}
        }
        input
    })
    .boxed()
}

/// The flushes of one utterance that are not answered yet, oldest first.
struct Flushes {
    target: Arc<Target>,
    priority: Priority,
    share: Share,
    open: Mutex<VecDeque<Permit>>,
    more: Notify,
}

impl Flushes {
    fn push(&self) {
        let permit = self.target.scheduler().count(self.priority, self.share.clone());
        lock(&self.open).push_back(permit);
        self.more.notify_one();
    }

    fn pop(&self) -> Option<Permit> {
        lock(&self.open).pop_front()
    }

    /// Ready when the oldest flush was not answered in time.
    async fn late_one(&self) {
        loop {
            let oldest = lock(&self.open).front().map(Permit::began);
            match oldest {
                Some(began) => return sleep_until(began + self.target.bounds().first).await,
                None => self.more.notified().await,
            }
        }
    }

    fn late(&self) -> Error {
        let (target, first) = (self.target.name(), self.target.bounds().first.as_secs_f64());
        Error::new(ErrorKind::Timeout, format!("{target} gave no transcript within {first} s of the pause"))
    }
}

struct Watched {
    transcripts: BoxStream<'static, Result<Transcript>>,
    flushes: Arc<Flushes>,
    ticket: Option<Ticket>,
}

impl Watched {
    /// The next transcript or the end of the stream; `None` when it is late.
    async fn next(&mut self) -> Option<Option<Result<Transcript>>> {
        let transcript = tokio::select! {
            biased;
            transcript = self.transcripts.next() => transcript,
            () = self.flushes.late_one() => return None,
        };
        match &transcript {
            Some(Ok(transcript)) if transcript.flushed => self.answered(),
            Some(Err(error)) => self.failed(error),
            Some(Ok(_)) | None => {}
        }
        Some(transcript)
    }

    fn answered(&mut self) {
        let now = Instant::now();
        if let Some(permit) = self.flushes.pop() {
            permit.answered(now);
        }
        if let Some(ticket) = self.ticket.take() {
            ticket.ok(now);
        }
    }

    fn failed(&mut self, error: &Error) {
        let now = Instant::now();
        if let Some(permit) = self.flushes.pop() {
            permit.failed(error, now);
        }
        if let Some(ticket) = self.ticket.take() {
            ticket.failed(error, now);
        }
    }
}
