//! What a question says, as the guards compare it.

use std::borrow::Cow;

use super::Guard;
use super::lexicon::Lexicon;
use super::numbers::{Item, Number, merge};
use super::phrases;
use super::tokens::tokens;

/// Something that must be in both questions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Symbol {
    pub(super) guard: Guard,
    pub(super) text: Cow<'static, str>,
}

/// What a question says, in its order.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) symbols: Vec<Symbol>,
}

/// A word of the question and what it says, if that matters.
struct Word {
    text: String,
    pause: bool,
    symbol: Option<Symbol>,
}

impl Word {
    fn is(&self, guard: Guard) -> bool {
        self.symbol.as_ref().is_some_and(|symbol| symbol.guard == guard)
    }
}

const AUXILIARIES: [&str; 23] = [
    "do", "does", "did", "is", "are", "am", "was", "were", "can", "could", "will", "would", "shall",
    "should", "may", "might", "must", "have", "has", "had", "if", "whether", "cannot",
];
/// What follows the letter A, but hardly ever the article.
const AFTER_LETTER: [&str; 22] = [
    "is", "are", "was", "were", "of", "in", "on", "for", "and", "or", "to", "do", "does", "did", "can",
    "will", "with", "from", "at", "as", "than", "i",
];
/// What "may" stands behind when it is a month.
const BEFORE_MONTH: [&str; 19] = [
    "in", "of", "since", "by", "until", "till", "last", "next", "this", "early", "late", "mid", "during",
    "from", "to", "before", "after", "for", "on",
];
/// What "one" stands behind when it is a pronoun.
const BEFORE_PRONOUN: [&str; 19] = [
    "which", "this", "that", "the", "any", "some", "each", "every", "another", "other", "new", "old", "only",
    "good", "better", "best", "right", "wrong", "what",
];
/// What "one" stands before when it is a pronoun.
const AFTER_PRONOUN: [&str; 12] =
    ["of", "who", "that", "which", "another", "is", "are", "can", "should", "would", "do", "does"];
/// What "had" and "have" stand before as auxiliaries, besides participles.
const AFTER_HAVE: [&str; 16] = [
    "been", "not", "never", "just", "already", "ever", "recently", "i", "you", "he", "she", "it", "they",
    "we", "done", "also",
];
/// What a participle stands behind when it says nothing of the past: "a lost card", "is it lost".
const BEFORE_ADJECTIVE: [&str; 17] = [
    "a", "an", "the", "my", "your", "our", "his", "her", "their", "this", "is", "are", "am", "be", "being",
    "get", "it",
];
/// What stands before a noun.
const DETERMINERS: [&str; 17] = [
    "a", "an", "the", "this", "that", "these", "those", "my", "your", "his", "her", "its", "our", "their",
    "some", "any", "all",
];
const BE: [&str; 7] = ["is", "are", "am", "was", "were", "be", "been"];
/// What "do" stands behind when it is no auxiliary.
const DOERS: [&str; 16] = [
    "i", "you", "he", "she", "it", "we", "they", "to", "can", "could", "should", "would", "will", "must",
    "may", "might",
];
const WITHOUT_SUBJECT: [&str; 8] = ["what", "which", "where", "when", "why", "how", "who", "whom"];

impl Reading {
    /// Reads a question.
    pub(super) fn of(text: &str) -> Self {
        let lexicon = Lexicon::get();
        let (tokens, opened) = phrases::replace(tokens(text));
        let items = merge(tokens);
        let mut reading = Self::default();
        let mut words: Vec<Word> = Vec::with_capacity(items.len());
        for at in 0..items.len() {
            let symbol = match &items[at] {
                Item::Number(number) => number_symbol(&items, at, number),
                Item::Word(word) => {
                    let context = Context { lexicon, items: &items, at, word: &word.text };
                    reading.note_grammar(&context, opened);
                    context.symbol()
                }
            };
            words.push(word(&items[at], symbol));
        }
        negations(&mut words, lexicon);
        dates(&mut words);
        currencies(&mut words);
        pairs(&mut words);
        reading.symbols.extend(words.into_iter().filter_map(|word| word.symbol));
        reading
    }

