//! Which question follows which in calls to one agent: a first-order Markov chain over normalised questions.
//!
//! The probability of a follower is taken from what followed the last question, smoothed by how often each question is asked
//! at all (a hierarchical Dirichlet prior, MacKay and Peto, 1995): where little is known of a question, what the agent is
//! asked most is likeliest.

mod form;

use std::collections::HashMap;
use std::sync::Arc;

use crate::Key;
use crate::question::is_time_dependent;

/// Questions remembered, at most: a service has some hundreds that are asked often.
const MAX_QUESTIONS: usize = 512;
/// Followers remembered of each question; rarer ones are not predicted.
const MAX_FOLLOWERS: usize = 8;
/// The longest question learned, in bytes: longer ones are stories, and no two people tell the same.
const MAX_LENGTH: usize = 160;
/// The longest wording kept, in bytes: as above, with room for "um" and "er".
const MAX_WORDING: usize = 256;
/// The weight of the prior, in observations.
const PRIOR: f64 = 4.0;
/// After so many questions all counts are halved, so that what people used to ask is forgotten in the course of weeks
/// (the ageing of TinyLFU; Einziger, Friedman and Manes, 2017).
const AGED: u32 = 8_192;

/// A question that somebody asked.
pub(super) struct Asked<'a> {
    pub(super) by: &'a str,
    /// The normalised words of the question before it.
    pub(super) before: Option<&'a str>,
    /// The question's words, normalised so that wordings which differ in case or signs alone are one question.
    pub(super) words: &'a str,
    /// Its words as they were said.
    pub(super) wording: &'a str,
}

/// What is known of one agent's questions.
#[derive(Default)]
pub(super) struct Chain {
    questions: HashMap<Arc<str>, Question>,
    /// The questions that calls begin with.
    first: Followers,
    /// How often all of `questions` together were asked.
    asked: u32,
    /// A count of everything learned, in place of a clock.
    now: u64,
    /// How much was learned since the counts were halved.
    since_halved: u32,
}

struct Question {
    /// Its words as they were last said: a prefetch asks in people's own words.
    wording: Arc<str>,
    /// A hash of who asked it first.
    by: u64,
    /// Somebody else asked it, too, so it is not about one person only.
    by_others: bool,
    asked: u32,
    latest: u64,
    next: Followers,
}

/// The questions that followed one question.
#[derive(Default)]
struct Followers {
    /// How often anything followed, learned or not.
    all: u32,
    counts: Vec<(Arc<str>, u32)>,
}

impl Chain {
    /// Learns that a question was asked. False if it is one that is not learned: a question with digits is about one person's
    /// numbers and dates. Even then it counts that something else followed the question before.
    pub(super) fn learn(&mut self, asked: &Asked<'_>) -> bool {
        self.now += 1;
        self.age();
        let learned = is_general(asked.words, asked.wording).then(|| self.ask(asked));
        let followers = match asked.before {
            None => Some(&mut self.first),
            Some(before) => self.questions.get_mut(before).map(|question| &mut question.next),
        };
        if let Some(followers) = followers {
            followers.add(learned.as_ref());
        }
        learned.is_some()
    }

