//! Numbers: telephone numbers, ranges, ordinals, fractions, years, Roman numerals, and plain ones.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{group, pattern, replace};
use super::words::{amount, cardinal, digits, ordinal, plural, scale, year};

/// The longest run of digits that is read as one number. Longer ones are order, account or card numbers, which are read
/// digit by digit.
const LONGEST: usize = 4;

static PHONE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?x)(?<plus>\+\d{1,3}[\s.-]?)? (?:\((?<area>\d{2,4})\)\s?|\b(?<bare>\d{3})[\s.-]) (?<first>\d{3})[\s.-](?<second>\d{4})\b
        | (?<lone>\+\d{7,15})\b | \b(?<short>\d{3}-\d{4})\b",
    )
});
static ORDINAL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<number>\d{1,3}(?:,\d{3})*|\d+)(?:st|nd|rd|th)\b"));
static FRACTION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?:(?<whole>\d+)\s+)?(?<top>\d{1,2})/(?<bottom>[1-9]\d?|100)\b"));
static VULGAR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?<whole>\d+)?\s?(?<sign>[½¼¾⅓⅔⅛])"));
static RANGE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<from>\d{1,4}(?:\.\d+)?)\s?[–—-]\s?(?<to>\d{1,4}(?:\.\d+)?)\b"));
static YEAR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<before>(?i:in|since|until|till|by|from|of|before|after|during|around|year|early|late|circa|©)\s+)(?<year>1[1-9]\d\d|20\d\d)\b",
    )
});
static NUMBERED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<what>Chapter|Part|Act|Scene|Section|Volume|Book|Phase|Type|Class|Level|War|Appendix|Article|Figure|Table|Title|Grade|Stage|Bowl|Episode|Step)\s+(?<roman>[IVXLC]+)\b",
    )
});
static REGNAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<who>Henry|Louis|George|Edward|Richard|Elizabeth|Charles|James|William|John Paul|Benedict|Pius|Leo|Philip|Napoleon|Nicholas|Catherine|Alexander|Francis|Frederick|Mary|Peter|Gregory|Innocent)\s+(?<roman>[IVX]+)\b",
    )
});
static VERSION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<letter>[vV])?(?<parts>\d+(?:\.\d+){2,}|(?:\d+\.\d+))\b"));
static SCALED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?<number>\d+(?:\.\d+)?)(?<scale>[KMB])\b"));
static PLAIN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?<minus>(?:^|[\s(])[-−])?(?<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)")
});

/// Replaces numbers by words; no digit is left.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &PHONE, |found| Some(phone(&found[0])));
    let text = replace(text, &REGNAL, |found| {
        Some(format!("{} the {}", group(found, "who"), ordinal(roman(group(found, "roman"))?)))
    });
    let text = replace(text, &NUMBERED, |found| {
        Some(format!("{} {}", group(found, "what"), cardinal(roman(group(found, "roman"))?)))
    });
    let text =
        replace(text, &ORDINAL, |found| group(found, "number").replace(',', "").parse().ok().map(ordinal));
    let text = replace(text, &VULGAR, vulgar);
    let text = replace(text, &FRACTION, fraction);
    let text = replace(text, &YEAR, |found| {
        let said = year(group(found, "year").parse().ok()?);
        Some(format!("{}{said}", group(found, "before")))
    });
    let text = replace(text, &RANGE, range);
    let text = replace(text, &SCALED, |found| {
        Some(format!("{} {}", amount(group(found, "number")), scale(group(found, "scale"))?))
    });
    let text = replace(text, &VERSION, version);
    replace(text, &PLAIN, |found| Some(plain(found)))
}

/// A telephone number: digit by digit, with a pause between the groups.
fn phone(written: &str) -> String {
    let plus = if written.starts_with('+') { "plus " } else { "" };
    let groups: Vec<String> =
        written.split(|c: char| !c.is_ascii_digit()).filter(|g| !g.is_empty()).map(digits).collect();
    format!("{plus}{}", groups.join(", "))
}

fn roman(numeral: &str) -> Option<u64> {
    let value = |c| match c {
        'I' => Some(1),
        'V' => Some(5),
        'X' => Some(10),
        'L' => Some(50),
        'C' => Some(100),
        _ => None,
    };
    let values: Vec<u64> = numeral.chars().map(value).collect::<Option<_>>()?;
    let mut sum = 0;
    for (n, &value) in values.iter().enumerate() {
        if values.get(n + 1).is_some_and(|&next| next > value) {
            sum -= value as i64;
        } else {
            sum += value as i64;
        }
    }
    u64::try_from(sum).ok().filter(|&sum| sum > 0)
}