    /// Adds what a sentence's form says: that it asks whether, and of which time.
    fn note_grammar(&mut self, context: &Context<'_>, opened: bool) {
        let starts = context.at == 0 || context.previous_pauses();
        let conditional = matches!(context.word, "if" | "whether");
        let opened = opened && context.at == 0;
        if starts && AUXILIARIES.contains(&context.word) && (!conditional || opened) {
            self.add(Guard::Question, "whether");
        }
        if matches!(context.word, "will" | "shall") || context.is_going_to() {
            self.add(Guard::Tense, "future");
        }
        if context.is_past() {
            self.add(Guard::Tense, "past");
        }
    }

    fn add(&mut self, guard: Guard, text: &'static str) {
        self.symbols.push(Symbol { guard, text: text.into() });
    }
}

fn time_of_day(word: &str) -> &'static str {
    if word == "am" { "am" } else { "pm" }
}

fn word(item: &Item, symbol: Option<Symbol>) -> Word {
    match item {
        Item::Number(number) => Word { text: number.digits.clone(), pause: number.pause, symbol },
        Item::Word(token) => Word { text: token.text.clone(), pause: token.pause, symbol },
    }
}

fn number_symbol(items: &[Item], at: usize, number: &Number) -> Option<Symbol> {
    let before = at.checked_sub(1).and_then(|at| text(items, at));
    let is_pronoun = number.lone_one
        && (number.pause
            || before.is_some_and(|word| BEFORE_PRONOUN.contains(&word))
            || text(items, at + 1).is_some_and(|word| AFTER_PRONOUN.contains(&word)));
    let digits = if number.ordinal { format!("{}th", number.digits) } else { number.digits.clone() };
    (!is_pronoun).then(|| Symbol { guard: Guard::Number, text: digits.into() })
}

fn text(items: &[Item], at: usize) -> Option<&str> {
    match items.get(at)? {
        Item::Word(token) => Some(&token.text),
        Item::Number(_) => None,
    }
}

/// A word between its neighbours.
struct Context<'a> {
    lexicon: &'static Lexicon,
    items: &'a [Item],
    at: usize,
    word: &'a str,
}

