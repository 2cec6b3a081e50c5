//! Playout in real time: the server sends just ahead of what is heard, so it knows what was heard and can stop
//! at once.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_core::{FRAME, MediaTime, SampleRate};

/// How audio is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacerConfig {
    /// Samples a second of the audio that goes out.
    pub rate: SampleRate,
    /// How far the far end may be ahead of what it plays. At least one `chunk`.
    pub lead: Duration,
    /// The longest piece handed out, rounded to whole frames of 20 ms; at least one.
    pub chunk: Duration,
    /// How much audio may wait to be handed out.
    pub capacity: Duration,
}

/// Hands out one reply's audio when it is due, and tells how much of it has been heard.
///
/// Time is an argument and never runs backwards. The far end is taken to play without a break what it has, and
/// to begin when it gets something: its own jitter buffer and the network's delay are not seen here.
///
/// A reply: [`push`](Self::push) as audio is made, [`finish`](Self::finish) after its last sample,
/// [`poll`](Self::poll) until it gives nothing, sleep until [`next_at`](Self::next_at), and
/// [`clear`](Self::clear) before the next reply. Positions count from the reply's first sample.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: SampleRate,
    frame: usize,
    chunk: usize,
    lead: Duration,
    capacity: usize,
    /// What may still be needed: from `kept_from` on, all that was not yet heard.
    samples: VecDeque<i16>,
    kept_from: u64,
    sent: u64,
    playing: Option<Playing>,
    finished: bool,
    held: bool,
}

/// An unbroken stretch of playback.
#[derive(Clone, Copy, Debug)]
struct Playing {
    since: MediaTime,
    from: u64,
}

impl Pacer {
    /// A pacer with nothing to play.
    pub fn new(config: PacerConfig) -> Self {
        let frame = config.rate.samples_in(FRAME);
        let chunk = config.rate.samples_in(config.chunk).next_multiple_of(frame).max(frame);
        Self {
            rate: config.rate,
            frame,
            chunk,
            lead: config.lead.max(config.rate.duration_of(chunk)),
            capacity: config.rate.samples_in(config.capacity).max(chunk),
            samples: VecDeque::new(),
            kept_from: 0,
            sent: 0,
            playing: None,
            finished: false,
            held: false,
        }
    }

    /// How much more audio may be pushed now.
    pub fn room(&self) -> Duration {
        self.rate.duration_of(self.capacity.saturating_sub(self.waiting()))
    }

    /// Takes as much of `samples` as there is room for, and tells how much that was.
    pub fn push(&mut self, samples: &[i16]) -> usize {
        let taken = samples.len().min(self.capacity.saturating_sub(self.waiting()));
        self.samples.extend(&samples[..taken]);
        taken
    }

    /// The reply has no more audio than was pushed.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Appends the next piece to `output` if one is due at `now`, and tells whether it did. A piece is whole
    /// frames; only the last of a finished reply may be shorter.
    pub fn poll(&mut self, now: MediaTime, output: &mut Vec<i16>) -> bool {
        let piece = self.piece();
        if piece == 0 || self.next_at().is_some_and(|due| due > now) {
            return false;
        }
        let heard = self.heard_samples(now);
        if heard == self.sent {
            self.playing = Some(Playing { since: now, from: self.sent });
        }
        self.forget_before(heard);
        let start = (self.sent - self.kept_from) as usize;
        output.extend(self.samples.range(start..start + piece));
        self.sent += piece as u64;
        true
    }

    /// When the next piece is due, possibly in the past; `None` while there is none to hand out.
    pub fn next_at(&self) -> Option<MediaTime> {
        let piece = self.piece();
        if piece == 0 {
            return None;
        }
        let ahead = self.lead.saturating_sub(self.rate.duration_of(piece));
        Some(self.silent_at().map_or(MediaTime::ZERO, |silent| silent.saturating_sub(ahead)))
    }

