//! Decides what a word means by its neighbours.

use super::Guard;
use super::lexicon::Lexicon;
use super::numbers::{Number, WordOrNumber};
use super::symbol::Symbol;

/// Auxiliaries: a clause that begins with one is a yes-or-no question.
pub(super) const AUXILIARIES: [&str; 23] = [
    "do", "does", "did", "is", "are", "am", "was", "were", "can", "could", "will", "would", "shall",
    "should", "may", "might", "must", "have", "has", "had", "if", "whether", "cannot",
];
/// Words that follow the letter A, but hardly ever the article.
const AFTER_LETTER: [&str; 22] = [
    "is", "are", "was", "were", "of", "in", "on", "for", "and", "or", "to", "do", "does", "did", "can",
    "will", "with", "from", "at", "as", "than", "i",
];
/// Words before "may" when it is a month.
const BEFORE_MONTH: [&str; 19] = [
    "in", "of", "since", "by", "until", "till", "last", "next", "this", "early", "late", "mid", "during",
    "from", "to", "before", "after", "for", "on",
];
/// Words before "one" when it is a pronoun.
const BEFORE_PRONOUN: [&str; 19] = [
    "which", "this", "that", "the", "any", "some", "each", "every", "another", "other", "new", "old", "only",
    "good", "better", "best", "right", "wrong", "what",
];
/// Words after "one" when it is a pronoun.
const AFTER_PRONOUN: [&str; 12] =
    ["of", "who", "that", "which", "another", "is", "are", "can", "should", "would", "do", "does"];
/// Words after "had" and "have" when they are auxiliaries, besides participles.
const AFTER_HAVE: [&str; 16] = [
    "been", "not", "never", "just", "already", "ever", "recently", "i", "you", "he", "she", "it", "they",
    "we", "done", "also",
];
/// Words before a participle that does not express the past: "a lost card", "is it lost".
const BEFORE_ADJECTIVE: [&str; 17] = [
    "a", "an", "the", "my", "your", "our", "his", "her", "their", "this", "is", "are", "am", "be", "being",
    "get", "it",
];
/// Words that introduce a noun.
const DETERMINERS: [&str; 17] = [
    "a", "an", "the", "this", "that", "these", "those", "my", "your", "his", "her", "its", "our", "their",
    "some", "any", "all",
];
/// The forms of "be", an auxiliary that may stand before a participle.
const BE: [&str; 7] = ["is", "are", "am", "was", "were", "be", "been"];
/// Pronouns that stand as the subject of a sentence.
const SUBJECTS: [&str; 6] = ["i", "you", "he", "she", "we", "they"];
/// Words before "do" when it is not an auxiliary.
const DOERS: [&str; 16] = [
    "i", "you", "he", "she", "it", "we", "they", "to", "can", "could", "should", "would", "will", "must",
    "may", "might",
];
/// The most words between "was" and "paid" in a passive, in a question as in a statement.
const PASSIVE_REACH: usize = 5;
/// Words with which a question asks for something other than yes or no.
const WH_WORDS: [&str; 8] = ["what", "which", "where", "when", "why", "how", "who", "whom"];

pub(super) fn number_symbol(items: &[WordOrNumber], at: usize, number: &Number) -> Option<Symbol> {
    let before = at.checked_sub(1).and_then(|at| text(items, at));
    let is_pronoun = number.lone_one
        && (number.pause
            || before.is_some_and(|word| BEFORE_PRONOUN.contains(&word))
            || text(items, at + 1).is_some_and(|word| AFTER_PRONOUN.contains(&word)));
    let digits = if number.ordinal { format!("{}th", number.digits) } else { number.digits.clone() };
    (!is_pronoun).then(|| Symbol { guard: Guard::Number, text: digits.into() })
}

fn text(items: &[WordOrNumber], at: usize) -> Option<&str> {
    match items.get(at)? {
        WordOrNumber::Word(token) => Some(&token.text),
        WordOrNumber::Number(_) => None,
    }
}

/// A word between its neighbours.
pub(super) struct Context<'a> {
    pub(super) lexicon: &'static Lexicon,
    pub(super) items: &'a [WordOrNumber],
    pub(super) at: usize,
    pub(super) word: &'a str,
}

