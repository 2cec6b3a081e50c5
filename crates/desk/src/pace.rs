//! How fast clients may send audio.
//!
//! Somebody who speaks sends a second of audio a second. A client that sends more plays a recording: it is heard as fast as the machine
//! can for a while, but one that goes on like that would take the machine from all others. So all recordings together are taken in at a
//! bounded speed, one message of each after the other, and nobody who speaks is ever slowed down.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use antiphon_core::{SampleRate, lock};
use tokio::time::{Instant, Sleep, sleep_until};

/// How many times as fast as they are spoken all recordings together are taken in for long: so fast that one of an hour is heard within
/// minutes, and so slow that voice activity detection keeps a small part of one core busy.
const SPEED: u32 = 8;
/// How much audio of recordings is taken in at once before that: a question that was recorded.
const BURST: Duration = Duration::from_secs(20);
/// How far audio may be ahead of speech that is no recording, because clients send several frames at a time.
const AHEAD: Duration = Duration::from_secs(1);
/// How long a network may hold speech back that is no recording: it then delivers all of it at once.
const JITTER: Duration = Duration::from_secs(4);
/// Somebody who speaks sends at most so many times as fast as they speak, whatever their sound card takes for a second. What a client
/// had recorded while it connected is made up for with the difference.
const LIVELY: f64 = 1.25;
/// A recording is longer, and something else without a pause is shorter.
const SHORT: Duration = Duration::from_secs(3);

/// A recording is over when its client has nothing more to send for so long: many times what lies between two of its messages where the
/// network or the machine is slow.
const OVER: Duration = Duration::from_millis(200);

/// The recordings of all calls, as a bucket that leaks (ITU-T I.371's generic cell rate algorithm).
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    /// When the bucket will be empty; `None` if nothing was ever in it.
    empty: Mutex<Option<Instant>>,
    /// How many connections play a recording that has to wait.
    waiting: AtomicUsize,
}

impl Recordings {
    /// Puts audio into the bucket; gives from when whoever sent it may send more.
    fn add(&self, audio: Duration, now: Instant) -> Instant {
        let mut empty = lock(&self.empty);
        let filled = empty.map_or(now, |empty| empty.max(now)) + audio / SPEED;
        *empty = Some(filled);
        filled.checked_sub(BURST / SPEED).unwrap_or(now)
    }

    /// How many connections play a recording that has to wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// The audio of one connection.
pub(crate) struct Pace {
    recordings: Arc<Recordings>,
    /// When all that was taken in can have been spoken.
    spoken: Instant,
    /// From when more is taken in.
    open: Instant,
    is_ahead: bool,
    /// Audio since the client had nothing more to send.
    unbroken: Duration,
    /// Since when the client of a recording has had nothing more to send.
    still: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    pub(crate) fn new(recordings: Arc<Recordings>) -> Self {
        let now = Instant::now();
        let sleep = Box::pin(sleep_until(now));
        Self {
            recordings,
            spoken: now,
            open: now,
            is_ahead: false,
            unbroken: Duration::ZERO,
            still: None,
            sleep,
        }
    }

