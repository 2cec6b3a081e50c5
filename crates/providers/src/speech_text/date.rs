//! Dates and decades.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace, replace_in_context};
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
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// A month in words. Capitals matter for some: "may 5" and "march 10 miles" are no dates.
const MONTH: &str = r"(?<month>May|March|(?i:January|February|April|June|July|August|September|October|November|December)\b|(?:Mar|(?i:Jan|Feb|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec))\b\.?)";
/// A year behind a date: in full, or two digits with an apostrophe.
const YEAR: &str = r"(?:(?:,?\s+)(?:(?<year>[12]\d{3})\b|'(?<short>\d\d)\b))?";

static ISO: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<year>[12]\d{3})[-/.](?<month>\d{2})[-/.](?<day>\d{2})(?:T|\b)"));
static SLASHED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<month>\d{1,2})[/-](?<day>\d{1,2})[/-](?<year>[12]\d{3}|\d{2})\b"));
static DOTTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<day>\d{1,2})\.(?<month>\d{1,2})\.(?<year>[12]\d{3})\b"));
/// A month and a year in digits: "2024-05", "05/2024".
static NUMERIC_MONTH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:(?<year>[12]\d{3})-(?<month>0[1-9]|1[0-2])|(?<first>0?[1-9]|1[0-2])/(?<second>(?:19|20)\d\d))\b",
    )
});
/// A day without a year is a fraction as well, unless a word before it says that it is a date.
static DAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<before>(?i:on|by|until|till|before|after|since|from|due|dated|date|to|through|week of)\s+)(?<month>0?[1-9]|1[0-2])/(?<day>0?[1-9]|[12]\d|3[01])\b",
    )
});
static MONTH_DAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"\b{MONTH}\s+(?:the\s+)?(?<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:\s?[-–]\s?(?<to>\d{{1,2}})(?:st|nd|rd|th)?\b)?{YEAR}"
    ))
});
static DAY_MONTH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"\b(?:[Tt]he\s+)?(?:(?<from>\d{{1,2}})(?:st|nd|rd|th)?\s?[-–]\s?)?(?<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?[\s-]+{MONTH}(?:-(?<dashed>[12]\d{{3}}|\d\d)\b)?{YEAR}"
    ))
});
static MONTH_YEAR: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"\b{MONTH},?\s+(?:(?<year>[12]\d{{3}})\b|'(?<short>\d\d)\b)")));
/// Two dates with a dash between them: "May 3 – June 4", "March 2020 - April 2021".
static DATES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<from>[12]\d{3}|\d{1,2}(?:st|nd|rd|th)?)\s?[-–—]\s?(?<to>(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?\s\d)",
    )
});
/// Two months with a dash between them.
static MONTHS_LONG: LazyLock<Regex> = LazyLock::new(|| {
    let months = "January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec";
    pattern(&format!(r"\b(?<from>{months})\.?\s?[-–—]\s?(?<to>{months})\b"))
});
static WEEKDAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<day>Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b(?<dot>\.)?(?:\s?[-–]\s?(?<last>Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?)?",
    )
});
static DECADE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?:\b(?<century>1[1-9]|20)|(?<apostrophe>'))?\b?(?<tens>[1-9]0|00)(?:'s|s)\b")
});
/// Two decades with a dash between them.
static DECADES: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<from>(?:1\d|20)\d0s)\s?[-–—]\s?(?<to>(?:1\d|20)\d0s)\b"));
/// Words before a decade of a century, or of a life; behind other words, "30s" are seconds.
const BEFORE_DECADES: &[&str] = &[
    "the", "his", "her", "their", "my", "your", "our", "early", "mid", "late", "and", "or", "low", "high",
    "upper", "lower",
];
/// Words after a decade of a century.
const AFTER_DECADES: &[&str] = &[
    "music",
    "fashion",
    "style",
    "rock",
    "pop",
    "kid",
    "kids",
    "nostalgia",
    "movie",
    "movies",
    "hit",
    "hits",
    "show",
];

