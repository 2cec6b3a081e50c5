//! A bounded channel for voice probabilities from a detector to its call. The detector never waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use antiphon_core::{BoxStream, VoiceProbability, lock};
use futures_util::{StreamExt, stream};

/// Probabilities that may wait for a call: 4 s of windows. When more wait, the oldest are dropped.
const MAX_WAITING: usize = 125;

#[derive(Default)]
struct Shared {
    waiting: VecDeque<VoiceProbability>,
    waker: Option<Waker>,
    /// Whether the detector's end was dropped.
    ended: bool,
    /// Whether the call's end was dropped.
    unwanted: bool,
}

/// The detector's end of the channel.
pub(crate) struct Probabilities(Arc<Mutex<Shared>>);

/// The call's end of the channel.
struct Receiver(Arc<Mutex<Shared>>);

/// Makes a channel. The stream ends once the detector's end is dropped.
pub(crate) fn channel() -> (Probabilities, BoxStream<'static, VoiceProbability>) {
    let shared = Arc::<Mutex<Shared>>::default();
    let receiver = Receiver(shared.clone());
    let stream = stream::poll_fn(move |cx| {
        let mut shared = lock(&receiver.0);
        match shared.waiting.pop_front() {
            Some(probability) => Poll::Ready(Some(probability)),
            None if shared.ended => Poll::Ready(None),
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    });
    (Probabilities(shared), stream.boxed())
}

impl Probabilities {
    /// Sends a probability. The oldest is dropped when too many wait.
    pub(crate) fn send(&self, probability: VoiceProbability) {
        let mut shared = lock(&self.0);
        if shared.unwanted {
            return;
        }
        if shared.waiting.len() == MAX_WAITING {
            shared.waiting.pop_front();
        }
        shared.waiting.push_back(probability);
        wake(shared);
    }
}

impl Drop for Probabilities {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.ended = true;
        wake(shared);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.unwanted = true;
        shared.waiting = VecDeque::new();
    }
}

/// Releases the lock, then wakes the call.
fn wake(mut shared: MutexGuard<'_, Shared>) {
    let waker = shared.waker.take();
    drop(shared);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::MediaTime;

    use super::*;

    fn at(ms: u64) -> VoiceProbability {
        VoiceProbability { at: MediaTime::from_millis(ms), probability: 0.5 }
    }

    #[tokio::test]
    async fn what_was_sent_arrives_and_then_the_end() {
        let (sender, mut stream) = channel();
        let receiving = tokio::spawn(async move { (stream.next().await, stream.next().await) });
        tokio::task::yield_now().await;
        sender.send(at(32));
        drop(sender);
        assert_eq!(receiving.await.expect("ran"), (Some(at(32)), None));
    }

    #[tokio::test]
    async fn a_call_that_does_not_listen_keeps_the_newest() {
        let (sender, stream) = channel();
        for ms in 0..1_000 {
            sender.send(at(ms));
        }
        drop(sender);
        let kept: Vec<_> = stream.collect().await;
        assert_eq!(kept.len(), MAX_WAITING);
        assert_eq!(kept.last(), Some(&at(999)));
    }
}
