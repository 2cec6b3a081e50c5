//! Models when a caller hears the audio that the server sends.

use std::time::Duration;

use tokio::time::Instant;

/// Time without audio after which the next audio, if a question was asked meanwhile, begins another reply. Within one reply audio
/// comes more often.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest silence within a reply that is not counted as a gap: the jitter buffers of telephones hide it.
const GAP: Duration = Duration::from_millis(60);

/// The play-out clock: audio plays as it comes, each piece after the one before.
#[derive(Debug, Default)]
pub(super) struct Playout {
    /// The reply that plays, or that played last.
    reply: Option<Reply>,
    /// Whether a question was asked since that reply began.
    asked: bool,
}

#[derive(Debug)]
struct Reply {
    /// When its latest audio came.
    came: Instant,
    /// When that audio will have been played.
    until: Instant,
    /// Whether all of its audio has come.
    complete: bool,
}

/// How a caller hears a piece of audio.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It begins a reply.
    First,
    /// It continues a reply without a gap.
    More,
    /// It continues a reply after a silence of this length that can be heard.
    Gap(Duration),
}

impl Playout {
    /// A question has just been asked. The next audio that does not continue an older reply begins a new one.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Audio of this `length` came.
    pub(super) fn audio(&mut self, length: Duration, now: Instant) -> Heard {
        let asked = self.asked;
        let is_over = |reply: &Reply| reply.complete || asked && now - reply.came >= PAUSE;
        let current = self.reply.as_mut().filter(|reply| !is_over(reply));
        let Some(reply) = current else {
            let begin = self.reply.take().map_or(now, |before| before.until.max(now));
            self.reply = Some(Reply { came: now, until: begin + length, complete: false });
            self.asked = false;
            return Heard::First;
        };
        let silence = now.saturating_duration_since(reply.until);
        reply.came = now;
        reply.until = reply.until.max(now) + length;
        if silence > GAP { Heard::Gap(silence) } else { Heard::More }
    }

    /// Drops the audio that has not been played yet.
    pub(super) fn clear(&mut self) {
        self.reply = None;
    }

    /// All audio of the reply has come. Returns when it will have been played.
    pub(super) fn complete(&mut self, now: Instant) -> Instant {
        self.reply.as_mut().map_or(now, |reply| {
            reply.complete = true;
            reply.until.max(now)
        })
    }

    /// When the audio that came so far will have been played; `None` when there is none, or it was dropped.
    pub(super) fn until(&self) -> Option<Instant> {
        self.reply.as_ref().map(|reply| reply.until)
    }

    /// Whether all audio of the reply has come.
    pub(super) fn is_complete(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn late_audio_is_a_gap_as_long_as_the_silence() {
        let (mut playout, t) = (Playout::default(), Instant::now());
        assert_eq!(playout.audio(ms(100), t), Heard::First);
        assert_eq!(playout.audio(ms(100), t + ms(50)), Heard::More);
        assert_eq!(playout.until(), Some(t + ms(200)));
        assert_eq!(playout.audio(ms(100), t + ms(260)), Heard::More, "60 ms are not heard");
        assert_eq!(playout.audio(ms(100), t + ms(460)), Heard::Gap(ms(100)));
        assert_eq!(playout.until(), Some(t + ms(560)));
    }

    #[test]
    fn another_reply_is_no_gap() {
        let (mut playout, t) = (Playout::default(), Instant::now());
        playout.audio(ms(100), t);
        assert_eq!(playout.complete(t), t + ms(100));
        assert_eq!(playout.audio(ms(100), t + ms(10)), Heard::First);
        assert_eq!(playout.until(), Some(t + ms(200)), "plays after the one before");
        playout.clear();
        assert_eq!(playout.audio(ms(20), t + ms(900)), Heard::First);
        playout.ask();
        assert_eq!(playout.audio(ms(20), t + ms(2_000)), Heard::First);
    }

    #[test]
    fn a_reply_that_goes_on_after_a_question_does_not_answer_it() {
        let (mut playout, t) = (Playout::default(), Instant::now());
        playout.audio(ms(20), t);
        playout.ask();
        for n in 1..10 {
            assert_eq!(playout.audio(ms(20), t + ms(20) * n), Heard::More);
        }
        assert_eq!(playout.audio(ms(20), t + ms(500)), Heard::First);
    }
}
