//! Word errors between texts made comparable: case, punctuation, numbers, symbols and spelling made equal.

use std::ops::AddAssign;

/// Words that differ, of how many.
#[derive(Clone, Copy, Default)]
pub(crate) struct Errors {
    pub(crate) wrong: usize,
    pub(crate) words: usize,
}

impl Errors {
    /// In percent.
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

/// Substitutions, deletions and insertions that turn `reference` into `heard`.
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

/// The words as they sound.
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
        match digits.parse::<u32>() {
            Ok(number) if word == digits => words.extend(cardinal(number)),
            Ok(number) if ["st", "nd", "rd", "th"].contains(&&word[digits.len()..]) => {
                let mut number = cardinal(number);
                let last = number.pop().unwrap_or_default();
                words.extend(number);
                words.push(ordinal(&last));
            }
            _ => words.push(same(word).to_owned()),
        }
    }
    words
}

/// Spellings of the same word.
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

fn cardinal(number: u32) -> Vec<String> {
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 10] =
        ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let mut words = Vec::new();
    let mut rest = number;
    for (size, name) in [(1_000_000, "million"), (1_000, "thousand"), (100, "hundred")] {
        if rest >= size {
            words.extend(cardinal(rest / size));
            words.push(name.to_owned());
            rest %= size;
        }
    }
    if rest >= 20 {
        words.push(TENS[rest as usize / 10].to_owned());
        rest %= 10;
    }
    if rest > 0 || words.is_empty() {
        words.push(ONES[rest as usize].to_owned());
    }
    words
}

fn ordinal(word: &str) -> String {
    match word {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        other => other.strip_suffix('y').map_or_else(|| format!("{other}th"), |stem| format!("{stem}ieth")),
    }
}
