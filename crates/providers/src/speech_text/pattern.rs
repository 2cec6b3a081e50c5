//! Finding and replacing written forms.

use regex::{Captures, Regex};

/// Words that stand between a number and the noun that it counts.
const ADJECTIVES: &[&str] = &[
    "new",
    "more",
    "different",
    "active",
    "other",
    "square",
    "cubic",
    "total",
    "small",
    "large",
    "big",
    "young",
    "old",
    "free",
    "daily",
    "monthly",
    "registered",
    "unique",
    "extra",
    "additional",
    "metric",
    "short",
    "long",
    "open",
    "full",
    "whole",
    "paid",
    "online",
    "local",
    "foreign",
    "loyal",
    "happy",
];
/// Words before an amount that describes a noun.
const ARTICLES: [&str; 10] = ["a", "an", "the", "this", "that", "your", "my", "our", "his", "her"];
/// Nouns that are mostly described by an amount, with an article or without.
const NOUNS: &[&str] = &[
    "dash", "sprint", "relay", "race", "bulb", "bulbs", "battery", "timeout", "bottle", "bottles", "pizza",
    "screen", "monitor", "drive", "limit", "bill", "bills", "coin", "coins", "note", "notes", "radius",
    "lens", "charger", "discount", "SSD", "TV",
];
/// Words that may follow an amount without being described by it.
const NO_NOUNS: &[&str] = &[
    "to", "and", "or", "per", "off", "in", "on", "at", "for", "is", "was", "as", "by", "from", "of", "with",
    "each", "if", "but", "than", "when", "more", "less", "away", "ago", "later", "every", "because", "after",
    "before", "into", "over", "under", "tall", "long", "wide", "high", "deep", "thick", "an", "the", "would",
    "will", "a", "you", "we", "they", "he", "she", "it", "that", "which", "who", "had", "have", "has",
    "left", "needed", "can", "could", "are", "were", "did", "not", "so", "then", "while", "since", "until",
    "without", "within", "between", "during", "through", "below", "above", "apart", "down", "up", "out",
    "back", "north", "south", "east", "west", "AND", "OR",
];
/// What the classes of a pattern mean here: ASCII alone. Digits of other scripts have no words, letters and spaces have been
/// reduced to ASCII, and the tables of Unicode would make patterns ten times as large, which the first call would wait for.
const CLASSES: [(&str, &str); 5] = [
    (r"\d", "[0-9]"),
    (r"\s", r"[\x20\t]"),
    (r"\w", "[0-9A-Za-z_]"),
    (r"\b", r"(?-u:\b)"),
    ("(?i:", "(?i-u:"),
];

/// How many bytes around a form are looked at to tell what it means. A bound keeps hostile text without spaces linear.
const CONTEXT: usize = 40;

/// The text around a written form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    before: &'a str,
    after: &'a str,
}

impl<'a> Around<'a> {
    fn new(text: &'a str, start: usize, end: usize) -> Self {
        let from = text.floor_char_boundary(start.saturating_sub(CONTEXT));
        let to = text.ceil_char_boundary((end + CONTEXT).min(text.len()));
        Self { before: &text[from..start], after: &text[end..to] }
    }

    /// The characters next to the form, nearest first: the one before it.
    pub(super) fn char_before(self) -> Option<char> {
        self.before.chars().next_back()
    }

    /// The character that follows the form.
    pub(super) fn char_after(self) -> Option<char> {
        self.after.chars().next()
    }

