//! Telephone numbers, and other long numbers in groups: those of cards, books and insurances.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace, replace_in_context};
use super::words::digits;

/// American numbers (NANP): ten digits in three groups, with the country or without, with an extension or without.
static AMERICAN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?x)(?:(?<plus>\+)?\b(?<country>\d{1,3})[\s.-]\s?)? (?:\((?<area>\d{2,4})\)[\s.-]?|\b(?<bare>\d{3})[\s.-])
        (?<first>\d{3})[\s.-](?<second>\d{4})\b (?:,?\s?(?i:ext\.?|extension|x)\s?(?<extension>\d{1,6})\b)?",
    )
});
/// Numbers with the code of a country: the longest have 15 digits (ITU-T E.164, section 6.1).
static INTERNATIONAL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\+\d{1,3}(?:[\s.-]?\(?\d{1,5}\)?){2,6}\b"));
/// A number with the zero that is dialled before the code of an area in most countries.
static NATIONAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b0\d{1,4}(?:[\s-]\d{2,8}){1,4}\b"));
/// A number without the code of its area.
static LOCAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b\d{3}-\d{4}\b"));
/// A number whose last digits are written as the letters on their keys.
static VANITY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<country>1-)?(?<area>8\d\d|900)-(?<word>[A-Z]{3,10}(?:-[A-Z]{2,10})?)\b"));
/// Numbers of an emergency or a service that are dialled alone (N11, 988, 112, 999).
static SHORT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<before>(?i:call|calls|called|calling|dial|dials|dialed|dialing|phone|text|ring)\s+(?i:the\s+)?)?(?<number>[2-9]11|988|112|999)\b",
    )
});
/// Codes of services that are dialled behind the star key.
static STARRED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\*(?<number>\d{2,4})\b"));
/// Codes by which a telephone sets its services (3GPP TS 22.030, section 6.5.2): from a star or pound key to a pound key.
static KEYED: LazyLock<Regex> = LazyLock::new(|| pattern(r"[*#]{1,2}\d{2,3}(?:\*\d{0,15}){0,4}#"));
/// Numbers of cards, books (ISBN) and social insurances.
static GROUPED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<what>ISBN(?:-1[03])?:?\s)?(?<number>\d{3}-\d{2}-\d{4}|\d{4}(?:[\s-]\d{4}){3}|97[89]-?(?:\d-?){9}\d|\d-\d{2,7}-\d{2,6}-[\dX])\b",
    )
});

/// Replaces telephone numbers and the like by words.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &GROUPED, |found| {
        let what = group(found, "what").replace("-13", " thirteen").replace("-10", " ten");
        Some(format!("{what}{}", grouped(group(found, "number"))))
    });
    let text = replace_in_context(text, &AMERICAN, american);
    let text = replace(text, &INTERNATIONAL, |found| Some(format!("plus {}", grouped(&found[0]))));
    let text = replace_in_context(text, &NATIONAL, |found, around| {
        let long = found[0].bytes().filter(u8::is_ascii_digit).count() >= 9;
        (long && !touches_number(around)).then(|| grouped(&found[0]))
    });
    let text = replace(text, &VANITY, |found| {
        let country = if group(found, "country").is_empty() { "" } else { "one " };
        Some(format!("{country}{}, {}", area(group(found, "area")), group(found, "word").replace('-', " ")))
    });
    let text = replace_in_context(text, &LOCAL, |found, around| {
        let range = around.counts_things() || touches_number(around);
        (!range).then(|| grouped(&found[0]))
    });
    let text = replace_in_context(text, &KEYED, |found, around| {
        (!touches_word(around)).then(|| found[0].chars().map(key).collect::<Vec<_>>().join(" "))
    });
    let text = replace_in_context(text, &STARRED, |found, around| {
        (!touches_word(around)).then(|| format!("*{}", digits(group(found, "number"))))
    });
    replace_in_context(text, &SHORT, short)
}

/// Digit by digit, with a pause between the groups.
fn grouped(written: &str) -> String {
    let groups: Vec<String> = written
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .map(|part| if part == "X" { part.to_owned() } else { digits(&part.replace('X', "")) })
        .collect();
    groups.join(", ")
}

fn american(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    if touches_number(around) {
        return None;
    }
    let plus = if group(found, "plus").is_empty() { "" } else { "plus " };
    let country = match group(found, "country") {
        "" => String::new(),
        country => format!("{}, ", digits(country)),
    };
    let code = match group(found, "area") {
        "" => group(found, "bare"),
        code => code,
    };
    let code = if country.is_empty() { digits(code) } else { area(code) };
    let extension = match group(found, "extension") {
        "" => String::new(),
        extension => format!(", extension {}", digits(extension)),
    };
    let (first, second) = (digits(group(found, "first")), digits(group(found, "second")));
    Some(format!("{plus}{country}{code}, {first}, {second}{extension}"))
}

/// What a key of a telephone is called.
fn key(key: char) -> String {
    match key {
        '*' => "star".to_owned(),
        '#' => "pound".to_owned(),
        digit => digits(&digit.to_string()),
    }
}

/// Whether the match goes on a word or a calculation.
fn touches_word(around: Around<'_>) -> bool {
    around.char_before().is_some_and(|c| c.is_alphanumeric() || c == ')')
}

/// Whether the match is a part of a longer number.
fn touches_number(around: Around<'_>) -> bool {
    around.char_before().is_some_and(|c| "-.,/$€£".contains(c))
        || around
            .rest()
            .strip_prefix(['-', '.', '/'])
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// "800" is "eight hundred" behind a "one", as everybody says it.
fn area(code: &str) -> String {
    match code {
        "800" => "eight hundred".to_owned(),
        "900" => "nine hundred".to_owned(),
        code => digits(code),
    }
}

fn short(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (before, number) = (group(found, "before"), group(found, "number"));
    let part = around.char_before().is_some_and(|c| "$€£.,:/-#".contains(c))
        || around.rest().starts_with(['%', '°'])
        || around
            .rest()
            .strip_prefix(['.', ',', ':', '/', '-'])
            .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    let known = number == "911"
        && !matches!(around.word_before(0), "Porsche" | "room" | "Room" | "flight" | "Flight");
    let dialled = !before.is_empty() || known;
    (dialled && !part && !around.counts_things()).then(|| format!("{before}{}", digits(number)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn telephone_numbers_are_said_digit_by_digit() {
        for (written, said) in [
            ("call 555-123-4567.", "call five five five, one two three, four five six seven."),
            (
                "(020) 555-0199 or 555-0100",
                "zero two zero, five five five, zero one nine nine or five five five, zero one zero zero",
            ),
            ("+491234567890", "plus four nine one two three four five six seven eight nine zero"),
            ("+1 (555) 123-4567", "plus one, five five five, one two three, four five six seven"),
            ("020 7946 0958", "zero two zero, seven nine four six, zero nine five eight"),
            ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
            (
                "1-800-555-0199 ext. 12",
                "one, eight hundred, five five five, zero one nine nine, extension one two",
            ),
            ("1-800-FLOWERS", "one eight hundred, FLOWERS"),
            ("Call 911 or dial 112!", "Call nine one one or dial one one two!"),
            ("*67 or 2*67", "*six seven or 2*67"),
            ("*#06# or **21*112#", "star pound zero six pound or star star two one star one one two pound"),
            ("911 pages, $911, 112 is even", "911 pages, $911, 112 is even"),
            ("500-1000 words", "500-1000 words"),
            ("ISBN 0-306-40615-2", "ISBN zero, three zero six, four zero six one five, two"),
            ("2024-05-03", "2024-05-03"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
