//! Plain numbers: ranges, scores, decimals, and what remains. No digit is left.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace, replace_in_context};
use super::words::{amount, digits};

/// The longest run of digits that is always read as one number. Longer ones are mostly order, account or card numbers, which
/// are read digit by digit unless something is counted with them.
const LONGEST: usize = 4;

/// Two numbers with a hyphen or a colon: a range, a score or a ratio.
static RANGE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<from>\d{1,3}(?:,\d{3})+|\d{1,7}(?:\.\d{1,9})?)(?<sign>\s?[–—-]\s?|:)(?<to>\d{1,3}(?:,\d{3})+|\d{1,7}(?:\.\d{1,9})?)\b",
    )
});
/// Three numbers and more with hyphens: the parts of a code.
static CHAIN: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b\d{1,12}(?:[-/]\d{1,12}){2,}\b"));
/// Millions with spaces between the thousands, as the International System of Units writes them.
static SPACED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b[1-9]\d{0,2}(?: \d{3}){2,5}\b"));
static PLAIN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?<minus>(?:^|[\s(→])-)?(?<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:,\d{2})+,\d{3}|\d+(?:\.\d+)?|\.\d+)(?<plural>'?s\b)?",
    )
});
/// What means "about" before a number that is counted, however long it is.
const ESTIMATES: [&str; 12] = [
    "about",
    "around",
    "over",
    "under",
    "nearly",
    "almost",
    "approximately",
    "roughly",
    "than",
    "exactly",
    "least",
    "population",
];

/// Replaces numbers by words; no digit is left.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &SPACED, |found| Some(amount(&found[0])));
    let text = replace(text, &CHAIN, |found| {
        // Hyphens make codes, slashes do not: "24/7/365".
        let code = found[0].contains('-');
        let said =
            |part: &str| if part.len() > 3 || (code && part.len() == 3) { digits(part) } else { short(part) };
        let parts = found[0].split(['-', '/']).map(said);
        Some(parts.collect::<Vec<_>>().join(" "))
    });
    let text = replace_in_context(text, &RANGE, range);
    replace_in_context(text, &PLAIN, |found, around| Some(plain(found, around)))
}

/// A part of a code or a version, whose zeros in front are said.
pub(super) fn short(part: &str) -> String {
    if part.starts_with('0') { digits(part) } else { amount(part) }
}

fn range(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (from, to, sign) = (group(found, "from"), group(found, "to"), group(found, "sign"));
    let value = |text: &str| text.replace(',', "").parse::<f64>().ok();
    let part = around.char_before().is_some_and(|c| ".,:".contains(c))
        || around
            .rest()
            .strip_prefix(['.', ':', ','])
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if part || ((from.len() > 1 && from.starts_with('0')) && !from.contains('.')) {
        return None;
    }
    if &found[0] == "50-50" {
        return Some("fifty fifty".to_owned());
    }
    let falls = value(from)? >= value(to)?;
    // "15 - 10" is a subtraction, "3-2" a score.
    let joint = if falls && sign.starts_with(' ') && sign.ends_with(' ') { "minus" } else { "to" };
    let to = if to.starts_with('0') && to.len() > 1 && !to.contains('.') { digits(to) } else { amount(to) };
    Some(format!("{} {joint} {to}", amount(from)))
}

fn plain(found: &Captures<'_>, around: Around<'_>) -> String {
    let number = group(found, "number");
    let minus = match group(found, "minus").chars().next() {
        None => String::new(),
        Some('-') => "minus ".to_owned(),
        Some(before) => format!("{before}minus "),
    };
    let said = if is_code(number, around) { digits(number) } else { amount(number) };
    let said = if group(found, "plural").is_empty() { said } else { super::words::plural(&said) };
    // Letters that touch the number are words of their own.
    let before = around.char_before().is_some_and(|c| c.is_alphanumeric() || c == ')') && minus.is_empty();
    let after = around.char_after().is_some_and(char::is_alphanumeric);
    format!("{}{minus}{said}{}", if before { " " } else { "" }, if after { " " } else { "" })
}

/// Whether digits are names and no number: there are many of them and nothing is counted, or the first is a zero.
fn is_code(number: &str, around: Around<'_>) -> bool {
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let zero = number.len() > 1 && number.starts_with('0');
    let round = number.len() <= 12 && number.ends_with("000");
    let counted =
        around.counts_things() || ESTIMATES.contains(&around.word_before(0).to_lowercase().as_str());
    zero || (number.len() > LONGEST && !round && !counted)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_spoken() {
        for (written, said) in [
            ("5-7 days, 3-2", "five to seven days, three to two"),
            ("order 48213977", "order four eight two one three nine seven seven"),
            (
                "48213977 users",
                "forty-eight million two hundred thirteen thousand nine hundred seventy-seven users",
            ),
            ("10000 or 12500 steps", "ten thousand or twelve thousand five hundred steps"),
            ("code 007", "code zero zero seven"),
            ("1,250 items", "one thousand two hundred fifty items"),
            ("it is -3 now", "it is minus three now"),
            ("3.14", "three point one four"),
            ("10 – 15 or 15 - 10", "ten to fifteen or fifteen minus ten"),
            (
                "a ratio of 3:1, 1-2-3, 24/7/365",
                "a ratio of three to one, one two three, twenty-four seven three hundred sixty-five",
            ),
            ("1 000 000, 50-50", "one million, fifty fifty"),
            ("I am here", "I am here"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
