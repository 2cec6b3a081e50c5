//! Whether predictions pay: what prefetching costs against what it saves. Time is an argument, so that tests need no clock.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_core::AgentVersion;
use tokio::time::Instant;

use super::space::Unused;

/// How many of the latest prefetched answers the hit rate is computed from. With 50 and a true rate of 20 %, the rate seen is
/// within 6 points of it in two of three cases.
const WINDOW: usize = 50;
/// How many answers are prefetched after a rest, to find out whether predictions pay again. Little is lost if they are of no
/// use; and where every third is used while every fifth would be enough, nine of ten such samples show it.
const SAMPLE: usize = 10;
/// An answer counts as unused only after this time: within a minute of a reply the person has asked something.
const CHANCE: Duration = Duration::from_mins(1);
/// What is not asked for within this time is taken to have left the caches.
const KEPT: Duration = Duration::from_hours(1);
/// Prefetched answers remembered, at most: what the default budget makes in half an hour.
const MAX_MADE: usize = 600;
/// How long prefetching rests once it does not pay; each further time twice as long.
const FIRST_REST: Duration = Duration::from_mins(10);
/// The longest rest: what people ask may be different tomorrow.
const MAX_REST: Duration = Duration::from_hours(4);
/// How many seconds of idle engines may be spent to save a person one second of waiting. An hour of a person costs far more
/// than 20 hours of a core, but others may need the engines at any moment.
const WORTH_OF_WAITING: f64 = 20.0;
/// The break-even hit rate assumed until costs are measured: that of 2 s of engines against 0.5 s of waiting.
const USUAL_BREAK_EVEN: f64 = 0.2;
/// The lowest break-even: however cheap, what is used less often only fills caches and logs.
const MIN_BREAK_EVEN: f64 = 0.05;
/// The highest break-even: however dear, answers of which every other one is used are worth making.
const MAX_BREAK_EVEN: f64 = 0.5;

/// An answer that was prefetched.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) agent: AgentVersion,
    /// A hash of the conversation before it.
    pub(super) after: u64,
    /// The question's normalised words.
    pub(super) question: String,
    pub(super) at: Instant,
    pub(super) took: Duration,
    pub(super) saves: Duration,
    pub(super) clauses: usize,
    pub(super) used: bool,
}

/// The answers prefetched lately, and whether prefetching goes on.
#[derive(Debug)]
pub(super) struct Worth {
    /// The answers prefetched, the oldest first.
    made: VecDeque<Made>,
    state: Activity,
    /// How long the next rest will be.
    rest: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Activity {
    /// Prefetching pays; answers made before `since` no longer count.
    On { since: Option<Instant> },
    /// A sample is made after a rest, to see whether prefetching pays again.
    Trying { since: Instant },
    /// Nothing is prefetched until then, because it did not pay.
    Resting { until: Instant },
}

impl Default for Worth {
    fn default() -> Self {
        Self { made: VecDeque::new(), state: Activity::On { since: None }, rest: FIRST_REST }
    }
}

impl Worth {
    /// An answer was prefetched.
    pub(super) fn made(&mut self, made: Made) {
        while self.made.len() >= MAX_MADE {
            self.made.pop_front();
        }
        self.made.push_back(made);
    }

    /// Somebody asked a question at a point of the conversation, and the answer came from a cache: whether it was there because it
    /// had been prefetched. Each prefetched answer counts as used once; from then on it is an answer like any other.
    pub(super) fn used(
        &mut self,
        agent: &AgentVersion,
        (after, question): (u64, &str),
        now: Instant,
    ) -> bool {
        let is_it = |made: &&mut Made| {
            let same = made.after == after && made.question == question && made.agent == *agent;
            same && !made.used && made.age(now) < KEPT
        };
        let found = self.made.iter_mut().rev().find(is_it);
        found.is_some_and(|made| !std::mem::replace(&mut made.used, true))
    }

