//! Counts word errors between two texts, ignoring differences in case, punctuation, numbers, symbols and spelling.

use std::ops::AddAssign;

use antiphon_providers::speech_text::{cardinal, ordinal};

/// The number of word errors, and the number of words.
#[derive(Clone, Copy, Default)]
pub(crate) struct Errors {
    pub(crate) wrong: usize,
    pub(crate) words: usize,
}

impl Errors {
    /// The word error rate in percent.
    pub(crate) fn rate(self) -> f64 {
        100.0 * self.wrong as f64 / self.words.max(1) as f64
    }
}

impl AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        self.wrong += other.wrong;
        self.words += other.words;
    }
}

/// The fewest substitutions, deletions and insertions of words that turn `reference` into `heard`.
pub(crate) fn compare(reference: &str, heard: &str) -> Errors {
    let (reference, heard) = (normalise(reference), normalise(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, wanted) in reference.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, got) in heard.iter().enumerate() {
            let changed = diagonal + usize::from(wanted != got);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    Errors { wrong: row[heard.len()], words: reference.len() }
}

/// The words in a common spelling.
fn normalise(text: &str) -> Vec<String> {
    let mut spaced = String::new();
    for c in text.to_lowercase().chars() {
        match c {
            '\'' | '’' => {}
            '$' => spaced.push_str(" dollars "),
            '%' => spaced.push_str(" percent "),
            '&' => spaced.push_str(" and "),
            '#' => spaced.push_str(" pound "),
            '*' => spaced.push_str(" star "),
            c if c.is_alphanumeric() => spaced.push(c),
            _ => spaced.push(' '),
        }
    }
    let mut words = Vec::new();
    for word in spaced.split_whitespace() {
        let digits = word.trim_end_matches(char::is_alphabetic);
        match digits.parse() {
            Ok(number) if word == digits => words.extend(split(&cardinal(number))),
            Ok(number) if ["st", "nd", "rd", "th"].contains(&&word[digits.len()..]) => {
                words.extend(split(&ordinal(number)));
            }
            _ => words.push(same(word).to_owned()),
        }
    }
    words
}

/// The common spelling of a word that can be spelled in several ways.
fn same(word: &str) -> &str {
    match word {
        "ok" => "okay",
        "mr" => "mister",
        "mrs" => "missus",
        "dr" => "doctor",
        "etc" => "et cetera",
        "favourite" => "favorite",
        "colour" => "color",
        other => other,
    }
}

/// The words of a number, one by one.
fn split(number: &str) -> impl Iterator<Item = String> {
    number.split([' ', '-']).map(str::to_owned)
}