    /// The wording of the likeliest question after `before`, if its probability is at least `at_least`. Only a question counts
    /// that two people asked, whose answer does not depend on the time, and that is not among `already` (normalised words).
    pub(super) fn likely(&self, before: Option<&str>, already: &[String], at_least: f64) -> Option<Arc<str>> {
        let none = Followers::default();
        let followers = match before {
            None => &self.first,
            Some(before) => self.questions.get(before).map_or(&none, |question| &question.next),
        };
        let probability = |words: &str, question: &Question| {
            let share = f64::from(question.asked) / (f64::from(self.asked) + PRIOR);
            (f64::from(followers.count(words)) + PRIOR * share) / (f64::from(followers.all) + PRIOR)
        };
        let likely = self
            .questions
            .iter()
            .filter(|(_, question)| question.by_others)
            .map(|(words, question)| (probability(words, question), words, question))
            .filter(|(probability, words, _)| {
                *probability >= at_least
                    && !already.iter().any(|text| **text == ***words)
                    && !is_time_dependent(words)
            })
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)));
        likely.map(|(_, _, question)| question.wording.clone())
    }

    /// The number of questions known.
    pub(super) fn questions(&self) -> usize {
        self.questions.len()
    }

    fn ask(&mut self, asked: &Asked<'_>) -> Arc<str> {
        let by = hash(asked.by);
        self.asked += 1;
        if let Some((words, _)) = self.questions.get_key_value(asked.words) {
            let words = words.clone();
            if let Some(question) = self.questions.get_mut(&words) {
                question.asked += 1;
                question.latest = self.now;
                question.by_others |= question.by != by;
                if *question.wording != *asked.wording {
                    question.wording = asked.wording.into();
                }
            }
            return words;
        }
        if self.questions.len() >= MAX_QUESTIONS {
            self.forget_one();
        }
        let words: Arc<str> = asked.words.into();
        let (wording, next) = (asked.wording.into(), Followers::default());
        let question = Question { wording, by, by_others: false, asked: 1, latest: self.now, next };
        self.questions.insert(words.clone(), question);
        words
    }

    /// Forgets the question asked least often; of several, the one asked longest ago.
    fn forget_one(&mut self) {
        let least = self.questions.iter().min_by_key(|(_, question)| (question.asked, question.latest));
        if let Some(words) = least.map(|(words, _)| words.clone())
            && let Some(forgotten) = self.questions.remove(&words)
        {
            self.asked -= forgotten.asked;
        }
    }

    /// Halves all counts after every [`AGED`] questions.
    fn age(&mut self) {
        self.since_halved += 1;
        if self.since_halved < AGED {
            return;
        }
        self.since_halved = 0;
        self.first.halve();
        self.questions.retain(|_, question| {
            question.asked /= 2;
            question.next.halve();
            question.asked > 0
        });
        self.asked = self.questions.values().map(|question| question.asked).sum();
    }
}

impl Followers {
    /// Counts that something followed: the question `words`, or something that is not learned.
    fn add(&mut self, words: Option<&Arc<str>>) {
        self.all += 1;
        let Some(words) = words else { return };
        if let Some((_, count)) = self.counts.iter_mut().find(|(known, _)| known == words) {
            *count += 1;
        } else if self.counts.len() < MAX_FOLLOWERS {
            self.counts.push((words.clone(), 1));
        } else if let Some(rarest) = self.counts.iter_mut().min_by_key(|(_, count)| *count)
            && rarest.1 == 1
        {
            *rarest = (words.clone(), 1);
        }
    }

    fn count(&self, words: &str) -> u32 {
        self.counts.iter().find(|(known, _)| **known == *words).map_or(0, |(_, count)| *count)
    }

    fn halve(&mut self) {
        self.all /= 2;
        self.counts.retain_mut(|(_, count)| {
            *count /= 2;
            *count > 0
        });
    }
}

/// Whether a question may be one that other people ask as well.
fn is_general(words: &str, wording: &str) -> bool {
    !words.is_empty()
        && words.len() <= MAX_LENGTH
        && wording.len() <= MAX_WORDING
        && !words.chars().any(char::is_numeric)
}