/// Replaces dates and decades by words.
pub(super) fn say(text: String) -> String {
    let text =
        replace(text, &DATES, |found| Some(format!("{} to {}", group(found, "from"), group(found, "to"))));
    let text = replace(text, &MONTHS_LONG, |found| {
        Some(format!("{} to {}", month(group(found, "from"))?, month(group(found, "to"))?))
    });
    let mut text = replace_in_context(text, &WEEKDAY, weekday);
    for numeric in [&ISO, &SLASHED, &DOTTED] {
        text = replace_in_context(text, numeric, numbers);
    }
    let text = replace(text, &NUMERIC_MONTH, numeric_month);
    let text = replace_in_context(text, &DAY, |found, around| {
        let month: usize = group(found, "month").parse().ok()?;
        let measured = around.counts_things() || around.word_after(0) == "of" || found[0].ends_with(" 9/11");
        let day = day(group(found, "day"))?;
        (!measured).then(|| format!("{}{} {day}", group(found, "before"), MONTHS[month - 1]))
    });
    let text = replace(text, &DAY_MONTH, |found| {
        let last = day(group(found, "day"))?;
        let from = match group(found, "from") {
            "" => String::new(),
            from => format!("{} to ", day(from)?),
        };
        let month = month(group(found, "month"))?;
        Some(format!("the {from}{last} of {month}{}", with_year(found)))
    });
    let text = replace_in_context(text, &MONTH_DAY, month_day);
    let text = replace(text, &MONTH_YEAR, |found| {
        let written = group(found, "month");
        let year = with_year(found);
        Some(format!("{}{}", month(written)?, year.trim_start_matches(',')))
    });
    let text =
        replace(text, &DECADES, |found| Some(format!("{} to {}", group(found, "from"), group(found, "to"))));
    replace_in_context(text, &DECADE, decade)
}

fn weekday(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let name = weekday_name(group(found, "day"))?;
    if let Some(last) = weekday_name(group(found, "last")) {
        return Some(format!("{name} to {last}"));
    }
    let dotted = !group(found, "dot").is_empty();
    let ends = dotted && around.ends_sentence();
    // "in the Sun." ends a sentence, and "Sun" without a full stop is a day only beside a date or another day.
    let word = matches!(group(found, "day"), "Sun" | "Sat" | "Wed");
    let next = around.rest().trim_start_matches([',', ' ']);
    let next = next.strip_prefix("and ").unwrap_or(next);
    let dated = next.starts_with(|c: char| c.is_ascii_digit())
        || (next.starts_with("at ") && !word)
        || begins_with_name(next, &MONTHS);
    let listed = [around.word_before(0), around.word_before(1), next]
        .iter()
        .any(|near| begins_with_name(near, &WEEKDAYS));
    if (ends && word && !listed) || !(dotted || dated || listed) {
        return None;
    }
    Some(format!("{name}{}", if ends { "." } else { "" }))
}

/// Whether a text begins with one of these names or an abbreviation of one.
fn begins_with_name(text: &str, names: &[&str]) -> bool {
    let word = text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    let short = (3..=5).contains(&word.len());
    names.iter().any(|name| *name == word || (short && name.starts_with(word)))
}

fn weekday_name(written: &str) -> Option<&'static str> {
    let start = written.get(..3)?;
    WEEKDAYS.into_iter().find(|name| name.starts_with(start))
}

fn month_day(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let written = group(found, "month");
    let dated = !(group(found, "year").is_empty() && group(found, "short").is_empty());
    let first = day(group(found, "day"))?;
    // "March 10 miles a day" and "May 5 people come?" begin with verbs.
    let verb = matches!(written, "March" | "May") && around.counts_things();
    // "May 5:30" and "June 12%" go on.
    let goes_on = around
        .rest()
        .strip_prefix([':', '.', '/'])
        .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))
        || around.char_after().is_some_and(|c| "%°$".contains(c));
    if !dated && (verb || goes_on) {
        return None;
    }
    let to = match group(found, "to") {
        "" => String::new(),
        to => format!(" to {}", day(to)?),
    };
    Some(format!("{} {first}{to}{}", month(written)?, with_year(found)))
}