    /// What follows the form, as far as it is looked at.
    pub(super) fn rest(self) -> &'a str {
        self.after
    }

    /// The word before the form, without punctuation around it; with `skip`, the word so many words earlier.
    pub(super) fn word_before(self, skip: usize) -> &'a str {
        let word = self.before.split_whitespace().rev().nth(skip).unwrap_or_default();
        word.trim_matches(|c: char| !c.is_alphanumeric() && c != '©')
    }

    /// The word after the form and a space; with `skip`, the word so many words later. Empty after punctuation.
    pub(super) fn word_after(self, skip: usize) -> &'a str {
        if !self.after.starts_with(' ') {
            return "";
        }
        let word = self.after.split_whitespace().nth(skip).unwrap_or_default();
        word.trim_end_matches(|c: char| !c.is_alphanumeric())
    }

    /// Whether a hyphen joins the form to a word before it: "pre-1900".
    pub(super) fn is_joined_to_word(self) -> bool {
        self.before.strip_suffix('-').is_some_and(|word| word.ends_with(char::is_alphabetic))
    }

    /// Whether a sentence can end behind the form: there is no more text, or the next word has a capital.
    pub(super) fn ends_sentence(self) -> bool {
        let next = self.after.trim_start().chars().next();
        next.is_none_or(|c| c.is_uppercase() && self.after.starts_with(char::is_whitespace))
    }

    /// Whether what is counted follows: the plural of a noun, with an adjective before it or without.
    pub(super) fn counts_things(self) -> bool {
        let next = self.word_after(0);
        super::words::is_plural(next)
            || (ADJECTIVES.contains(&next) && super::words::is_plural(self.word_after(1)))
    }

    /// Whether the form describes a noun, as in "a 5 km run": then its unit is in the singular.
    pub(super) fn describes_noun(self) -> bool {
        let next = self.word_after(0);
        let noun = next.len() > 1 && next.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
        let article = self.word_before(0).to_ascii_lowercase();
        let plural = super::words::is_plural(next);
        NOUNS.contains(&next)
            || (ARTICLES.contains(&article.as_str()) && noun && !plural && !NO_NOUNS.contains(&next))
    }
}

/// Compiles a constant pattern.
#[expect(clippy::expect_used, reason = "the patterns are constants, and the tests compile every one")]
pub(super) fn pattern(source: &str) -> Regex {
    let source =
        CLASSES.iter().fold(source.to_owned(), |source, (class, ascii)| source.replace(class, ascii));
    Regex::new(&source).expect("a constant pattern is valid")
}

/// Replaces each match by what `say` returns for it; `None` leaves it as written.
pub(super) fn replace(
    text: String,
    pattern: &Regex,
    say: impl Fn(&Captures<'_>) -> Option<String>,
) -> String {
    replace_in_context(text, pattern, |found, _| say(found))
}

/// Replaces each match by what `say` returns for it and the text around it; `None` leaves it as written.
pub(super) fn replace_in_context(
    text: String,
    pattern: &Regex,
    say: impl Fn(&Captures<'_>, Around<'_>) -> Option<String>,
) -> String {
    let mut said = String::new();
    let mut copied = 0;
    for found in pattern.captures_iter(&text) {
        let Some(whole) = found.get(0) else { continue };
        if let Some(words) = say(&found, Around::new(&text, whole.start(), whole.end())) {
            said.push_str(&text[copied..whole.start()]);
            said.push_str(&words);
            copied = whole.end();
        }
    }
    if copied == 0 {
        return text;
    }
    said.push_str(&text[copied..]);
    said
}

/// The text of a named group; empty when the group took no part in the match.
pub(super) fn group<'a>(found: &'a Captures<'_>, name: &str) -> &'a str {
    found.name(name).map_or("", |group| group.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart_by_the_words_around_them() {
        let around = |text: &'static str| {
            let at = text.find('5').unwrap_or_default();
            Around::new(text, at, at + 1)
        };
        assert_eq!(around("About (5) more things.").word_before(0), "");
        assert_eq!(around("in room 5 there").word_before(1), "in");
        assert!(around("5 new users").counts_things() && around("5 people").counts_things());
        assert!(!around("5 is").counts_things() && !around("5, users").counts_things());
        assert!(around("a 5 run").describes_noun() && !around("a 5 to").describes_noun());
        assert!(around("at 5 Then").ends_sentence() && !around("at 5 then").ends_sentence());
    }

    #[test]
    fn what_has_no_words_stays_as_written() {
        let digit = pattern(r"\d");
        let said = replace("1 ٣ 2".to_owned(), &digit, |found| (&found[0] == "2").then(|| "two".to_owned()));
        assert_eq!(said, "1 ٣ two");
    }
}