    /// How much of the reply has been heard at `now`.
    pub fn heard(&self, now: MediaTime) -> Duration {
        self.rate.duration_of(self.heard_samples(now) as usize)
    }

    /// When the reply has been heard to its end; `None` until all of it has been handed out.
    pub fn done_at(&self) -> Option<MediaTime> {
        let done = self.finished && !self.held && self.waiting() == 0;
        done.then(|| self.silent_at().unwrap_or(MediaTime::ZERO))
    }

    /// The far end was told to drop what it has not played: nothing is due until [`resume`](Self::resume), which
    /// then starts over from the position heard now. Gives that position.
    pub fn hold(&mut self, now: MediaTime) -> Duration {
        self.sent = self.heard_samples(now).max(self.kept_from);
        self.playing = None;
        self.held = true;
        self.rate.duration_of(self.sent as usize)
    }

    /// Goes on after [`hold`](Self::hold).
    pub fn resume(&mut self) {
        self.held = false;
    }

    /// Forgets the reply. The next one begins at position zero.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.kept_from = 0;
        self.sent = 0;
        self.playing = None;
        self.finished = false;
        self.held = false;
    }

    /// Samples not yet handed out.
    fn waiting(&self) -> usize {
        self.samples.len() - (self.sent - self.kept_from) as usize
    }

    /// Samples in the piece that would be handed out next; zero if there is none.
    fn piece(&self) -> usize {
        let waiting = self.waiting().min(self.chunk);
        match (self.held, self.finished) {
            (true, _) => 0,
            (false, true) => waiting,
            // Speech in the making: a part of a frame waits for its rest.
            (false, false) => waiting - waiting % self.frame,
        }
    }

    /// When the far end has played all it was given.
    fn silent_at(&self) -> Option<MediaTime> {
        let playing = self.playing?;
        Some(playing.since + self.rate.duration_of((self.sent - playing.from) as usize))
    }

    fn heard_samples(&self, now: MediaTime) -> u64 {
        match self.playing {
            Some(_) if self.silent_at() <= Some(now) => self.sent,
            Some(playing) => playing.from + self.rate.samples_in(now.since(playing.since)) as u64,
            None => self.sent,
        }
    }

    fn forget_before(&mut self, position: u64) {
        let count = position.saturating_sub(self.kept_from);
        self.samples.drain(..count as usize);
        self.kept_from += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAD_MS: u64 = 200;

    fn pacer() -> Pacer {
        Pacer::new(PacerConfig {
            rate: SampleRate::HZ_8000,
            lead: Duration::from_millis(LEAD_MS),
            chunk: Duration::from_millis(40),
            capacity: Duration::from_secs(2),
        })
    }

    fn speech(ms: usize) -> Vec<i16> {
        (0..ms * 8).map(|n| n as i16).collect()
    }

    fn at(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn drain(pacer: &mut Pacer, now: MediaTime) -> Vec<i16> {
        let mut sent = Vec::new();
        while pacer.poll(now, &mut sent) {}
        sent
    }

    #[test]
    fn the_lead_goes_out_at_once_and_the_rest_in_real_time() {
        let mut pacer = pacer();
        pacer.push(&speech(1_000));
        assert_eq!(drain(&mut pacer, at(5_000)).len(), 200 * 8);
        assert_eq!(pacer.next_at(), Some(at(5_040)));
        assert!(drain(&mut pacer, at(5_039)).is_empty());
        assert_eq!(drain(&mut pacer, at(5_040)).len(), 40 * 8);
    }

    #[test]
    fn position_heard_follows_the_clock_up_to_what_was_sent() {
        let mut pacer = pacer();
        pacer.push(&speech(1_000));
        drain(&mut pacer, at(100));
        assert_eq!(pacer.heard(at(100)), ms(0));
        assert_eq!(pacer.heard(at(150)), ms(50));
        assert_eq!(pacer.heard(at(900)), ms(LEAD_MS));
    }

    #[test]
    fn a_gap_in_the_making_is_not_counted_as_heard() {
        let mut pacer = pacer();
        pacer.push(&speech(60));
        drain(&mut pacer, at(0));
        pacer.push(&speech(60));
        drain(&mut pacer, at(500));
        assert_eq!(pacer.heard(at(500)), ms(60));
        assert_eq!(pacer.heard(at(530)), ms(90));
    }

    #[test]
    fn a_part_of_a_frame_waits_until_the_reply_is_finished() {
        let mut pacer = pacer();
        pacer.push(&speech(30));
        assert_eq!(drain(&mut pacer, at(0)).len(), 20 * 8);
        assert_eq!(pacer.next_at(), None);
        assert_eq!(pacer.done_at(), None);
        pacer.finish();
        assert_eq!(drain(&mut pacer, at(0)).len(), 10 * 8);
        assert_eq!(pacer.done_at(), Some(at(30)));
    }

    #[test]
    fn a_held_reply_goes_on_from_what_was_heard() {
        let mut pacer = pacer();
        let speech = speech(1_000);
        pacer.push(&speech);
        pacer.finish();
        drain(&mut pacer, at(0));
        assert_eq!(pacer.hold(at(70)), ms(70));
        assert_eq!(pacer.next_at(), None);
        assert!(drain(&mut pacer, at(500)).is_empty());
        assert_eq!(pacer.heard(at(900)), ms(70));
        assert_eq!(pacer.done_at(), None);
        pacer.resume();
        assert_eq!(drain(&mut pacer, at(1_000)), speech[70 * 8..270 * 8]);
        assert_eq!(pacer.heard(at(1_030)), ms(100));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut pacer = pacer();
        assert_eq!(pacer.push(&speech(3_000)), 2_000 * 8);
        assert_eq!(pacer.room(), ms(0));
        drain(&mut pacer, at(0));
        assert_eq!(pacer.room(), ms(LEAD_MS));
    }

    #[test]
    fn the_next_reply_begins_at_zero() {
        let mut pacer = pacer();
        pacer.push(&speech(500));
        pacer.finish();
        drain(&mut pacer, at(0));
        pacer.clear();
        assert_eq!(pacer.heard(at(100)), ms(0));
        assert_eq!(pacer.done_at(), None);
        pacer.push(&speech(20));
        assert_eq!(drain(&mut pacer, at(100)), speech(20));
    }

    #[test]
    fn an_empty_reply_is_done_at_once() {
        let mut pacer = pacer();
        pacer.finish();
        assert!(pacer.done_at() <= Some(at(0)) && pacer.done_at().is_some());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_early_whatever_the_timing(
            steps in prop::collection::vec((0usize..900, 0u64..90, any::<bool>()), 1..60),
        ) {
            let mut pacer = pacer();
            let (mut pushed, mut now) = (Vec::new(), MediaTime::ZERO);
            let mut played = Vec::new();
            for (samples, wait, barge_in) in steps {
                let fresh: Vec<i16> = (0..samples).map(|n| (pushed.len() + n) as i16).collect();
                pushed.extend_from_slice(&fresh[..pacer.push(&fresh)]);
                now += Duration::from_millis(wait);
                if barge_in {
                    let heard = pacer.hold(now);
                    played.truncate(SampleRate::HZ_8000.samples_in(heard));
                    pacer.resume();
                }
                let before = pacer.heard(now);
                played.extend(drain(&mut pacer, now));
                prop_assert_eq!(before, pacer.heard(now));
                let ahead = SampleRate::HZ_8000.duration_of(played.len()).saturating_sub(before);
                prop_assert!(ahead <= Duration::from_millis(LEAD_MS));
            }
            pacer.finish();
            while let Some(due) = pacer.next_at() {
                now = now.max(due);
                played.extend(drain(&mut pacer, now));
            }
            prop_assert_eq!(&played, &pushed);
            let done = pacer.done_at().unwrap();
            prop_assert_eq!(pacer.heard(now.max(done)), SampleRate::HZ_8000.duration_of(pushed.len()));
        }
    }
}