fn day(written: &str) -> Option<String> {
    let day = written.parse().ok()?;
    (1..=31).contains(&day).then(|| ordinal(day))
}

fn with_year(found: &Captures<'_>) -> String {
    let full = match group(found, "dashed") {
        "" => group(found, "year"),
        dashed => dashed,
    };
    match (full.parse(), group(found, "short")) {
        (Ok(n), _) => format!(", {}", year(full_year(n))),
        (Err(_), "") => String::new(),
        (Err(_), short) => format!(", {}", super::year::short(short)),
    }
}

/// The full name of a month from its name or an abbreviation.
fn month(written: &str) -> Option<&'static str> {
    let start = written.get(..3)?;
    MONTHS.into_iter().find(|name| name[..3].eq_ignore_ascii_case(start))
}

/// A year of two digits is the nearest one to now.
fn full_year(written: u64) -> u64 {
    match written {
        0..=49 => 2_000 + written,
        50..=99 => 1_900 + written,
        full => full,
    }
}

/// A date in digits, with the month first. When that is impossible, the day comes first.
fn numbers(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let number = |name| group(found, name).parse::<u64>().ok();
    let (mut month, mut day, written) = (number("month")?, number("day")?, number("year")?);
    if month > 12 {
        std::mem::swap(&mut month, &mut day);
    }
    let part = around.char_before().is_some_and(|c| "-/.".contains(c))
        || around
            .rest()
            .strip_prefix(['-', '/'])
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || part {
        return None;
    }
    // "1-2-34" is counted rather than dated.
    if group(found, "year").len() == 2 && found[0].contains('-') && group(found, "month").len() < 2 {
        return None;
    }
    let after = if found[0].ends_with('T') { " at " } else { "" };
    Some(format!("{} {}, {}{after}", MONTHS[month as usize - 1], ordinal(day), year(full_year(written))))
}

fn numeric_month(found: &Captures<'_>) -> Option<String> {
    let (year_written, month) = match group(found, "year") {
        "" => (group(found, "second"), group(found, "first")),
        year => (year, group(found, "month")),
    };
    let (n, month): (u64, usize) = (year_written.parse().ok()?, month.parse().ok()?);
    // "2010-12" is a range of years.
    let range = !group(found, "year").is_empty() && n % 100 < month as u64;
    (!range).then(|| format!("{} {}", MONTHS[month - 1], year(n)))
}

fn decade(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let tens: u64 = group(found, "tens").parse().ok()?;
    let century: Option<u64> = group(found, "century").parse().ok();
    let before = around.word_before(0).to_lowercase();
    let known = !group(found, "apostrophe").is_empty()
        || around.char_before() == Some('-')
        || BEFORE_DECADES.contains(&before.as_str())
        || AFTER_DECADES.contains(&around.word_after(0));
    if around.char_before().is_some_and(|c| c.is_ascii_digit() || "$€£.,".contains(c)) {
        return None;
    }
    match (century, tens) {
        (None, 0) => None,
        (None, tens) => known.then(|| plural(&cardinal(tens))),
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
            ("1980s-1990s", "nineteen eighties to nineteen nineties"),
            ("It may 5 times", "It may 5 times"),
            ("13/13/2024", "13/13/2024"),
            ("March 10 miles, May 5 people", "March 10 miles, May 5 people"),
            ("Mon, Jan 5 to Fri. evening", "Monday, January fifth to Friday evening"),
            ("May 3-5, 2024", "May third to fifth, twenty twenty-four"),
            ("3-May-2024, June '98", "the third of May, twenty twenty-four, June ninety-eight"),
            ("due 12/25, 3/4 of it", "due December twenty-fifth, 3/4 of it"),
            ("05/2024, 2024-05, 2010-12", "May twenty twenty-four, May twenty twenty-four, 2010-12"),
            ("March 2020 – April 2021", "March twenty twenty to April twenty twenty-one"),
            ("Jan-Mar, Mon, Wed and Fri", "January to March, Monday, Wednesday and Friday"),
            ("The Sun may rise. We Sat down", "The Sun may rise. We Sat down"),
            ("wait 30s, in his 30s", "wait 30s, in his thirties"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