/// A hash that is stable across restarts and machines, because it is written to disk.
fn hash(text: &str) -> u64 {
    Key::from_bytes(blake3::hash(text.as_bytes()).into()).short()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::question::normalise;

    /// A probability so low that every question which was ever learned counts as likely.
    const ANY: f64 = 0.01;

    fn say(chain: &mut Chain, by: &str, said: &[&str]) {
        for (at, &wording) in said.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| normalise(said[at]));
            let words = normalise(wording);
            chain.learn(&Asked { by, before: before.as_deref(), words: &words, wording });
        }
    }

    fn likely(chain: &Chain, before: Option<&str>, at_least: f64) -> Vec<String> {
        let (before, mut already) = (before.map(normalise), Vec::new());
        while let Some(next) = chain.likely(before.as_deref(), &already, at_least) {
            assert!(!already.contains(&normalise(&next)));
            already.push(normalise(&next));
        }
        already
    }

    #[test]
    fn what_followed_most_is_likeliest() {
        let mut chain = Chain::default();
        for by in ["a", "b", "c", "d", "e", "f"] {
            say(&mut chain, by, &["Where do I park?", "How much is it?"]);
            say(&mut chain, by, &["Do you have rooms?", "Is breakfast included?"]);
        }
        say(&mut chain, "g", &["Where do I park?", "Is breakfast included?"]);
        let after = likely(&chain, Some("um, where do I park"), ANY);
        assert_eq!(after[..2], ["how much is it", "is breakfast included"]);
        assert_eq!(likely(&chain, Some("where do I park"), 0.5), ["how much is it"]);
        assert_eq!(likely(&chain, None, 0.2), ["where do i park", "do you have rooms"]);
    }

    #[test]
    fn where_nothing_is_known_what_is_asked_most_is_likely() {
        let mut chain = Chain::default();
        for by in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            say(&mut chain, by, &["How much is it?"]);
        }
        say(&mut chain, "a", &["Where are you?"]);
        say(&mut chain, "b", &["Where are you?"]);
        assert_eq!(likely(&chain, Some("never heard"), 0.5), ["how much is it"]);
        assert_eq!(likely(&chain, Some("my code is 1234"), ANY), ["how much is it", "where are you"]);
        assert_eq!(likely(&Chain::default(), None, ANY), Vec::<String>::new());
    }

    #[test]
    fn what_one_person_said_is_offered_to_nobody() {
        let mut chain = Chain::default();
        for _ in 0..100 {
            say(&mut chain, "ada", &["I have lost my job.", "What can I do?"]);
        }
        assert_eq!(likely(&chain, None, ANY), Vec::<String>::new());
        assert_eq!(likely(&chain, Some("I have lost my job"), ANY), Vec::<String>::new());
        say(&mut chain, "bob", &["What can I do?"]);
        assert_eq!(likely(&chain, Some("I have lost my job"), ANY), ["what can i do"]);
    }

    #[test]
    fn numbers_stories_and_what_moves_with_the_clock_are_not_asked_ahead() {
        let mut chain = Chain::default();
        let story = "and then he said to me that ".repeat(10);
        let said = ["My number is 555 12.", &story, "What time is it?", "How much is it?"];
        for by in ["a", "b", "c"] {
            for one in said {
                say(&mut chain, by, &[one]);
            }
        }
        assert_eq!(likely(&chain, None, ANY), ["how much is it"]);
        assert_eq!(chain.first.all, 12, "but that something else was said is known");
    }

    #[test]
    fn the_latest_wording_is_given() {
        let mut chain = Chain::default();
        say(&mut chain, "a", &["how much is it"]);
        say(&mut chain, "b", &["Uh, how much is it?"]);
        assert_eq!(chain.likely(None, &[], ANY).as_deref(), Some("Uh, how much is it?"));
    }

    #[test]
    fn what_was_asked_long_ago_gives_way() {
        let mut chain = Chain::default();
        let used_to = |chain: &mut Chain, question: &str, times: u32| {
            for n in 0..times {
                say(chain, ["a", "b"][n as usize % 2], &[question]);
            }
        };
        used_to(&mut chain, "is it summer", 2 * AGED);
        used_to(&mut chain, "is it winter", AGED);
        assert_eq!(likely(&chain, None, 0.4).first().map(String::as_str), Some("is it winter"));
    }

    proptest! {
        /// Whatever is said, the tables stay within their bounds, the counts agree, and probabilities are from 0 to 1.
        #[test]
        fn tables_stay_within_bounds(said in proptest::collection::vec(0_u32..2_000, 1..3_000)) {
            let mut chain = Chain::default();
            let text = |n: u32| format!("question {}", ["a", "b", "c", "d", "e", "f", "g"].iter()
                .enumerate().map(|(at, letter)| letter.repeat((n / 4_u32.pow(at as u32) % 4) as usize)).collect::<String>());
            for pair in said.windows(2) {
                let (before, words) = (text(pair[0]), text(pair[1]));
                let by = ["x", "y"][pair[0] as usize % 2];
                chain.learn(&Asked { by, before: Some(&before), words: &words, wording: &words });
            }
            prop_assert!(chain.questions.len() <= MAX_QUESTIONS);
            prop_assert_eq!(chain.asked, chain.questions.values().map(|question| question.asked).sum::<u32>());
            for question in chain.questions.values() {
                prop_assert!(question.next.counts.len() <= MAX_FOLLOWERS);
                prop_assert!(question.next.counts.iter().map(|(_, count)| count).sum::<u32>() <= question.next.all);
            }
            prop_assert!(chain.likely(None, &[], 1.0).is_none());
        }
    }
}
