//! Formulas of mathematics and chemistry: "two plus two equals four", "H two O".

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::fraction;
use super::pattern::{Around, group, pattern, replace_in_context};
use super::words::{amount, cardinal, spelled};

/// A number, a letter, or both, with a power or without, in brackets or without.
const TERM: &str = r"\(?[-√]?\(?(?:\d[\d,]{0,20}(?:\.\d{1,20})?[a-z]?\b|\.\d{1,20}|\b[a-zA-Zπ]\b|\b[a-zA-Z]{1,3})(?:[²³]|\^\(?-?(?:\d{1,3}|[a-z])\b\)?)?[%!]?\)?";
/// What stands between two terms.
const OPERATOR: &str = r"(?:==|!=|<=|>=|\*\*|[-+*/×÷=≈≠<>≤≥±^])";

/// Terms with operators between them. Its length is bounded, so that hostile text is not searched again and again.
static EXPRESSION: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"{TERM}(?:\s?{OPERATOR}\s?{TERM}){{1,16}}(?:\s?=\s?\?)?")));
/// The pieces of an expression.
static PIECE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?<fraction>\d{1,2}/\d{1,2})|(?<number>\d[\d,]*(?:\.\d+)?|\.\d+)|(?<letters>[a-zA-Z]+)|(?<sign>==|!=|<=|>=|\*\*|\S)",
    )
});
/// A number with a power: "10^6", "5²".
static POWER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:(?<number>\d[\d,]{0,20}(?:\.\d{1,20})?)|(?<letters>[a-zA-Z]{1,2}))(?<power>[²³]|\^\(?-?(?:\d{1,4}|[a-z])\b\)?)",
    )
});
/// A number as computers write large and small ones: "1e6", "2.5E-3".
static SCIENTIFIC: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<number>\d{1,3}(?:\.\d{1,20})?)[eE](?<power>[+-]?\d{1,3})\b"));
/// Symbols of elements with counts. Without a digit it may be any word.
static COMPOUND: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?:[A-Z][a-z]?\d{0,3}|\((?:[A-Z][a-z]?\d{0,3}){1,4}\)\d{0,3}){2,12}"));
static ELEMENT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?<symbol>[A-Z][a-z]?)(?<end>\)?)(?<count>\d*)"));

/// The symbols of the elements that compounds in ordinary text are made of.
const ELEMENTS: &[&str] = &[
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K",
    "Ca", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",
    "Zr", "Mo", "Ag", "Cd", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "W", "Pt", "Au", "Hg", "Pb", "Bi", "Ra",
    "U", "Pu",
];

/// Replaces formulas by words.
pub(super) fn say(text: String) -> String {
    let text = replace_in_context(text, &SCIENTIFIC, |found, around| {
        let part = around.char_before().is_some_and(|c| c.is_alphanumeric() || c == '-');
        let power = group(found, "power");
        (!part).then(|| {
            format!("{} times ten to the power of {}", amount(group(found, "number")), signed(power))
        })
    });
    let text = replace_in_context(text, &EXPRESSION, expression);
    let text = replace_in_context(text, &POWER, |found, _| {
        let base = match group(found, "number") {
            "" => spelled(group(found, "letters")),
            number => amount(number),
        };
        Some(format!("{base}{}", power(group(found, "power"))))
    });
    replace_in_context(text, &COMPOUND, compound)
}

fn signed(number: &str) -> String {
    match number.strip_prefix('-') {
        Some(number) => format!("minus {}", amount(number)),
        None => amount(number.trim_start_matches('+')),
    }
}

fn power(written: &str) -> String {
    match written.trim_start_matches('^').trim_matches(['(', ')']) {
        "²" | "2" => " squared".to_owned(),
        "³" | "3" => " cubed".to_owned(),
        letter if letter.bytes().all(|b| b.is_ascii_alphabetic()) => format!(" to the power of {letter}"),
        number => format!(" to the power of {}", signed(number)),
    }
}

