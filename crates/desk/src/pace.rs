//! How fast a client may send audio.
//!
//! Somebody who speaks sends a second of audio a second. A client that sends a recording may be faster, and is heard as fast as the
//! machine can for a while; but one that goes on like that would take the machine from all others, so that it is slowed down.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use antiphon_core::SampleRate;
use tokio::time::{Instant, Sleep, sleep_until};

/// How many times as fast as it is spoken audio is taken in for long: so fast that a recording of an hour is heard within
/// minutes, and so slow that voice activity detection keeps a small part of one core busy.
const SPEED: u32 = 8;
/// How much audio is taken in at once before that: a question that was recorded.
const BURST: Duration = Duration::from_secs(20);

/// The audio of one connection, as a bucket that leaks (ITU-T I.371's generic cell rate algorithm).
pub(crate) struct Pace {
    /// When the bucket would be empty.
    empty: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { empty: now, sleep: Box::pin(sleep_until(now)) }
    }

    /// Whether more audio may be taken in now; whoever polls is woken when it may.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let open = self.empty.checked_sub(BURST / SPEED).unwrap_or(self.empty);
        if open > Instant::now() {
            self.sleep.as_mut().reset(open);
            ready!(self.sleep.as_mut().poll(cx));
        }
        Poll::Ready(())
    }

    /// So many samples at 16 kHz were taken in.
    pub(crate) fn took(&mut self, samples: usize) {
        let span = Duration::from_secs_f64(samples as f64 / f64::from(SampleRate::HZ_16000.hz()));
        self.empty = self.empty.max(Instant::now()) + span / SPEED;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: usize = 16_000;

    /// Takes in so many seconds of audio, one after the other; gives how long that took.
    async fn take(pace: &mut Pace, seconds: u32) -> Duration {
        let began = Instant::now();
        for _ in 0..seconds {
            poll_fn(|cx| pace.poll_ready(cx)).await;
            pace.took(SECOND);
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_recorded_question_is_taken_at_once_and_an_endless_one_slowly() {
        let mut pace = Pace::new();
        assert_eq!(take(&mut pace, 20).await, Duration::ZERO);
        let slowed = take(&mut pace, 800).await;
        assert!(slowed >= Duration::from_secs(99) && slowed <= Duration::from_secs(101), "{slowed:?}");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(take(&mut pace, 20).await, Duration::ZERO, "after a rest");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_speaks_is_never_slowed_down() {
        let mut pace = Pace::new();
        for _ in 0..600 {
            assert_eq!(take(&mut pace, 1).await, Duration::ZERO);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }
}