fn vulgar(found: &Captures<'_>) -> Option<String> {
    let said = match group(found, "sign") {
        "½" => "a half",
        "¼" => "a quarter",
        "¾" => "three quarters",
        "⅓" => "a third",
        "⅔" => "two thirds",
        "⅛" => "an eighth",
        _ => return None,
    };
    Some(match group(found, "whole").parse() {
        Ok(whole) => format!("{} and {said}", cardinal(whole)),
        Err(_) => format!(" {said}"),
    })
}

fn fraction(found: &Captures<'_>) -> Option<String> {
    let (top, bottom): (u64, u64) = (group(found, "top").parse().ok()?, group(found, "bottom").parse().ok()?);
    // "24/7" is no fraction: its two numbers are said one after the other.
    if top >= bottom {
        return Some(format!("{} {}", cardinal(top), cardinal(bottom)));
    }
    let part = match bottom {
        2 => "half".to_owned(),
        4 => "quarter".to_owned(),
        bottom => ordinal(bottom),
    };
    let part = if top == 1 { part } else { plural(&part) };
    let whole = group(found, "whole").parse().ok();
    Some(match (whole, top) {
        (Some(whole), 1) => format!("{} and a {part}", cardinal(whole)),
        (Some(whole), top) => format!("{} and {} {part}", cardinal(whole), cardinal(top)),
        (None, top) => format!("{} {part}", cardinal(top)),
    })
}

fn range(found: &Captures<'_>) -> Option<String> {
    let (from, to) = (group(found, "from"), group(found, "to"));
    let value = |text: &str| text.parse::<f64>().ok();
    let years = |text: &str| text.len() == 4 && (text.starts_with("19") || text.starts_with("20"));
    if value(from)? >= value(to)? {
        return None;
    }
    let said = |text: &str| match text.parse() {
        Ok(n) if years(from) && years(to) => year(n),
        _ => amount(text),
    };
    Some(format!("{} to {}", said(from), said(to)))
}

/// "1.2.3" is said part by part, "3.14" as a decimal number.
fn version(found: &Captures<'_>) -> Option<String> {
    let (letter, parts) = (group(found, "letter"), group(found, "parts"));
    if letter.is_empty() && parts.matches('.').count() == 1 {
        return None;
    }
    let said: Vec<String> = parts.split('.').map(amount).collect();
    let version = if letter.is_empty() { "" } else { "version " };
    Some(format!("{version}{}", said.join(" point ")))
}

fn plain(found: &Captures<'_>) -> String {
    let number = group(found, "number");
    let minus = match group(found, "minus").chars().next() {
        None => String::new(),
        Some('-' | '−') => "minus ".to_owned(),
        Some(before) => format!("{before}minus "),
    };
    let whole = number.split('.').next().unwrap_or_default();
    let written_out = whole.bytes().all(|b| b.is_ascii_digit());
    let code = written_out && (whole.len() > LONGEST || (whole.len() > 1 && whole.starts_with('0')));
    let said = if code && !number.contains('.') { digits(number) } else { amount(number) };
    format!("{minus}{said}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_spoken() {
        for (written, said) in [
            ("call 555-123-4567", "call five five five, one two three, four five six seven"),
            (
                "(020) 555-0199 or 555-0100",
                "zero two zero, five five five, zero one nine nine or five five five, zero one zero zero",
            ),
            ("+491234567890", "plus four nine one two three four five six seven eight nine zero"),
            ("the 21st and 2nd", "the twenty-first and second"),
            ("1/2 cup, 3/4 cup, 2 1/2 cups", "one half cup, three quarters cup, two and a half cups"),
            ("2½ cups", "two and a half cups"),
            ("24/7", "twenty-four seven"),
            ("5-7 days, 1990–1995", "five to seven days, nineteen ninety to nineteen ninety-five"),
            (
                "in 1999 and 1999 people",
                "in nineteen ninety-nine and one thousand nine hundred ninety-nine people",
            ),
            ("order 48213977", "order four eight two one three nine seven seven"),
            ("code 007", "code zero zero seven"),
            ("1,250 items", "one thousand two hundred fifty items"),
            ("it is -3 now", "it is minus three now"),
            ("3.14 and v1.2.3", "three point one four and version one point two point three"),
            ("Chapter IV of World War II", "Chapter four of World War two"),
            ("Henry VIII", "Henry the eighth"),
            ("I am here", "I am here"),
            ("1.5M users", "one point five million users"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