fn expression(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let written = &found[0];
    let touching = around.char_before().is_some_and(|c| c.is_alphanumeric() || "$€£.#@/&".contains(c))
        || around.rest().starts_with(|c: char| c.is_alphanumeric() || "°%/".contains(c))
        || around
            .rest()
            .strip_prefix(['.', '-', ':'])
            .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    // A minus sign or a slash alone makes ranges, dates and fractions; "A+B" and words with a plus are names.
    let computed = written.contains(['*', '×', '÷', '=', '≈', '≠', '≤', '≥', '±', '<', '>'])
        || (written.contains(" - ") && written.contains(|c: char| c.is_ascii_lowercase()))
        || (written.contains('+') && written.contains(|c: char| c.is_ascii_digit() || c == ' '));
    if touching || !computed || !operands_are_terms(written) {
        return None;
    }
    let mut said: Vec<String> = Vec::new();
    let mut pieces = PIECE.captures_iter(written).peekable();
    while let Some(piece) = pieces.next() {
        let sign = group(&piece, "sign");
        let term = sign.is_empty();
        if let (Some(words), true) =
            (fraction::quantity(group(&piece, "fraction")), proper(group(&piece, "fraction")))
        {
            said.push(words);
        } else if let Some((top, bottom)) = group(&piece, "fraction").split_once('/') {
            said.push(format!("{} divided by {}", amount(top), amount(bottom)));
        } else if !group(&piece, "number").is_empty() {
            said.push(amount(group(&piece, "number").trim_end_matches(',')));
        } else if term {
            said.push(spelled(group(&piece, "letters")));
        } else if sign == "^" {
            let next = pieces.by_ref().find(|piece| !matches!(group(piece, "sign"), "(" | "-"));
            let negative = written.contains("^-") || written.contains("^(-");
            let number = next.map_or_else(String::new, |piece| piece[0].to_owned());
            let number = if negative { format!("-{number}") } else { number };
            said.push(power(&number).trim().to_owned());
        } else if let Some(word) = operator(sign) {
            said.push(word.to_owned());
        }
    }
    // Brackets that follow each other are multiplied; their words must not touch.
    let gap = if around.char_after() == Some('(') { " " } else { "" };
    Some(said.join(" ") + gap)
}

/// Whether letters in an expression are those of a formula, and not the ends of words or names.
fn operands_are_terms(written: &str) -> bool {
    let words = written.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1);
    let mut names =
        words.filter(|word| !written.contains(&format!("{word}²")) && !written.contains(&format!("{word}^")));
    names.all(|word| {
        word.len() == 1
            || (word.len() == 2 && word.bytes().all(|b| b.is_ascii_lowercase()) && written.contains('='))
    })
}

fn proper(fraction: &str) -> bool {
    let parts =
        fraction.split_once('/').and_then(|(top, bottom)| Some((top.parse().ok()?, bottom.parse().ok()?)));
    parts.is_some_and(|(top, bottom): (u64, u64)| top < bottom)
}

fn operator(sign: &str) -> Option<&'static str> {
    Some(match sign {
        "+" => "plus",
        "-" => "minus",
        "*" | "×" => "times",
        "/" | "÷" => "divided by",
        "=" | "==" => "equals",
        "!=" | "≠" => "does not equal",
        "≈" => "is about",
        "<" => "is less than",
        ">" => "is greater than",
        "≤" | "<=" => "is less than or equal to",
        "≥" | ">=" => "is greater than or equal to",
        "±" => "plus or minus",
        "**" => "to the power of",
        "√" => "the square root of",
        "π" => "pi",
        "²" => "squared",
        "³" => "cubed",
        "%" => "percent",
        "!" => "factorial",
        "?" => "what",
        _ => return None,
    })
}

fn compound(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let written = &found[0];
    let part = around.char_after().is_some_and(|c| c.is_alphanumeric() || c == '-')
        || around.char_before() == Some('-');
    if part || !written.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut said = Vec::new();
    for element in ELEMENT.captures_iter(written) {
        let symbol = group(&element, "symbol");
        let count = group(&element, "count");
        if !ELEMENTS.contains(&symbol) || count.starts_with('0') || count.len() > 2 {
            return None;
        }
        said.push(spelled(&symbol.to_uppercase()));
        if let Ok(count) = count.parse() {
            said.push(cardinal(count));
        }
    }
    Some(said.join(" "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn formulas_are_spoken() {
        for (written, said) in [
            ("2+2=4", "two plus two equals four"),
            ("2*3*4", "two times three times four"),
            ("5 - 3 = 2", "five minus three equals two"),
            ("10/2=5", "ten divided by two equals five"),
            ("1/2 + 1/4 = 3/4", "one half plus one quarter equals three quarters"),
            ("E = mc²", "E equals m c squared"),
            ("x² + y² = z²", "x squared plus y squared equals z squared"),
            (
                "10^6, 2^10, 10^-3",
                "ten to the power of six, two to the power of ten, ten to the power of minus three",
            ),
            ("1e6", "one times ten to the power of six"),
            ("6.02 × 10^23", "six point zero two times ten to the power of twenty-three"),
            ("H2O, CO2, C6H12O6", "H two O, C O two, C six H twelve O six"),
            ("Ca(OH)2", "C A O H two"),
            ("10-15, 3/4, C++ and A+", "10-15, 3/4, C++ and A+"),
            ("(x + 1)(x - 1)", "x plus one x minus one"),
            ("x > 5", "x is greater than five"),
            ("COVID-19 and BA2490", "COVID-19 and BA2490"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
