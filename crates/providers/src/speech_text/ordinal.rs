//! Ordinal numbers: "21st" is "twenty-first".

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::{group, pattern, replace_in_context};
use super::words::ordinal;

static ORDINAL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<number>\d{1,3}(?:,\d{3}){1,5}|\d{1,18})(?i:st|nd|rd|th)(?<many>s)?\b"));

/// Replaces ordinal numbers by words.
pub(super) fn say(text: String) -> String {
    replace_in_context(text, &ORDINAL, |found, around| {
        // "3/4ths" is a fraction.
        if around.char_before() == Some('/') {
            return None;
        }
        let n = group(found, "number").replace(',', "").parse().ok()?;
        Some(format!("{}{}", ordinal(n), group(found, "many")))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn ordinals_are_spoken() {
        for (written, said) in [
            ("the 21st and 2nd", "the twenty-first and second"),
            ("1,000th, 19TH", "one thousandth, nineteenth"),
            ("two 5ths", "two fifths"),
            ("99999999999999999999th", "99999999999999999999th"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