    /// Whether the client plays a recording that has to wait.
    pub(crate) fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// Whether more audio may be taken in now; whoever polls is woken when it may.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.open > Instant::now() {
            self.sleep.as_mut().reset(self.open);
            ready!(self.sleep.as_mut().poll(cx));
        }
        Poll::Ready(())
    }

    /// So many samples at 16 kHz were taken in.
    pub(crate) fn took(&mut self, samples: usize) {
        let now = Instant::now();
        self.still = None;
        let audio = Duration::from_secs_f64(samples as f64 / f64::from(SampleRate::HZ_16000.hz()));
        let held_back = now.checked_sub(JITTER).unwrap_or(now);
        self.spoken = self.spoken.max(held_back) + audio.div_f64(LIVELY);
        self.unbroken += audio;
        // Where it has waited until it may have been spoken after all, it was, unless it does not end.
        let mut is_ahead = self.is_ahead && (self.spoken > now || self.unbroken > SHORT);
        if is_ahead || self.spoken > now + AHEAD {
            self.open = self.recordings.add(audio, now);
            is_ahead |= self.open > now;
        }
        self.set_ahead(is_ahead);
    }

    /// The client has nothing more to send now. Ready once when that has lasted so long that its recording is over: somebody may wait for
    /// the answer. Whoever polls is woken then.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        self.unbroken = Duration::ZERO;
        if !self.is_ahead {
            self.spoken = self.spoken.min(now + AHEAD);
            return Poll::Pending;
        }
        // What was spoken meanwhile counts from here, so that somebody who speaks is soon told from a recording that goes on.
        self.spoken = self.spoken.min(now);
        let over = *self.still.get_or_insert(now) + OVER;
        self.sleep.as_mut().reset(over);
        ready!(self.sleep.as_mut().poll(cx));
        self.set_ahead(false);
        Poll::Ready(())
    }

    fn set_ahead(&mut self, is_ahead: bool) {
        match (std::mem::replace(&mut self.is_ahead, is_ahead), is_ahead) {
            (false, true) => self.recordings.waiting.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.recordings.waiting.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => return,
        };
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.set_ahead(false);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: usize = 16_000;

    fn pace() -> Pace {
        Pace::new(Arc::default())
    }

    /// Takes in so many seconds of audio, one after the other; gives how long that took.
    async fn take(pace: &mut Pace, seconds: u32) -> Duration {
        let began = Instant::now();
        for _ in 0..seconds {
            poll_fn(|cx| pace.poll_ready(cx)).await;
            pace.took(SECOND);
        }
        began.elapsed()
    }

    /// The client has nothing more to send for so long.
    async fn is_still(pace: &mut Pace, time: Duration) {
        let _ = tokio::time::timeout(time, poll_fn(|cx| pace.poll_over(cx))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_recorded_question_is_taken_at_once_and_an_endless_one_slowly() {
        let mut pace = pace();
        assert_eq!(take(&mut pace, 20).await, Duration::ZERO);
        assert!(!pace.is_ahead());
        let slowed = take(&mut pace, 800).await;
        assert!(slowed >= Duration::from_secs(98) && slowed <= Duration::from_secs(101), "{slowed:?}");
        assert!(pace.is_ahead());
        is_still(&mut pace, Duration::from_secs(1)).await;
        assert!(!pace.is_ahead(), "somebody waits for the answer");
        take(&mut pace, 2).await;
        assert!(pace.is_ahead(), "it goes on, and what was taken in before is not forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_that_is_over_is_one_no_more() {
        let mut pace = pace();
        take(&mut pace, 60).await;
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(pace.is_ahead());
        is_still(&mut pace, Duration::from_secs(1)).await;
        assert!(!pace.is_ahead());
        assert_eq!(take(&mut pace, 20).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_that_comes_in_bursts_is_not_over_between_them() {
        let mut pace = pace();
        take(&mut pace, 60).await;
        for _ in 0..50 {
            is_still(&mut pace, Duration::from_millis(150)).await;
            assert!(pace.is_ahead());
            take(&mut pace, 1).await;
            assert!(pace.is_ahead());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_recordings_together_are_no_faster_than_one() {
        let recordings = Arc::<Recordings>::default();
        let mut paces: Vec<_> = (0..100).map(|_| Pace::new(recordings.clone())).collect();
        let began = Instant::now();
        for pace in &mut paces {
            take(pace, 10).await;
        }
        for _ in 0..8 {
            for pace in &mut paces {
                take(pace, 1).await;
            }
        }
        // Of each is free what the network may have held back, and at most two messages of a second while it is about to be ahead.
        let free = (JITTER + AHEAD).mul_f64(LIVELY).as_secs() + 2;
        let least = 100 * (18 - free) - BURST.as_secs();
        assert!(began.elapsed() >= Duration::from_secs(least / u64::from(SPEED)), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_speaks_is_never_slowed_down() {
        let recordings = Arc::<Recordings>::default();
        let mut flood = Pace::new(recordings.clone());
        take(&mut flood, 100).await;
        let mut pace = Pace::new(recordings);
        for _ in 0..600 {
            assert_eq!(take(&mut pace, 1).await, Duration::ZERO);
            flood.took(SECOND);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(!pace.is_ahead());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_network_falters_is_no_recording() {
        let recordings = Arc::<Recordings>::default();
        take(&mut Pace::new(recordings.clone()), 100).await;
        let mut pace = Pace::new(recordings);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(3)).await;
            assert_eq!(take(&mut pace, 3).await, Duration::ZERO);
        }
        assert!(!pace.is_ahead());
    }

    #[tokio::test(start_paused = true)]
    async fn many_new_recordings_are_told_from_calls_before_their_first_question_ends() {
        let recordings = Arc::<Recordings>::default();
        let mut paces: Vec<_> = (0..100).map(|_| Pace::new(recordings.clone())).collect();
        for pace in &mut paces {
            pace.took(2 * SECOND);
        }
        let ahead = paces.iter().filter(|pace| pace.is_ahead()).count();
        assert_eq!((ahead > 80, recordings.waiting()), (true, ahead));
        drop(paces);
        assert_eq!(recordings.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_while_the_client_connected_is_soon_made_up_for_beside_a_flood() {
        let recordings = Arc::<Recordings>::default();
        let mut flood = Pace::new(recordings.clone());
        take(&mut flood, 100).await;
        let mut pace = Pace::new(recordings);
        pace.took(2 * SECOND);
        let (began, mut taken) = (Instant::now(), 2.0);
        // From then on a frame comes every 20 ms, whether or not it is taken in.
        for _ in 0..500 {
            tokio::time::advance(Duration::from_millis(20)).await;
            flood.took(SECOND / 10);
            let came = 2.0 + began.elapsed().as_secs_f64();
            while taken < came && poll_once(&mut pace).await {
                pace.took(SECOND / 50);
                taken += 0.02;
            }
            if taken >= came {
                let _ = poll_fn(|cx| Poll::Ready(pace.poll_over(cx))).await;
            }
        }
        assert!(!pace.is_ahead() && taken > 11.9, "{taken}");
    }

    /// Whether more audio may be taken in now.
    async fn poll_once(pace: &mut Pace) -> bool {
        poll_fn(|cx| Poll::Ready(pace.poll_ready(cx).is_ready())).await
    }
}
