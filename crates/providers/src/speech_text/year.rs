//! Years: a number with four digits is one unless something is counted or named with it.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace, replace_in_context};
use super::words::{cardinal, digits, year};

/// A range of years, the second of which may be shortened: "1990-1995", "1990-95".
static YEARS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<from>1\d{3}|20\d\d)\s?(?<sign>[-–—/])\s?(?<to>1\d{3}|20\d\d|\d\d)\b"));
static YEAR: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?<year>1\d{3}|20\d\d)\b"));
/// The years of an era: "AD 79", "44 BC".
static ERA: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:(?<before>AD|A\.D\.)\s?(?<late>\d{1,4})|(?<early>\d{1,4})\s?(?<after>BCE?|CE|AD|B\.C\.E?\.?|A\.D\.|C\.E\.))(?:\b|$|\s)",
    )
});

/// A range of years that has not ended.
static TO_NOW: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b((?:19|20)\d\d)\s?[-–—]\s?(?i:(present|now|today))\b"));
/// A year without its century: '98.
static SHORT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?<before>^|[\s(])'(?<year>\d\d)\b"));

/// Words that only a year follows, or nearly so.
const BEFORE_YEARS: &[&str] = &[
    "in",
    "since",
    "until",
    "till",
    "by",
    "from",
    "of",
    "before",
    "after",
    "during",
    "around",
    "year",
    "early",
    "late",
    "circa",
    "ca",
    "c",
    "©",
    "copyright",
    "between",
    "through",
    "spring",
    "summer",
    "fall",
    "autumn",
    "winter",
    "born",
    "died",
    "est",
    "established",
    "founded",
    "class",
    "year",
];
/// Words before a number that is a name or a code, and no year.
const NO_YEARS: &[&str] = &[
    "code",
    "pin",
    "number",
    "no",
    "extension",
    "ext",
    "order",
    "account",
    "id",
    "flight",
    "room",
    "suite",
    "password",
    "route",
    "highway",
    "zip",
    "ticket",
    "case",
    "invoice",
    "reference",
    "apartment",
    "apt",
    "page",
    "box",
    "building",
    "line",
    "about",
    "approximately",
    "roughly",
    "nearly",
    "almost",
    "over",
    "exactly",
    "costs",
    "equals",
    "than",
];

/// Replaces years by words.
pub(super) fn say(text: String) -> String {
    let text = replace_in_context(text, &ERA, era);
    let text = replace_in_context(text, &YEARS, years);
    let text = replace(text, &TO_NOW, |found| Some(format!("{} to {}", &found[1], &found[2])));
    let text = replace(text, &SHORT, |found| {
        Some(format!("{}{}", group(found, "before"), short(group(found, "year"))))
    });
    replace_in_context(text, &YEAR, |found, around| {
        let n = group(found, "year").parse().ok()?;
        is_year(n, around).then(|| year(n))
    })
}

fn era(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (written, sign) = match group(found, "late") {
        "" => (group(found, "early"), group(found, "after")),
        late => (late, group(found, "before")),
    };
    if around.char_before().is_some_and(|c| "$.,:/".contains(c)) {
        return None;
    }
    let n = year(written.parse().ok()?);
    let letters: Vec<String> = sign.chars().filter(|c| c.is_alphabetic()).map(String::from).collect();
    let sign = letters.join(" ");
    let space = if found[0].ends_with(' ') { " " } else { "" };
    Some(if group(found, "late").is_empty() {
        format!("{n} {sign}{space}")
    } else {
        format!("{sign} {n}{space}")
    })
}

fn years(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (from, written) = (group(found, "from").parse::<u64>().ok()?, group(found, "to"));
    let last: u64 = written.parse().ok()?;
    let to = if written.len() == 2 { from / 100 * 100 + last } else { last };
    let sign = group(found, "sign");
    if to <= from || from < 1_100 || around.counts_things() || !stands_alone(around) {
        return None;
    }
    // "2023/24" is a season, whose years are said one after the other.
    let joint = if sign == "/" { " " } else { " to " };
    let said = if written.len() == 4 {
        year(last)
    } else if last < 10 {
        format!("oh {}", cardinal(last))
    } else {
        cardinal(last)
    };
    Some(format!("{}{joint}{said}", year(from)))
}

fn is_year(n: u64, around: Around<'_>) -> bool {
    let before = around.word_before(0).to_lowercase();
    let joined = around.is_joined_to_word();
    if !stands_alone(around) || (around.counts_things() && !joined) || NO_YEARS.contains(&before.as_str()) {
        return false;
    }
    match n {
        1_900..=2_099 => true,
        1_000 => false,
        _ => {
            let chained = matches!(before.as_str(), "and" | "to" | "or")
                && (around.word_before(1).len() == 4
                    && around.word_before(1).bytes().all(|b| b.is_ascii_digit()));
            let bracketed = around.char_before() == Some('(') && around.char_after() == Some(')');
            // "the 1812 Overture" names one thing, "the 1812 books" count several.
            let named = before == "the" && !around.word_after(0).is_empty() && n >= 1_100;
            let told =
                matches!(before.as_str(), "was" | "is") && around.word_before(1).eq_ignore_ascii_case("year");
            chained || named || told || bracketed || BEFORE_YEARS.contains(&before.as_str())
        }
    }
}

/// Whether the number is not a part of a longer form, such as `$1999`, `1999.5` or `#2024`.
fn stands_alone(around: Around<'_>) -> bool {
    let before = around.char_before().is_none_or(|c| c.is_whitespace() || "('[-—–/©".contains(c));
    let mut after = around.rest().chars();
    match (after.next(), after.next()) {
        (None, _) => before,
        (Some('.' | ',' | ':'), Some(next)) => before && !next.is_ascii_digit(),
        (Some(c), next) => {
            before && !"%°$€£+*=^×x\"".contains(c) && !(c == '-' && next.is_some_and(|c| c.is_ascii_digit()))
        }
    }
}

/// A year that is written with two digits and an apostrophe: '98.
pub(super) fn short(written: &str) -> String {
    match written.parse::<u64>() {
        Ok(n @ 0..=9) => format!("oh {}", cardinal(n)),
        Ok(n) => cardinal(n),
        Err(_) => digits(written),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn years_are_told_from_other_numbers() {
        for (written, said) in [
            ("in 1999 and 1999 people", "in nineteen ninety-nine and 1999 people"),
            ("Between 1790 and 1795", "Between seventeen ninety and seventeen ninety-five"),
            ("1990–1995, 1914-18", "nineteen ninety to nineteen ninety-five, nineteen fourteen to eighteen"),
            ("of '69", "of sixty-nine"),
            ("2020–present", "twenty twenty to present"),
            ("2023/24", "twenty twenty-three twenty-four"),
            ("the 2008 crisis", "the two thousand eight crisis"),
            ("2024 was good.", "twenty twenty-four was good."),
            ("(1776)", "(seventeen seventy-six)"),
            ("44 BC and AD 79.", "forty-four B C and A D seventy-nine."),
            ("in 1500 words, code 2024, 1500-2000 words", "in 1500 words, code 2024, 1500-2000 words"),
            ("$1999, 2024.5, 1999%", "$1999, 2024.5, 1999%"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
