//! Names and codes made of letters and digits, which are spelled: "B12" is "B twelve", "A1B2C3" is "A one B two C three".

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace_in_context};
use super::words::{amount, cardinal, digits, label, plural, scale, spelled, year};

/// Words joined by hyphens, at least one of which has a digit.
static MIXED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\b"));
/// The parts of a code: letters, digits, and the hyphens between them.
static PART: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?<letters>[A-Za-z]+)|(?<digits>\d+)|(?<hyphen>-)"));
/// A number with a letter for thousands and more, which is no code: "20k", "1.5M", "10K-20K".
static SCALED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:(?<from>\d+(?:\.\d+)?)(?<multiple>[kKMB]|[mb]n)?\s?[-–]\s?)?(?<number>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?<scale>[kKMBm]|[mb]n)\b",
    )
});
/// Lines of a picture: "1080p".
static PICTURE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?<lines>\d{3,4})(?<letter>[pi])\b"));

/// The longest name that is spelled although it could be read: "GPT", "ISO". Longer ones are read if they have vowels.
const LONGEST_SPELLED: usize = 3;
/// How many digits are said as one number; more of them are said one by one.
const LONGEST_NUMBER: usize = 2;

/// Replaces codes by words.
pub(super) fn say(text: String) -> String {
    let text = replace_in_context(text, &SCALED, scaled);
    let text = replace_in_context(text, &PICTURE, |found, _| {
        Some(format!("{} {}", label(group(found, "lines").parse().ok()?), group(found, "letter")))
    });
    replace_in_context(text, &MIXED, |found, around| {
        // "802.11ac" goes on after a decimal point.
        let decimal = around.char_before() == Some('.') && found[0].starts_with(|c: char| c.is_ascii_digit());
        if decimal { None } else { code(&found[0]) }
    })
}

/// "10K" is ten thousand, but "4K" is a picture and "3B" an apartment, unless something is counted with them.
fn scaled(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (number, written) = (group(found, "number"), group(found, "scale"));
    let from = group(found, "from");
    let large = match written {
        "K" => number.contains(['.', ',']) || number.len() > 1,
        "B" => number.contains(['.', ',']) || number.len() > 2,
        "m" => false,
        _ => true,
    };
    let touching =
        around.char_before().is_some_and(|c| "-.,".contains(c)) || around.char_after() == Some('-');
    if touching || !(large || around.counts_things()) {
        return None;
    }
    let said = |number: &str, written: &str| match scale(written) {
        Some(scale) => format!("{} {scale}", amount(number)),
        None => amount(number),
    };
    let from =
        if from.is_empty() { String::new() } else { format!("{} to ", said(from, group(found, "multiple"))) };
    Some(format!("{from}{}", said(number, written)))
}

/// The parts of a code one after the other; `None` when the word is no code.
fn code(written: &str) -> Option<String> {
    let has_digits = written.bytes().any(|b| b.is_ascii_digit());
    let has_letters = written.bytes().any(|b| b.is_ascii_alphabetic());
    let mixed = written.split('-').any(|part| {
        part.bytes().any(|b| b.is_ascii_digit()) && part.bytes().any(|b| b.is_ascii_alphabetic())
    });
    let capitals = written.bytes().any(|b| b.is_ascii_uppercase());
    // "20-year-old" and "mid-2000" are words with a number.
    if !has_digits || !has_letters || !(mixed || capitals) || is_word_with_number(written) {
        return None;
    }
    // "MP3s" are several.
    if let Some(one) = written.strip_suffix('s').filter(|one| one.ends_with(|c: char| c.is_ascii_digit())) {
        return code(one).map(|said| plural(&said));
    }
    let parts: Vec<Captures<'_>> = PART.captures_iter(written).collect();
    // The name of a fiscal or a calendar year.
    let fiscal =
        ["FY20", "CY20", "FY19"].iter().any(|start| written.starts_with(start)) && written.len() == 6;
    let runs = parts.iter().filter(|part| group(part, "hyphen").is_empty()).count();
    let words = parts.iter().filter_map(|part| {
        let (letters, number) = (group(part, "letters"), group(part, "digits"));
        match (letters, number) {
            ("", "") => None,
            ("", number) if fiscal => number.parse().ok().map(year),
            ("", number) => Some(spoken(number, runs)),
            (letters, _) => Some(name(letters, runs)),
        }
    });
    Some(words.collect::<Vec<_>>().join(" "))
}

/// Whether a hyphen joins a number with words in lower case: "5-star".
fn is_word_with_number(written: &str) -> bool {
    let mut parts = written.split('-').peekable();
    let several = written.contains('-');
    let first = parts.peek().copied().unwrap_or_default();
    several
        && first.bytes().all(|b| b.is_ascii_digit())
        && parts.skip(1).all(|part| {
            part.len() > 1
                && part.bytes().all(|b| b.is_ascii_alphabetic())
                && !part.bytes().all(|b| b.is_ascii_uppercase())
        })
}

/// Up to two digits are said as a number, and so are round hundreds; others are said digit by digit, and all are in a code
/// with many parts.
fn spoken(number: &str, runs: usize) -> String {
    let short = number.len() <= LONGEST_NUMBER && runs <= 2;
    let round = matches!(number.len(), 3 | 4) && number.ends_with("00");
    match number.parse() {
        Ok(n) if (short || round) && !number.starts_with('0') => cardinal(n),
        _ => digits(number),
    }
}

/// Letters of a code: short ones, and those that cannot be read, are spelled.
fn name(letters: &str, runs: usize) -> String {
    let capitals = letters.bytes().all(|b| b.is_ascii_uppercase());
    let vowels = letters.bytes().any(|b| b"aeiouyAEIOUY".contains(&b));
    let short =
        letters.len() <= LONGEST_SPELLED && (capitals || (runs > 3 && letters.len() < LONGEST_SPELLED));
    // "IPv" has more capitals than a word.
    let capitals_inside =
        letters.len() <= LONGEST_SPELLED && letters.bytes().filter(u8::is_ascii_uppercase).count() > 1;
    if short || capitals_inside || !vowels { spelled(letters) } else { letters.to_owned() }
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
            ("no change, Wi-Fi 6", "no change, Wi-Fi 6"),
            ("A1B2C3, AB12CD34", "A one B two C three, A B one two C D three four"),
            ("IPv4, 5m people", "I P v four, five million people"),
            ("two MP3s", "two M P threes"),
            ("R2-D2, GPT-4o, UTF-8", "R two D two, G P T four o, U T F eight"),
            ("a 20-year-old, 5-star", "a 20-year-old, 5-star"),
            (
                "20k, 1.5M, 10K-20K",
                "twenty thousand, one point five million, ten thousand to twenty thousand",
            ),
            ("a T-1000 in 1080p", "a T one thousand in ten eighty p"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
