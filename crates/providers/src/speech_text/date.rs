//! Dates, years and decades.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{group, pattern, replace};
use super::words::{cardinal, ordinal, plural, year};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// A month in words. Capitals matter: "may 5" and "march 10 miles" are no dates.
const MONTH: &str = r"(?<month>January|February|March|April|May|June|July|August|September|October|November|December|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)";

static ISO: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<year>[12]\d{3})-(?<month>\d{2})-(?<day>\d{2})(?:T|\b)"));
static SLASHED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<month>\d{1,2})/(?<day>\d{1,2})/(?<year>[12]\d{3}|\d{2})\b"));
static DOTTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<day>\d{1,2})\.(?<month>\d{1,2})\.(?<year>[12]\d{3})\b"));
static MONTH_DAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r"\b{MONTH}\s+(?<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?<year>[12]\d{{3}})\b)?"))
});
static DAY_MONTH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"\b(?:[Tt]he\s+)?(?<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s+{MONTH}(?:,?\s+(?<year>[12]\d{{3}})\b)?"
    ))
});
static MONTH_YEAR: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"\b{MONTH}\s+(?<year>[12]\d{{3}})\b")));
static DECADE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:\b(?<century>1[1-9]|20)|['’])?\b?(?<tens>[1-9]0|00)['’]?s\b"));

/// Replaces dates, years and decades by words.
pub(super) fn say(text: String) -> String {
    let mut text = text;
    for numeric in [&ISO, &SLASHED, &DOTTED] {
        text = replace(text, numeric, numbers);
    }
    let text = replace(text, &DAY_MONTH, |found| {
        let day = day(found)?;
        Some(format!("the {day} of {}{}", month(group(found, "month")), with_year(found)))
    });
    let text = replace(text, &MONTH_DAY, |found| {
        let day = day(found)?;
        Some(format!("{} {day}{}", month(group(found, "month")), with_year(found)))
    });
    let text = replace(text, &MONTH_YEAR, |found| {
        Some(format!("{}{}", month(group(found, "month")), with_year(found).trim_start_matches(',')))
    });
    replace(text, &DECADE, decade)
}

fn day(found: &Captures<'_>) -> Option<String> {
    let day = group(found, "day").parse().ok()?;
    (1..=31).contains(&day).then(|| ordinal(day))
}

fn with_year(found: &Captures<'_>) -> String {
    group(found, "year").parse().map_or_else(|_| String::new(), |n| format!(", {}", year(n)))
}

/// The full name of a month from its name or an abbreviation.
fn month(written: &str) -> &str {
    let start = written.get(..3).unwrap_or(written);
    MONTHS.into_iter().find(|name| name.starts_with(start)).unwrap_or(written)
}

/// A date in digits, with the month first. When that is impossible, the day comes first.
fn numbers(found: &Captures<'_>) -> Option<String> {
    let number = |name| group(found, name).parse::<u64>().ok();
    let (mut month, mut day, written) = (number("month")?, number("day")?, number("year")?);
    if month > 12 {
        std::mem::swap(&mut month, &mut day);
    }
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let full = match written {
        0..=49 => 2_000 + written,
        50..=99 => 1_900 + written,
        full => full,
    };
    let after = if found[0].ends_with('T') { " at " } else { "" };
    Some(format!("{} {}, {}{after}", MONTHS[month as usize - 1], ordinal(day), year(full)))
}

fn decade(found: &Captures<'_>) -> Option<String> {
    let tens: u64 = group(found, "tens").parse().ok()?;
    let century: Option<u64> = group(found, "century").parse().ok();
    match (century, tens) {
        (None, 0) => None,
        (None, tens) => Some(plural(&cardinal(tens))),
        (Some(20), 0) => Some("two thousands".to_owned()),
        (Some(century), 0) => Some(format!("{} hundreds", cardinal(century))),
        (Some(century), tens) => Some(format!("{} {}", cardinal(century), plural(&cardinal(tens)))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_spoken() {
        for (written, said) in [
            ("on 2024-03-05.", "on March fifth, twenty twenty-four."),
            ("3/5/2024", "March fifth, twenty twenty-four"),
            ("25/12/1999", "December twenty-fifth, nineteen ninety-nine"),
            ("24.12.2025", "December twenty-fourth, twenty twenty-five"),
            ("March 5th", "March fifth"),
            ("on Jan. 21, 2026, we", "on January twenty-first, twenty twenty-six, we"),
            ("5 March 2024", "the fifth of March, twenty twenty-four"),
            ("the 4th of July", "the fourth of July"),
            ("in May 2023", "in May twenty twenty-three"),
            ("the 1990s and '80s", "the nineteen nineties and eighties"),
            ("the 1800s", "the eighteen hundreds"),
            ("It may 5 times", "It may 5 times"),
            ("13/13/2024", "13/13/2024"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
