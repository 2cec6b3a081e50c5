//! The call's clock. It shows media time, driven by the judged audio, and by the wall clock when no audio comes.

use std::time::Duration;

use antiphon_core::MediaTime;
use tokio::time::Instant;

/// Between two judged windows the clock follows the wall clock, but by no more than this: a window of 32 ms and its
/// delivery. What the person says beyond that is not known yet.
const AHEAD: Duration = Duration::from_millis(50);
/// When nothing has been judged for this long, audio has stopped coming and the wall clock takes over.
const GAP: Duration = Duration::from_millis(300);

/// Maps the audio received and the wall clock to a media time that never stops.
#[derive(Debug)]
pub(crate) struct MediaClock {
    /// Media time of the latest judged window.
    at: MediaTime,
    /// When it was judged.
    wall: Instant,
    /// How far media time is ahead of the audio received: the length of all gaps in which no audio came.
    gaps: Duration,
}

impl MediaClock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { at: MediaTime::ZERO, wall: now, gaps: Duration::ZERO }
    }

    /// Reports that audio up to `received` has been judged. Returns its media time.
    pub(crate) fn judged(&mut self, received: MediaTime, now: Instant) -> MediaTime {
        let silent = now - self.wall;
        let expected = received + self.gaps;
        if silent > GAP {
            self.gaps += (self.at + silent).since(expected);
        }
        self.at = received + self.gaps;
        self.wall = now;
        self.at
    }

    /// The media time now.
    pub(crate) fn now(&self, now: Instant) -> MediaTime {
        let passed = now - self.wall;
        self.at + if passed > GAP { passed } else { passed.min(AHEAD) }
    }

    /// The wall time at which media time `at` is reached if no more audio comes before.
    pub(crate) fn wall(&self, at: MediaTime) -> Instant {
        let wait = at.since(self.at);
        self.wall + if wait > AHEAD && wait < GAP { GAP + Duration::from_millis(1) } else { wait }
    }

    /// How much of the audio up to `received` has not been judged yet.
    pub(crate) fn behind(&self, received: MediaTime) -> Duration {
        received.since(self.received(self.at))
    }

    /// Whether audio is no longer being judged. A detector that does not answer must not stop the call.
    pub(crate) fn has_stopped(&self, now: Instant) -> bool {
        now - self.wall > Duration::from_secs(2)
    }

    /// The position in the received audio that corresponds to media time `at`.
    pub(crate) fn received(&self, at: MediaTime) -> MediaTime {
        at.saturating_sub(self.gaps)
    }

    /// When the audio at media time `at` was received, assuming that the call was fed in real time.
    pub(crate) fn heard_at(&self, at: MediaTime) -> Instant {
        if at > self.at {
            return self.wall + at.since(self.at);
        }
        self.wall.checked_sub(self.at.since(at)).unwrap_or(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn follows_the_audio_however_fast_it_comes() {
        let start = Instant::now();
        let mut clock = MediaClock::new(start);
        assert_eq!(
            clock.judged(MediaTime::from_millis(5_000), start + ms(10)),
            MediaTime::from_millis(5_000)
        );
        assert_eq!(clock.now(start + ms(20)), MediaTime::from_millis(5_010));
        assert_eq!(
            clock.now(start + ms(200)),
            MediaTime::from_millis(5_050),
            "does not run ahead of the audio"
        );
    }

    #[test]
    fn the_wall_takes_over_when_audio_stops_and_nothing_goes_back() {
        let start = Instant::now();
        let mut clock = MediaClock::new(start);
        clock.judged(MediaTime::from_millis(1_000), start + ms(1_000));
        assert_eq!(clock.now(start + ms(3_000)), MediaTime::from_millis(3_000));
        let resumed = clock.judged(MediaTime::from_millis(1_032), start + ms(3_000));
        assert!(resumed >= MediaTime::from_millis(3_000));
        assert_eq!(clock.received(resumed), MediaTime::from_millis(1_032));
    }

    #[test]
    fn a_deadline_is_reached_at_its_wall_time() {
        let start = Instant::now();
        let mut clock = MediaClock::new(start);
        clock.judged(MediaTime::from_millis(1_000), start);
        for wait in [10, 40, 100, 310, 5_000] {
            let deadline = MediaTime::from_millis(1_000 + wait);
            let wall = clock.wall(deadline);
            assert!(clock.now(wall) >= deadline, "{wait}");
        }
    }
}
