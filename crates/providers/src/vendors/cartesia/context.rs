//! Passes the audio of a clause from the connection, which never waits, to its call, which may be slow.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use antiphon_core::{AudioChunk, Error, Result, SampleRate, Stream, lock};
use futures_util::stream;

/// Seconds of audio that may wait for a call. The whole clause may wait, because it is made faster than it is played,
/// and no clause is longer than this.
const MOST_WAITING_S: usize = 120;

struct Shared {
    /// Samples that the call has not taken yet.
    waiting: Vec<i16>,
    /// How the clause ended; `None` while more audio may come.
    end: Option<Result<()>>,
    /// Whether the call's end was dropped.
    unwanted: bool,
    waker: Option<Waker>,
}

/// The connection's end. When it is dropped before the clause has ended, the clause fails.
pub(super) struct Sink {
    shared: Arc<Mutex<Shared>>,
    /// The most samples that may wait.
    most: usize,
    /// The error of the clause when the sink is dropped.
    lost: Error,
}

/// The call's end. When it is dropped before the clause has ended, the clause is cancelled.
struct Listener<C: FnOnce()> {
    shared: Arc<Mutex<Shared>>,
    cancel: Option<C>,
}

/// Both ends of one clause. `lost` is the error that the call gets when the sink is dropped before the clause has
/// ended; `cancel` is called when the call drops its end before that.
pub(super) fn open<C: FnOnce() + Send>(
    rate: SampleRate,
    lost: Error,
    cancel: C,
) -> (Sink, impl Stream<Item = Result<AudioChunk>> + Send + use<C>) {
    let shared = Shared { waiting: Vec::new(), end: None, unwanted: false, waker: None };
    let shared = Arc::new(Mutex::new(shared));
    let listener = Listener { shared: shared.clone(), cancel: Some(cancel) };
    let mut ended = false;
    let audio = stream::poll_fn(move |cx| {
        let mut shared = lock(&listener.shared);
        if !shared.waiting.is_empty() {
            let samples = std::mem::take(&mut shared.waiting);
            return Poll::Ready(Some(Ok(AudioChunk::new(rate, samples))));
        }
        match &shared.end {
            Some(Err(error)) if !std::mem::replace(&mut ended, true) => Poll::Ready(Some(Err(error.clone()))),
            Some(_) => Poll::Ready(None),
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    });
    (Sink { shared, most: MOST_WAITING_S * rate.hz() as usize, lost }, audio)
}

impl Sink {
    /// Adds samples; an error when the call does not take them.
    pub(super) fn push(&self, samples: &[i16]) -> Result<()> {
        let mut shared = lock(&self.shared);
        if shared.unwanted {
            return Err(Error::internal("nobody listens any more"));
        }
        if shared.waiting.len() + samples.len() > self.most {
            return Err(Error::internal(format!(
                "a call does not take its speech: {MOST_WAITING_S} s of it wait already"
            )));
        }
        shared.waiting.extend_from_slice(samples);
        let waker = shared.waker.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Ends the clause: it is complete, or has failed.
    pub(super) fn end(&self, result: Result<()>) {
        let mut shared = lock(&self.shared);
        shared.end.get_or_insert(result);
        let waker = shared.waker.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether the call's end was dropped.
    pub(super) fn is_unwanted(&self) -> bool {
        lock(&self.shared).unwanted
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end(Err(self.lost.clone()));
    }
}

impl<C: FnOnce()> Drop for Listener<C> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.unwanted = true;
        shared.waiting = Vec::new();
        let ended = shared.end.is_some();
        drop(shared);
        if !ended && let Some(cancel) = self.cancel.take() {
            cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_slow_call_gets_what_waited_in_one_piece_and_no_more_than_the_bound() {
        let (cancelled, mut given) = mpsc::channel(2);
        let cancel = |id: &'static str| {
            let cancelled = cancelled.clone();
            move || cancelled.try_send(id).expect("room")
        };
        let rate = SampleRate::HZ_8000;
        let (sink, mut audio) = open(rate, Error::unavailable("lost"), cancel("c"));
        let second = vec![7; 8_000];
        for _ in 0..MOST_WAITING_S {
            sink.push(&second).expect("room");
        }
        assert!(sink.push(&[7]).expect_err("full").to_string().contains("120 s"));
        let whole = audio.next().await.expect("audio").expect("no error");
        assert_eq!(whole.duration().as_secs(), MOST_WAITING_S as u64);
        sink.push(&[7]).expect("room again");
        drop(sink);
        assert_eq!(audio.next().await.expect("audio").expect("no error").samples.len(), 1);
        assert_eq!(audio.next().await.expect("an end").expect_err("lost").to_string(), "lost");
        assert!(audio.next().await.is_none());
        drop(audio);
        assert!(given.try_recv().is_err(), "what has ended is not cancelled");
        let (sink, audio) = open(rate, Error::unavailable("lost"), cancel("d"));
        drop(audio);
        assert!(matches!(given.try_recv(), Ok("d")));
        assert!(sink.push(&[7]).is_err());
    }
}
