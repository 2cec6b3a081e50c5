//! One caller's side of a conversation: when it speaks, and how it measures what it hears.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::FRAME;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::playout::{Heard, Playout};
use super::speech::Script;
use super::tally::{Count, Span, Tally};
use super::wire::Event;

/// When an interruption begins, in seconds after the beginning of the reply.
const INTERRUPT_AFTER: std::ops::Range<f64> = 0.3..1.0;
/// A reply that plays on for this long after an interruption did not stop for it.
const INTERRUPT_LIMIT: Duration = Duration::from_secs(3);
/// A reply that is silent for this long has stopped.
const STOPPED: Duration = Duration::from_millis(500);
/// A caller listens to a reply for this long at most after its next question was due. Then it asks into the reply, so that a server
/// that never stops speaking does not end the load.
const LISTEN_LIMIT: Duration = Duration::from_mins(1);
/// Marks that wait for their audio to be played. Servers send one or two with each reply.
const MAX_MARKS: usize = 64;

/// When a caller speaks.
#[derive(Clone, Copy)]
pub(super) struct Schedule {
    /// When its first turn begins.
    pub(super) first: Instant,
    /// Time from one turn to the next.
    pub(super) period: Duration,
}

impl Schedule {
    /// The first turn that does not begin before `now`.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let late = now.saturating_duration_since(self.first).as_nanos();
        let turns = late.div_ceil(self.period.as_nanos().max(1));
        self.first + self.period * u32::try_from(turns).unwrap_or(u32::MAX)
    }
}

/// One caller's side of a conversation. The time is passed to it.
pub(super) struct Conversation {
    script: Arc<Script>,
    tally: Arc<Tally>,
    random: SmallRng,
    schedule: Schedule,
    /// The share of replies that are interrupted.
    interruptions: f64,
    /// When the next turn is due.
    turn_at: Instant,
    speaking: Option<Speaking>,
    /// Which frame of noise was sent last.
    noise_at: usize,
    /// What was said and still has no reply.
    asked: Option<Asked>,
    playout: Playout,
    /// When to interrupt the reply that plays.
    interrupt_at: Option<Instant>,
    /// When the interruption began that the server has not reacted to yet.
    interrupted: Option<Instant>,
    /// Marks that wait: when the audio before each has been played, and its name.
    marks: VecDeque<(Instant, String)>,
}

struct Speaking {
    clip: usize,
    frame: usize,
    /// Whether it is a question and not an interruption.
    question: bool,
}

struct Asked {
    /// When its last sample was due.
    at: Instant,
    /// Whether it is a question, whose reply counts, and not an interruption.
    question: bool,
}

impl Conversation {
    pub(super) fn new(
        script: Arc<Script>,
        tally: Arc<Tally>,
        schedule: Schedule,
        interruptions: f64,
        seed: u64,
        now: Instant,
    ) -> Self {
        Self {
            script,
            tally,
            random: SmallRng::seed_from_u64(seed),
            turn_at: schedule.next(now),
            schedule,
            interruptions,
            speaking: None,
            noise_at: 0,
            asked: None,
            playout: Playout::default(),
            interrupt_at: None,
            interrupted: None,
            marks: VecDeque::new(),
        }
    }

    /// The message to send for the 20 ms that begin at `due`.
    pub(super) fn frame(&mut self, due: Instant) -> Utf8Bytes {
        self.settle(due);
        if self.plays(due) {
            self.tally.count(Count::Heard);
        }
        if due >= self.turn_at && !self.is_busy(due) {
            if due >= self.turn_at + FRAME {
                self.tally.count(Count::Delayed);
            }
            self.turn_at = self.schedule.next(due + FRAME);
            self.interrupt_at = None;
            self.speak(true);
        } else if self.interrupt_at.is_some_and(|at| due >= at) {
            self.interrupt_at = None;
            self.interrupt(due);
        }
        self.say(due)
    }