impl<'a> Context<'a> {
    fn before(&self) -> Option<&'a str> {
        text(self.items, self.at.checked_sub(1)?)
    }

    fn after(&self) -> Option<&'a str> {
        text(self.items, self.at + 1)
    }

    fn is_number(&self, at: Option<usize>) -> bool {
        at.and_then(|at| self.items.get(at)).is_some_and(|item| matches!(item, Item::Number(_)))
    }

    fn pauses(&self, at: usize) -> bool {
        self.items.get(at).is_none_or(|item| match item {
            Item::Word(token) => token.pause,
            Item::Number(number) => number.pause,
        })
    }

    fn previous_pauses(&self) -> bool {
        self.at.checked_sub(1).is_some_and(|at| self.pauses(at))
    }

    fn symbol(&self) -> Option<Symbol> {
        let (before, after) = (self.before(), self.after());
        let symbol = |guard, text: &'static str| Some(Symbol { guard, text: text.into() });
        match self.word {
            "a" if self.pauses(self.at) || after.is_some_and(|word| AFTER_LETTER.contains(&word)) => {
                symbol(Guard::Content, "letter a")
            }
            "a" => None,
            "may" if self.is_month(before) => symbol(Guard::Date, "may"),
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

    /// "Going to rain", not "going to Rome".
    fn is_going_to(&self) -> bool {
        self.word == "going" && self.after() == Some("to") && self.is_infinitive(self.at + 1)
    }

    fn is_month(&self, before: Option<&str>) -> bool {
        before.is_some_and(|word| BEFORE_MONTH.contains(&word))
            || self.is_number(self.at.checked_sub(1))
            || self.is_number(Some(self.at + 1))
    }

    /// A verb follows: a known one, or one with an object.
    fn is_infinitive(&self, to: usize) -> bool {
        let is_base = |word: &str| self.lexicon.form(word).is_some_and(|form| form.base == word);
        let has_object = || text(self.items, to + 2).is_some_and(|word| DETERMINERS.contains(&word));
        text(self.items, to + 1).is_none_or(|word| {
            matches!(word, "be" | "do" | "have" | "not")
                || is_base(word)
                || !DETERMINERS.contains(&word) && !self.pauses(to + 1) && has_object()
        })
    }

    /// "What is in it" is not "what is it".
    fn is_place(&self) -> bool {
        let asked = self.at.checked_sub(2).and_then(|at| text(self.items, at));
        self.before().is_some_and(|word| BE.contains(&word))
            && asked.is_some_and(|word| WITHOUT_SUBJECT.contains(&word))
    }

    /// "Do" as what is done: "what does it do", not "what does it cost".
    fn is_deed(&self, before: Option<&str>) -> bool {
        let has_doer = before.is_some_and(|word| DOERS.contains(&word)) && self.after() != Some("not");
        has_doer || self.pauses(self.at)
    }

    /// "Have" before a participle, or where questions begin with it.
    fn is_auxiliary(&self) -> bool {
        let starts = self.at == 0 || self.before().is_some_and(|word| WITHOUT_SUBJECT.contains(&word));
        let follows = |word: &str| {
            AFTER_HAVE.contains(&word) || self.lexicon.form(word).is_some_and(|form| form.is_past)
        };
        starts || self.after().is_some_and(follows)
    }

    fn is_past(&self) -> bool {
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

/// What is denied by "doesn't my card work" is that it works: "does my card not work".
fn negations(words: &mut [Word], lexicon: &Lexicon) {
    const CLAUSE: [&str; 8] = ["to", "if", "that", "and", "or", "but", "because", "not"];
    for at in 1..words.len() {
        if words[at].text != "not" || !AUXILIARIES.contains(&words[at - 1].text.as_str()) {
            continue;
        }
        let clause = words[at..].iter().skip(1).take_while(|word| !CLAUSE.contains(&word.text.as_str()));
        let pause = words[at..].iter().position(|word| word.pause).unwrap_or(words.len());
        let verb = clause.take(pause).position(|word| lexicon.form(&word.text).is_some());
        if let Some(ahead) = verb {
            words[at..=at + ahead].rotate_left(1);
        }
    }
}

/// "The 26th of October" is "October 26".
fn dates(words: &mut [Word]) {
    const LAST_DAY: u32 = 31;
    for month in 0..words.len() {
        if !words[month].is(Guard::Date) {
            continue;
        }
        let is_day =
            |word: &Word| word.is(Guard::Number) && word.text.parse().is_ok_and(|day: u32| day <= LAST_DAY);
        let of = usize::from(month > 0 && words[month - 1].text == "of");
        let before = month.checked_sub(1 + of).filter(|at| is_day(&words[*at]));
        let day = before.or_else(|| Some(month + 1).filter(|at| words.get(*at).is_some_and(is_day)));
        let Some(day) = day else { continue };
        let digits = words[day].text.clone();
        words[day].symbol = Some(Symbol { guard: Guard::Number, text: digits.into() });
        if day < month {
            words.swap(day, month);
        }
    }
}

/// "$5" is "5 dollars".
fn currencies(words: &mut [Word]) {
    for at in 1..words.len() {
        if words[at].is(Guard::Number) && ["$", "€", "£", "¥", "₹"].contains(&words[at - 1].text.as_str())
        {
            words.swap(at - 1, at);
        }
    }
}

/// "Visa or Mastercard" is "Mastercard or Visa", where nothing follows that belongs to the second alone.
fn pairs(words: &mut [Word]) {
    for at in 2..words.len() {
        let [first, joint, second] = &words[at - 2..=at] else { continue };
        let joins = ["and", "or", "vs", "versus"].contains(&joint.text.as_str());
        let contents = first.is(Guard::Content) && second.is(Guard::Content);
        let ends = second.pause || words.get(at + 1).is_none_or(|next| !next.is(Guard::Content));
        if joins && contents && ends && !first.pause && first.symbol > second.symbol {
            words.swap(at - 2, at);
        }
    }
}