impl<'a> Context<'a> {
    fn before(&self) -> Option<&'a str> {
        text(self.items, self.at.checked_sub(1)?)
    }

    fn after(&self) -> Option<&'a str> {
        text(self.items, self.at + 1)
    }

    fn is_number(&self, at: Option<usize>) -> bool {
        at.and_then(|at| self.items.get(at)).is_some_and(|item| matches!(item, WordOrNumber::Number(_)))
    }

    fn pauses(&self, at: usize) -> bool {
        self.items.get(at).is_none_or(|item| match item {
            WordOrNumber::Word(token) => token.pause,
            WordOrNumber::Number(number) => number.pause,
        })
    }

    pub(super) fn previous_pauses(&self) -> bool {
        self.at.checked_sub(1).is_some_and(|at| self.pauses(at))
    }

    pub(super) fn symbol(&self) -> Option<Symbol> {
        let (before, after) = (self.before(), self.after());
        let symbol = |guard, text: &'static str| Some(Symbol { guard, text: text.into() });
        match self.word {
            "a" if self.pauses(self.at) || after.is_some_and(|word| AFTER_LETTER.contains(&word)) => {
                symbol(Guard::Content, "letter a")
            }
            "a" => None,
            "may" if self.is_month(before) => symbol(Guard::Date, "may"),
            "who" | "what" | "which" if self.asks_for_object() => symbol(Guard::Question, "whom"),
            "am" | "pm" if self.is_number(self.at.checked_sub(1)) => {
                symbol(Guard::Unit, time_of_day(self.word))
            }
            "going" if self.is_going_to() => None,
            "to" if self.is_infinitive(self.at) => None,
            "to" => symbol(Guard::Direction, "to"),
            "do" | "does" | "did" | "doing" | "done" if self.is_deed(before) => symbol(Guard::Content, "do"),
            "in" | "on" | "at" | "of" | "for" | "with" | "about" if self.is_place() => {
                Some(Symbol { guard: Guard::Content, text: self.word.to_owned().into() })
            }
            "in" => symbol(Guard::Direction, "in"),
            "on" => symbol(Guard::Direction, "on"),
            "have" | "has" | "had" if self.is_auxiliary() => None,
            "have" | "has" | "had" => symbol(Guard::Content, "have"),
            word => match self.lexicon.meaning(word) {
                Some((guard, meaning)) => symbol(guard, meaning),
                None if self.lexicon.is_silent(word) => None,
                None => Some(Symbol { guard: Guard::Content, text: self.lexicon.content(word) }),
            },
        }
    }

    /// Whether a question word asks for the object: "who did I invite", not "who invited me".
    fn asks_for_object(&self) -> bool {
        let does = self.after().is_some_and(|word| matches!(word, "do" | "does" | "did"));
        let acts = self.after().is_some_and(|word| AUXILIARIES.contains(&word) && !BE.contains(&word));
        let doer = text(self.items, self.at + 2).is_some_and(|word| SUBJECTS.contains(&word));
        acts && doer || does && self.word == "who"
    }

    /// Whether the word is part of a passive: "I was paid", "was I paid", "being paid".
    pub(super) fn is_passive(&self) -> bool {
        let is_past = self.lexicon.form(self.word).is_some_and(|form| form.is_past);
        let mut behind =
            (self.at.saturating_sub(PASSIVE_REACH)..self.at).filter_map(|at| text(self.items, at));
        self.word == "being" || is_past && behind.any(|word| BE.contains(&word))
    }

    /// Whether "going" expresses the future: "going to rain", not "going to Rome".
    pub(super) fn is_going_to(&self) -> bool {
        self.word == "going" && self.after() == Some("to") && self.is_infinitive(self.at + 1)
    }

    fn is_month(&self, before: Option<&str>) -> bool {
        before.is_some_and(|word| BEFORE_MONTH.contains(&word))
            || self.is_number(self.at.checked_sub(1))
            || self.is_number(Some(self.at + 1))
    }

    /// Whether "to" is followed by a verb: a known one, or one with an object.
    fn is_infinitive(&self, to: usize) -> bool {
        let is_base = |word: &str| self.lexicon.form(word).is_some_and(|form| form.base == word);
        let has_object = || text(self.items, to + 2).is_some_and(|word| DETERMINERS.contains(&word));
        text(self.items, to + 1).is_none_or(|word| {
            matches!(word, "be" | "do" | "have" | "not")
                || is_base(word)
                || !DETERMINERS.contains(&word) && !self.pauses(to + 1) && has_object()
        })
    }

    /// Whether a preposition is what is asked for: "what is in it" is not "what is it".
    fn is_place(&self) -> bool {
        let asked = self.at.checked_sub(2).and_then(|at| text(self.items, at));
        self.before().is_some_and(|word| BE.contains(&word))
            && asked.is_some_and(|word| WH_WORDS.contains(&word))
    }

    /// Whether "do" is the main verb: "what does it do", not "what does it cost".
    fn is_deed(&self, before: Option<&str>) -> bool {
        let has_doer = before.is_some_and(|word| DOERS.contains(&word)) && self.after() != Some("not");
        has_doer || self.pauses(self.at)
    }

    /// Whether "have" is an auxiliary: before a participle, or at the beginning of a question.
    fn is_auxiliary(&self) -> bool {
        let starts = self.at == 0 || self.before().is_some_and(|word| WH_WORDS.contains(&word));
        let follows = |word: &str| {
            AFTER_HAVE.contains(&word) || self.lexicon.form(word).is_some_and(|form| form.is_past)
        };
        starts || self.after().is_some_and(follows)
    }

    pub(super) fn is_past(&self) -> bool {
        match self.word {
            "was" | "were" | "did" | "had" => true,
            "have" | "has" => self.is_auxiliary(),
            word => {
                let is_adjective = self.before().is_some_and(|word| BEFORE_ADJECTIVE.contains(&word));
                !is_adjective && self.lexicon.form(word).is_some_and(|form| form.is_past)
            }
        }
    }
}

fn time_of_day(word: &str) -> &'static str {
    if word == "am" { "am" } else { "pm" }
}