    /// Takes a message of the server.
    pub(super) fn hear(&mut self, event: Event, now: Instant) {
        match event {
            Event::Audio(length) => self.hear_audio(length, now),
            Event::Clear => {
                if let Some(began) = self.interrupted.take() {
                    self.honour(now - began);
                }
                self.playout.clear();
                self.marks.iter_mut().for_each(|(at, _)| *at = now);
            }
            Event::Complete(mark) => {
                let played = self.playout.complete(now);
                if let Some(name) = mark.filter(|_| self.marks.len() < MAX_MARKS) {
                    self.marks.push_back((played, name));
                }
            }
            Event::Created | Event::Updated | Event::Error(_) | Event::Other => {}
        }
    }

    /// The name of the next mark whose audio has been played.
    pub(super) fn played_mark(&mut self, now: Instant) -> Option<String> {
        self.marks.pop_front_if(|(at, _)| *at <= now).map(|(_, name)| name)
    }

    /// Whether the caller speaks, waits for a reply or hears one, so that it cannot ask its next question yet. Waits that have
    /// been too long end here.
    pub(super) fn is_busy(&mut self, now: Instant) -> bool {
        self.give_up(now);
        let listens = now < self.turn_at + LISTEN_LIMIT && !self.reply_is_over(now);
        self.speaking.is_some() || self.asked.is_some() || self.interrupted.is_some() || listens
    }

    /// Whether the caller hears the agent.
    fn plays(&self, now: Instant) -> bool {
        self.playout.until().is_some_and(|until| until > now)
    }

    /// Whether all of the reply was heard, as far as a caller can tell.
    fn reply_is_over(&self, now: Instant) -> bool {
        let pause = if self.playout.is_complete() { Duration::ZERO } else { STOPPED };
        self.playout.until().is_none_or(|until| until + pause <= now)
    }

    fn hear_audio(&mut self, length: Duration, now: Instant) {
        match self.playout.audio(length, now) {
            Heard::First => {
                self.tally.count(Count::Replies);
                let Some(asked) = self.asked.take().filter(|asked| asked.question) else { return };
                self.tally.count(Count::Answered);
                self.tally.record(Span::Latency, now.saturating_duration_since(asked.at));
                if self.random.random_bool(self.interruptions) {
                    let after = Duration::from_secs_f64(self.random.random_range(INTERRUPT_AFTER));
                    self.interrupt_at = Some(now + after);
                }
            }
            Heard::Gap(silence) => self.tally.record(Span::Gap, silence),
            Heard::More => {}
        }
    }

    /// Stops waiting for a reply once that took as long as from one turn to the next.
    fn give_up(&mut self, now: Instant) {
        let period = self.schedule.period;
        if self.asked.take_if(|asked| asked.at + period <= now).is_some_and(|asked| asked.question) {
            self.tally.count(Count::Missed);
        }
    }

    fn speak(&mut self, question: bool) {
        let clip = self.random.random_range(0..self.script.clips.len());
        self.speaking = Some(Speaking { clip, frame: 0, question });
    }

    /// Speaks into the reply if it is still playing.
    fn interrupt(&mut self, due: Instant) {
        if self.plays(due) {
            self.interrupted = Some(due);
            self.speak(false);
        }
    }

    fn say(&mut self, due: Instant) -> Utf8Bytes {
        let Some(speaking) = &mut self.speaking else { return self.noise() };
        self.tally.count(Count::Spoken);
        let clip = &self.script.clips[speaking.clip];
        let message = clip[speaking.frame].clone();
        speaking.frame += 1;
        if speaking.frame == clip.len() {
            if speaking.question {
                self.tally.record(Span::Question, FRAME * clip.len() as u32);
            }
            // The last sample of a frame is due when the next frame is due.
            self.asked = Some(Asked { at: due + FRAME, question: speaking.question });
            self.playout.ask();
            self.speaking = None;
        }
        message
    }

    fn noise(&mut self) -> Utf8Bytes {
        self.noise_at = (self.noise_at + 1) % self.script.noise.len();
        self.script.noise[self.noise_at].clone()
    }

    /// Counts how an interruption ended. It is not counted at all if the reply would have been over anyway.
    fn settle(&mut self, now: Instant) {
        let Some(began) = self.interrupted else { return };
        let until = self.playout.until().unwrap_or(now);
        if until + STOPPED <= now {
            self.interrupted = None;
            if !self.playout.is_complete() {
                self.honour(until.saturating_duration_since(began));
            }
        } else if began + INTERRUPT_LIMIT <= now {
            self.interrupted = None;
            self.tally.count(Count::Interruptions);
        }
    }

