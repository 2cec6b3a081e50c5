//! Puts the words of a question into an order in which two questions can be compared.

use super::Guard;
use super::context::AUXILIARIES;
use super::lexicon::Lexicon;
use super::symbol::Symbol;

/// Words that end the clause in which a negation applies.
const CLAUSE: [&str; 8] = ["to", "if", "that", "and", "or", "but", "because", "not"];
/// The last day of a month.
const LAST_DAY: u32 = 31;

/// A word of the question, and the fact it states, if any.
pub(super) struct Word {
    pub(super) text: String,
    pub(super) pause: bool,
    pub(super) symbol: Option<Symbol>,
}

impl Word {
    fn is(&self, guard: Guard) -> bool {
        self.symbol.as_ref().is_some_and(|symbol| symbol.guard == guard)
    }
}

/// Moves "not" in front of the verb that it denies: "does not my card work" becomes "does my card not work".
pub(super) fn negations(words: &mut [Word], lexicon: &Lexicon) {
    for at in 1..words.len() {
        if words[at].text != "not" || !AUXILIARIES.contains(&words[at - 1].text.as_str()) {
            continue;
        }
        let clause = words[at..].iter().skip(1).take_while(|word| !CLAUSE.contains(&word.text.as_str()));
        let pause = words[at..].iter().position(|word| word.pause).unwrap_or(words.len());
        let verb = clause.take(pause).position(|word| lexicon.form(&word.text).is_some());
        if let Some(distance) = verb {
            words[at..=at + distance].rotate_left(1);
        }
    }
}

/// Writes dates as month and day: "the 26th of October" becomes "October 26".
pub(super) fn dates(words: &mut [Word]) {
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

/// Writes currencies behind their amounts: "$5" becomes "5 $", like "5 dollars".
pub(super) fn currencies(words: &mut [Word]) {
    for at in 1..words.len() {
        if words[at].is(Guard::Number) && ["$", "€", "£", "¥", "₹"].contains(&words[at - 1].text.as_str())
        {
            words.swap(at - 1, at);
        }
    }
}

/// Sorts pairs: "Visa or Mastercard" and "Mastercard or Visa" become the same,
/// unless a word follows that belongs to the second alone.
pub(super) fn pairs(words: &mut [Word]) {
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
