//! Fractions, and pairs of numbers with a slash that are none.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace, replace_in_context};
use super::words::{amount, cardinal, ordinal, plural};

static FRACTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:(?<whole>\d+)(?:\s+|-))?(?<top>\d{1,3})\s?/\s?(?<bottom>[1-9]\d{0,3})(?<ending>ths?|rds?|nds?)?\b",
    )
});
/// "4.5/5" is no fraction.
static RATING: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<top>\d{1,3}\.\d{1,2})/(?<bottom>\d{1,3})\b"));
static VULGAR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?<whole>\d+)?\s?(?<sign>[½¼¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])"));
/// Pairs of numbers that have a name of their own and are no fractions, although they look like one.
const NAMES: &[(&str, &str)] = &[("7/11", "seven eleven"), ("9/11", "nine eleven"), ("4/20", "four twenty")];
/// Each fraction that has a sign of its own.
const SIGNS: &[(&str, u64, u64)] = &[
    ("½", 1, 2),
    ("¼", 1, 4),
    ("¾", 3, 4),
    ("⅓", 1, 3),
    ("⅔", 2, 3),
    ("⅕", 1, 5),
    ("⅖", 2, 5),
    ("⅗", 3, 5),
    ("⅘", 4, 5),
    ("⅙", 1, 6),
    ("⅚", 5, 6),
    ("⅛", 1, 8),
    ("⅜", 3, 8),
    ("⅝", 5, 8),
    ("⅞", 7, 8),
];

/// Words before a number of points out of a total.
const RATES: [&str; 9] = ["score", "rated", "rate", "rating", "scored", "got", "gave", "gives", "solid"];

/// Replaces fractions by words.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &RATING, |found| {
        Some(format!("{} out of {}", amount(group(found, "top")), amount(group(found, "bottom"))))
    });
    let text = replace(text, &VULGAR, |found| quantity(found[0].trim()).map(|said| spaced(&found[0], &said)));
    replace_in_context(text, &FRACTION, fraction)
}

/// The words with the space that the sign had before it.
fn spaced(written: &str, said: &str) -> String {
    if written.starts_with(' ') { format!(" {said}") } else { said.to_owned() }
}

/// A number with a fraction: "2 1/2", "1/2", "2½"; `None` if it has none.
pub(super) fn quantity(written: &str) -> Option<String> {
    if let Some((sign, top, bottom)) = SIGNS.iter().find(|(sign, ..)| written.ends_with(sign)) {
        let whole = written.trim_end_matches(sign).trim();
        return Some(mixed(whole.parse().ok(), *top, *bottom));
    }
    let (whole, part) = match written.split_once(' ') {
        Some((whole, part)) => (whole.parse().ok(), part),
        None => (None, written),
    };
    let (top, bottom) = part.split_once('/')?;
    let (top, bottom): (u64, u64) = (top.trim().parse().ok()?, bottom.trim().parse().ok()?);
    (bottom > 1).then(|| mixed(whole, top, bottom))
}

/// A whole number and a fraction: 2, 1, 2 is "two and a half".
fn mixed(whole: Option<u64>, top: u64, bottom: u64) -> String {
    let part = match bottom {
        2 if top == 1 => "half".to_owned(),
        2 => "halve".to_owned(),
        4 => "quarter".to_owned(),
        bottom => ordinal(bottom),
    };
    let part = if top == 1 { part } else { plural(&part) };
    let article = if bottom == 8 || bottom == 11 || bottom == 18 { "an" } else { "a" };
    match (whole, top) {
        (Some(whole), 1) => format!("{} and {article} {part}", cardinal(whole)),
        (Some(whole), top) => format!("{} and {} {part}", cardinal(whole), cardinal(top)),
        (None, top) => format!("{} {part}", cardinal(top)),
    }
}

fn fraction(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (top, bottom): (u64, u64) = (group(found, "top").parse().ok()?, group(found, "bottom").parse().ok()?);
    let whole = group(found, "whole");
    let outside = around.char_before().is_some_and(|c| "/.,".contains(c)) || around.char_after() == Some('/');
    if outside {
        return None;
    }
    if let Some((_, name)) = NAMES.iter().find(|(written, _)| *written == found[0].replace(' ', "")) {
        return Some((*name).to_owned());
    }
    let before = if whole.is_empty() { String::new() } else { format!("{whole} ") };
    // Points are out of a total: "gave it 8/10", "9/10 people".
    let rated = RATES.contains(&around.word_before(0).to_lowercase().as_str())
        || RATES.contains(&around.word_before(1).to_lowercase().as_str())
        || (matches!(around.word_after(0), "stars" | "star" | "rating") && top <= bottom)
        || (matches!(bottom, 10 | 100)
            && (around.counts_things() || matches!(around.word_before(0), "a" | "an")));
    let named =
        top < bottom && (bottom <= 100 || bottom == 1_000) && top < 100 && !(rated && whole.is_empty());
    match (named, rated) {
        (true, _) => Some(mixed(whole.parse().ok(), top, bottom)),
        (false, true) => Some(format!("{before}{} out of {}", cardinal(top), cardinal(bottom))),
        // Halves and the like may be more than one, "24/7" is no fraction: its numbers are said one after the other.
        (false, false) if !group(found, "ending").is_empty() || matches!((top, bottom), (3..=9, 2 | 4)) => {
            Some(mixed(whole.parse().ok(), top, bottom))
        }
        (false, false) if found[0].contains(" /") => {
            Some(format!("{before}{} divided by {}", cardinal(top), cardinal(bottom)))
        }
        (false, false) if top < 100 && bottom < 100 => {
            Some(format!("{before}{} {}", cardinal(top), cardinal(bottom)))
        }
        // A blood pressure, and all else.
        (false, false) => Some(format!("{before}{} over {}", cardinal(top), cardinal(bottom))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn fractions_are_spoken() {
        for (written, said) in [
            ("1/2 cup, 3/4 cup, 2 1/2 cups", "one half cup, three quarters cup, two and a half cups"),
            ("2½ cups, a ¼", "two and a half cups, a one quarter"),
            ("24/7, 50/50, 9/11", "twenty-four seven, fifty fifty, nine eleven"),
            ("3/2", "three halves"),
            (
                "gave 8/10, 4.5/5, 120/80",
                "gave eight out of ten, four point five out of five, one hundred twenty over eighty",
            ),
            ("1/1000, 3/4ths", "one one thousandth, three quarters"),
            ("1 1/8 inches", "one and an eighth inches"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