    fn honour(&mut self, stop: Duration) {
        self.tally.count(Count::Interruptions);
        self.tally.count(Count::Honoured);
        self.tally.record(Span::Stop, stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::Figures;
    use crate::load::wire::Protocol;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A conversation with 100 ms questions every 8 s, and a clock.
    struct Bench {
        conversation: Conversation,
        tally: Arc<Tally>,
        start: Instant,
        now: Instant,
        spoken: Vec<bool>,
    }

    impl Bench {
        fn new(interruptions: f64) -> Self {
            let noise = vec![Protocol::Twilio.media("noise")];
            let script = Script { clips: vec![vec![Protocol::Twilio.media("speech"); 5]], noise };
            let (tally, start) = (Arc::new(Tally::default()), Instant::now());
            let schedule = Schedule { first: start + ms(200), period: ms(8_000) };
            let conversation =
                Conversation::new(Arc::new(script), tally.clone(), schedule, interruptions, 1, start);
            Self { conversation, tally, start, now: start, spoken: Vec::new() }
        }

        /// Time passes until `at` ms after the start.
        fn until(&mut self, at: u64) {
            while self.now < self.start + ms(at) {
                let message = self.conversation.frame(self.now);
                self.spoken.push(message.contains("speech"));
                self.now += FRAME;
            }
        }

        fn hear(&mut self, event: Event) {
            self.conversation.hear(event, self.now);
        }

        /// When speech began, in milliseconds after the start.
        fn speeches(&self) -> Vec<usize> {
            let begins = |n: &usize| self.spoken[*n] && (*n == 0 || !self.spoken[*n - 1]);
            (0..self.spoken.len()).filter(begins).map(|n| n * 20).collect()
        }

        fn figures(&self) -> Figures {
            self.tally.read(None).since(&Tally::default().read(None), None, 0)
        }
    }

    #[test]
    fn a_turn_lasts_from_its_last_sample_to_the_first_audio() {
        let mut bench = Bench::new(0.0);
        bench.until(1_000);
        let spoken: Vec<usize> = (0..50).filter(|n| bench.spoken[*n]).collect();
        assert_eq!(spoken, [10, 11, 12, 13, 14], "at 200 ms, for 100 ms");
        bench.hear(Event::Audio(ms(20)));
        bench.hear(Event::Audio(ms(20)));
        let figures = bench.figures();
        assert_eq!((figures.turns, figures.answered), (1, 1));
        assert!((figures.latency.max_ms - 700.0).abs() < 12.0, "{:?}", figures.latency);
    }

    #[test]
    fn what_got_no_reply_within_a_period_is_missed_and_then_the_next_question_is_asked() {
        let mut bench = Bench::new(0.0);
        bench.until(8_300);
        assert_eq!(bench.speeches(), [200], "the question at 8.2 s waits");
        assert_eq!(bench.figures().missed, 0);
        bench.until(9_000);
        assert_eq!(bench.speeches(), [200, 8_300]);
        let figures = bench.figures();
        assert_eq!((figures.turns, figures.missed, figures.turns_delayed), (1, 1, 1));
        assert!(bench.conversation.is_busy(bench.start + ms(16_380)));
        assert!(!bench.conversation.is_busy(bench.start + ms(16_400)), "given up when its time is over");
        assert_eq!(bench.figures().missed, 2);
    }

    #[test]
    fn a_caller_hears_a_reply_to_the_end_and_then_keeps_its_schedule_again() {
        let mut bench = Bench::new(0.0);
        bench.until(1_000);
        bench.hear(Event::Audio(ms(9_000)));
        bench.hear(Event::Complete(None));
        bench.until(11_000);
        assert_eq!(bench.speeches(), [200, 10_000], "due at 8.2 s, but the reply played until 10 s");
        bench.hear(Event::Audio(ms(1_000)));
        bench.until(16_400);
        assert_eq!(bench.speeches(), [200, 10_000, 16_200]);
        assert_eq!(bench.figures().turns_delayed, 1);
    }

    #[test]
    fn a_reply_that_never_ends_is_asked_into_after_a_minute() {
        let mut bench = Bench::new(0.0);
        bench.until(1_000);
        bench.hear(Event::Audio(ms(200_000)));
        bench.until(70_000);
        assert_eq!(bench.speeches(), [200, 68_200]);
    }

    #[test]
    fn what_was_spoken_and_heard_is_counted() {
        let mut bench = Bench::new(0.0);
        bench.until(1_000);
        bench.hear(Event::Audio(ms(2_000)));
        bench.hear(Event::Complete(None));
        bench.until(8_000);
        let figures = bench.figures();
        assert_eq!((figures.questions, figures.replies_heard), (1, 1));
        assert!((figures.question_mean_s - 0.1).abs() < 1e-6, "{figures:?}");
        assert!((figures.reply_mean_s - 2.0).abs() < 1e-6, "{figures:?}");
    }

    #[test]
    fn an_interruption_is_honoured_by_clear() {
        let mut bench = Bench::new(1.0);
        bench.until(500);
        bench.hear(Event::Audio(ms(10_000)));
        let speaks = |bench: &Bench| *bench.spoken.last().expect("frames");
        while !speaks(&bench) {
            bench.until((bench.now - bench.start).as_millis() as u64 + 20);
        }
        let began = bench.now - FRAME;
        assert!((began - bench.start) >= ms(800) && (began - bench.start) <= ms(1_520));
        bench.now = began + ms(250);
        bench.hear(Event::Clear);
        let figures = bench.figures();
        assert_eq!((figures.interruptions, figures.interruptions_honoured), (1, 1));
        assert!((figures.interruption_stop.max_ms - 250.0).abs() < 5.0, "{:?}", figures.interruption_stop);
    }

    #[test]
    fn a_reply_that_goes_on_was_not_interrupted_and_one_that_was_over_counts_for_nothing() {
        let mut bench = Bench::new(1.0);
        bench.until(500);
        bench.hear(Event::Audio(ms(7_000)));
        bench.until(7_000);
        let figures = bench.figures();
        assert_eq!((figures.interruptions, figures.interruptions_honoured), (1, 0));

        let mut bench = Bench::new(1.0);
        bench.until(500);
        bench.hear(Event::Audio(ms(1_600)));
        bench.hear(Event::Complete(None));
        bench.until(7_000);
        assert_eq!(bench.figures().interruptions, 0);
    }

    #[test]
    fn audio_that_stops_coming_is_an_interruption_honoured() {
        let mut bench = Bench::new(1.0);
        bench.until(500);
        bench.hear(Event::Audio(ms(1_600)));
        bench.until(7_000);
        let figures = bench.figures();
        assert_eq!((figures.interruptions, figures.interruptions_honoured), (1, 1));
        assert!((80.0..1_310.0).contains(&figures.interruption_stop.max_ms), "{figures:?}");
    }

    #[test]
    fn marks_come_back_when_they_were_played_or_cleared() {
        let mut bench = Bench::new(0.0);
        bench.hear(Event::Audio(ms(300)));
        bench.hear(Event::Complete(Some("a".to_owned())));
        let start = bench.start;
        assert_eq!(bench.conversation.played_mark(start + ms(299)), None);
        assert_eq!(bench.conversation.played_mark(start + ms(300)).as_deref(), Some("a"));
        bench.hear(Event::Audio(ms(300)));
        bench.hear(Event::Complete(Some("b".to_owned())));
        bench.hear(Event::Clear);
        assert_eq!(bench.conversation.played_mark(start).as_deref(), Some("b"));
    }

    #[test]
    fn the_schedule_never_slips() {
        let first = Instant::now();
        let schedule = Schedule { first, period: ms(1_000) };
        assert_eq!(schedule.next(first), first);
        assert_eq!(schedule.next(first + ms(1)), first + ms(1_000));
        assert_eq!(schedule.next(first + ms(2_000)), first + ms(2_000));
        assert_eq!(schedule.next(first + ms(2_001)), first + ms(3_000));
    }
}
