//! Names made of letters and digits, which are spelled: "B12" is "B twelve".

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::{group, pattern, replace};
use super::words::{cardinal, digits};

/// A word of letters and digits, such as "B12", "MP3", "COVID-19", "4K", "GPT-4".
static MIXED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\b(?:(?<head>[A-Za-z]+)-?(?<number>\d+)|(?<front>\d+)(?<letters>[A-Z]{1,3}))\b")
});

/// Replaces names made of letters and digits by words.
pub(super) fn say(text: String) -> String {
    replace(text, &MIXED, |found| {
        let (head, number) = (group(found, "head"), group(found, "number"));
        if head.is_empty() {
            return Some(format!("{} {}", spoken(group(found, "front")), spelled(group(found, "letters"))));
        }
        let short = head.len() <= 3 && head.chars().all(char::is_uppercase);
        let head = if short { spelled(head) } else { head.to_owned() };
        Some(format!("{head} {}", spoken(number)))
    })
}

/// Up to two digits are said as a number, more of them digit by digit.
fn spoken(number: &str) -> String {
    match number.parse() {
        Ok(n) if number.len() <= 2 && !number.starts_with('0') => cardinal(n),
        _ => digits(number),
    }
}

/// The letters with spaces between them, so that a voice spells them: "U K".
pub(super) fn spelled(letters: &str) -> String {
    let letters: Vec<String> = letters.chars().map(String::from).collect();
    letters.join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn letters_and_digits_are_said_apart() {
        for (written, said) in [
            ("vitamin B12", "vitamin B twelve"),
            ("an MP3 in 4K", "an M P three in four K"),
            ("COVID-19", "COVID nineteen"),
            ("flight BA2490", "flight B A two four nine zero"),
            ("gate A07", "gate A zero seven"),
            ("no change", "no change"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