    /// Whether another answer may be prefetched.
    pub(super) fn pays(&mut self, now: Instant) -> bool {
        match self.state {
            Activity::Resting { until } => {
                if now >= until {
                    self.state = Activity::Trying { since: now };
                }
                now >= until
            }
            Activity::Trying { since } => match self.rate(Some(since), SAMPLE, now) {
                Some(rate) if rate >= self.break_even() => {
                    self.rest = FIRST_REST;
                    self.state = Activity::On { since: Some(since) };
                    true
                }
                Some(_) => self.rests_from(now),
                // The sample is not complete, or people have not had the time to ask yet.
                None => self.since(Some(since)).count() < SAMPLE,
            },
            Activity::On { since } => match self.rate(since, WINDOW, now) {
                Some(rate) if rate < self.break_even() => self.rests_from(now),
                _ => true,
            },
        }
    }

    /// Whether nothing is prefetched because it did not pay.
    pub(super) fn rests(&self, now: Instant) -> bool {
        matches!(self.state, Activity::Resting { until } if now < until)
    }

    /// The share of prefetched answers that must be used for prefetching to pay: what one takes against what a hit saves.
    pub(super) fn break_even(&self) -> f64 {
        let latest = || self.made.iter().rev().take(WINDOW);
        let took: Duration = latest().map(|made| made.took).sum();
        let saves: Duration = latest().map(|made| made.saves).sum();
        if took.is_zero() || saves.is_zero() {
            return USUAL_BREAK_EVEN;
        }
        let rate = took.as_secs_f64() / (WORTH_OF_WAITING * saves.as_secs_f64());
        rate.clamp(MIN_BREAK_EVEN, MAX_BREAK_EVEN)
    }

    /// The share of the latest prefetched answers that was used.
    pub(super) fn hit_rate(&self) -> f64 {
        let latest = self.made.iter().rev().take(WINDOW);
        let (made, used) =
            latest.fold((0_u32, 0_u32), |(all, used), made| (all + 1, used + u32::from(made.used)));
        f64::from(used) / f64::from(made.max(1))
    }

    /// The prefetched answers that may still be in the caches without having been used.
    pub(super) fn unused(&self, now: Instant) -> Unused {
        let there = self.made.iter().filter(|made| !made.used && made.age(now) < KEPT);
        there.fold(Unused::default(), |sum, made| Unused {
            replies: sum.replies + 1,
            clauses: sum.clauses + made.clauses,
        })
    }

    fn rests_from(&mut self, now: Instant) -> bool {
        self.state = Activity::Resting { until: now + self.rest };
        self.rest = (self.rest * 2).min(MAX_REST);
        false
    }

    /// The share used of the latest `many` that are old enough to count; `None` while there are fewer.
    fn rate(&self, since: Option<Instant>, many: usize, now: Instant) -> Option<f64> {
        let latest = self.since(since).filter(|made| made.age(now) >= CHANCE).take(many);
        let (all, used) = latest.fold((0, 0), |(all, used), made| (all + 1, used + usize::from(made.used)));
        (all == many).then(|| used as f64 / many as f64)
    }

    /// What was made since then, the latest first.
    fn since(&self, since: Option<Instant>) -> impl Iterator<Item = &Made> {
        self.made.iter().rev().take_while(move |made| since.is_none_or(|since| made.at >= since))
    }
}

impl Made {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A cache that prefetches one answer after the other, of which every `nth` is used.
    struct Prepares {
        worth: Worth,
        now: Instant,
        made: usize,
        nth: usize,
    }

    impl Prepares {
        fn used_every(nth: usize) -> Self {
            Self { worth: Worth::default(), now: Instant::now(), made: 0, nth }
        }

        /// In 10 s steps: at how many of `steps` something was prefetched.
        fn go_on(&mut self, steps: usize) -> usize {
            (0..steps).filter(|_| self.step()).count()
        }

        fn step(&mut self) -> bool {
            self.now += SECOND * 10;
            let pays = self.worth.pays(self.now);
            if pays {
                self.worth.made(made(self.made, self.now));
                self.made += 1;
                if self.made.is_multiple_of(self.nth) {
                    assert!(self.worth.used(&agent(), (1, &(self.made - 1).to_string()), self.now));
                }
            }
            pays
        }
    }

    fn agent() -> AgentVersion {
        AgentVersion::new("a".into(), "")
    }

    fn made(n: usize, at: Instant) -> Made {
        let (took, saves) = (SECOND * 2, SECOND / 2);
        Made { agent: agent(), after: 1, question: n.to_string(), at, took, saves, clauses: 3, used: false }
    }

    #[test]
    fn what_pays_goes_on() {
        let mut prepares = Prepares::used_every(4);
        assert_eq!(prepares.go_on(5_000), 5_000);
        assert!((prepares.worth.hit_rate() - 0.25).abs() < 0.02);
        assert!(!prepares.worth.rests(prepares.now));
    }

    #[test]
    fn what_does_not_pay_ends_and_is_tried_again_ever_more_rarely() {
        let mut prepares = Prepares::used_every(usize::MAX);
        let ripening = CHANCE.as_secs() as usize / 10 - 1;
        assert_eq!(
            prepares.go_on(100),
            WINDOW + ripening,
            "those under way when the last of the window ripens"
        );
        assert!(prepares.worth.rests(prepares.now));
        let day = prepares.go_on(8_640);
        // The rests last 10, 20, 40, 80 and 160 minutes and then 4 hours each, which makes nine trials in a day.
        assert_eq!(day, 9 * SAMPLE, "a day");
    }

    #[test]
    fn what_pays_again_goes_on_again() {
        let mut prepares = Prepares::used_every(usize::MAX);
        prepares.go_on(100);
        assert!(prepares.worth.rests(prepares.now));
        prepares.nth = 3;
        let (rest, trial) = (60, SAMPLE + 6);
        assert!(prepares.go_on(1_000) >= 1_000 - rest - trial);
        assert!(!prepares.worth.rests(prepares.now));
    }

    #[test]
    fn what_had_no_chance_yet_does_not_count() {
        let mut prepares = Prepares::used_every(usize::MAX);
        let now = prepares.now;
        for n in 0..500 {
            assert!(prepares.worth.pays(now));
            prepares.worth.made(made(n, now));
        }
        assert!(prepares.worth.pays(now + CHANCE - SECOND));
        assert!(!prepares.worth.pays(now + CHANCE));
    }

    #[test]
    fn the_rate_that_pays_follows_cost_and_gain() {
        let mut worth = Worth::default();
        assert_eq!(worth.break_even(), USUAL_BREAK_EVEN);
        let now = Instant::now();
        let with = |took, saves| Made { took, saves, ..made(0, now) };
        for (took, saves, expected) in
            [(2_000, 1_000, 0.1), (2_000, 250, 0.4), (10, 1_000, MIN_BREAK_EVEN), (9_000, 1, MAX_BREAK_EVEN)]
        {
            for _ in 0..WINDOW {
                worth.made(with(Duration::from_millis(took), Duration::from_millis(saves)));
            }
            assert!((worth.break_even() - expected).abs() < 1e-9, "{took} {saves}");
        }
    }

    #[test]
    fn a_prefetch_is_used_once_by_its_own_agent_while_it_is_kept() {
        let (mut worth, now) = (Worth::default(), Instant::now());
        worth.made(made(0, now));
        assert!(!worth.used(&AgentVersion::new("b".into(), ""), (1, "0"), now));
        assert!(!worth.used(&agent(), (1, "1"), now) && !worth.used(&agent(), (2, "0"), now));
        assert!(!worth.used(&agent(), (1, "0"), now + KEPT));
        assert_eq!(worth.unused(now), Unused { replies: 1, clauses: 3 });
        assert!(worth.used(&agent(), (1, "0"), now) && !worth.used(&agent(), (1, "0"), now));
        assert_eq!(worth.unused(now), Unused::default());
        worth.made(made(1, now));
        assert_eq!(worth.unused(now + KEPT), Unused::default());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut worth, now) = (Worth::default(), Instant::now());
        for n in 0..2 * MAX_MADE {
            worth.made(made(n, now));
        }
        assert_eq!(worth.unused(now).replies, MAX_MADE);
    }
}
