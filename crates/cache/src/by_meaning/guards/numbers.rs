//! Brings numbers into digits, whether they were written or spoken.

use super::tokens::Token;

/// The words for 0 to 19, each at the index of its value.
pub(super) const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
/// The words for 20, 30 and so on to 90.
pub(super) const TENS: [&str; 8] =
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
/// The ordinals of 0 to 19, each at the index of its value.
const UNIT_ORDINALS: [&str; 20] = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
];
/// The ordinals of 20, 30 and so on to 90.
const TENS_ORDINALS: [&str; 8] =
    ["twentieth", "thirtieth", "fortieth", "fiftieth", "sixtieth", "seventieth", "eightieth", "ninetieth"];
/// Words for powers of ten, with the zeros they add.
const SCALES: [(&str, usize); 7] =
    [("thousand", 3), ("k", 3), ("lakh", 5), ("million", 6), ("crore", 7), ("billion", 9), ("trillion", 12)];
/// What makes digits an ordinal: `3rd`.
const ORDINAL_SUFFIXES: [&str; 4] = ["st", "nd", "rd", "th"];

/// A word or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WordOrNumber {
    Word(Token),
    Number(Number),
}

/// A number that was written in digits or in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// Its digits, with a point if it has one.
    pub(super) digits: String,
    /// Whether it is an ordinal: "third", not "three".
    pub(super) ordinal: bool,
    /// Whether it was the single word "one", which may be a pronoun.
    pub(super) lone_one: bool,
    /// Whether punctuation or the end of the text follows.
    pub(super) pause: bool,
}

/// One part of a spoken number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// One of the words for 0 to 9.
    Digit(u64),
    /// One of the words for 10 to 19.
    Teen(u64),
    /// 20, 30 to 90.
    Ten(u64),
    Hundred,
    Scale(usize),
}

fn said(word: &str) -> Option<(Said, bool)> {
    let find = |list: &[&str]| list.iter().position(|known| *known == word).map(|at| at as u64);
    let unit = |n| if n < 10 { Said::Digit(n) } else { Said::Teen(n) };
    let ten = |n| Said::Ten((n + 2) * 10);
    if let Some(n) = find(&UNITS) {
        return Some((unit(n), false));
    }
    if let Some(n) = find(&TENS) {
        return Some((ten(n), false));
    }
    if let Some(n) = find(&UNIT_ORDINALS) {
        return Some((unit(n), true));
    }
    if let Some(n) = find(&TENS_ORDINALS) {
        return Some((ten(n), true));
    }
    match word {
        "nought" => Some((Said::Digit(0), false)),
        "hundred" => Some((Said::Hundred, false)),
        "hundredth" => Some((Said::Hundred, true)),
        _ => scale(word).map(|zeros| (Said::Scale(zeros), false)),
    }
}

fn scale(word: &str) -> Option<usize> {
    let word = word.strip_suffix('s').unwrap_or(word);
    SCALES.iter().find(|(name, _)| *name == word).map(|(_, zeros)| *zeros)
}

/// Puts numbers together: "twenty one" is 21, "four eight two one three" 48213, "nineteen eighty four" 1984, "1.5
/// million" 1500000, "double seven" 77. Several written numbers beside each other stay several, unless all are digits.
pub(super) fn merge(tokens: &[Token]) -> Vec<WordOrNumber> {
    let mut items = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let found = written(&tokens[at..]).or_else(|| spoken(&tokens[at..]));
        if let Some((number, length)) = found {
            items.push(WordOrNumber::Number(number));
            at += length;
        } else {
            items.push(WordOrNumber::Word(tokens[at].clone()));
            at += 1;
        }
    }
    items
}

/// A number in digits and how many words it took.
fn written(tokens: &[Token]) -> Option<(Number, usize)> {
    let is_number =
        |token: &Token| token.text.starts_with(|c: char| c.is_ascii_digit()) && is_plain(&token.text);
    let first = tokens.first().filter(|token| is_number(token))?;
    if is_digit(first).is_some() && !first.pause && tokens.get(1).and_then(is_digit).is_some() {
        return spelled(tokens);
    }
    let digits = first.text.strip_suffix(".00").unwrap_or(&first.text).to_owned();
    let next = tokens.get(1).filter(|_| !first.pause);
    let number = |digits, ordinal, pause| Number { digits, ordinal, lone_one: false, pause };
    match next {
        Some(next) if ORDINAL_SUFFIXES.contains(&next.text.as_str()) => {
            Some((number(digits, true, next.pause), 2))
        }
        Some(next) if let Some(zeros) = scale(&next.text) => {
            Some((number(times(&digits, zeros), false, next.pause), 2))
        }
        _ => Some((number(digits, false, first.pause), 1)),
    }
}

/// Digits and at most one point; versions with more points are names.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || c == '.') && text.matches('.').count() <= 1
}

fn is_digit(token: &Token) -> Option<char> {
    let mut chars = token.text.chars();
    match (chars.next()?, chars.next()) {
        (c, None) if c.is_ascii_digit() => Some(c),
        ('o', None) => Some('0'),
        ('o', Some('h')) if token.text.len() == 2 => Some('0'),
        _ => match said(&token.text) {
            Some((Said::Digit(digit), false)) => char::from_digit(digit as u32, 10),
            _ => None,
        },
    }
}

/// A run of digits: "4 8 2", "four eight oh".
fn spelled(tokens: &[Token]) -> Option<(Number, usize)> {
    let mut digits = String::new();
    let mut length = 0;
    while let Some(token) = tokens.get(length) {
        let times = match token.text.as_str() {
            "double" => 2,
            "triple" => 3,
            _ => 1,
        };
        let at = length + usize::from(times > 1);
        let Some(digit) = tokens.get(at).and_then(is_digit) else { break };
        digits.extend(std::iter::repeat_n(digit, times));
        length = at + 1;
        if tokens[at].pause {
            break;
        }
    }
    let pause = tokens.get(length.checked_sub(1)?)?.pause;
    (digits.len() > 1).then_some((Number { digits, ordinal: false, lone_one: false, pause }, length))
}

/// A number in words and how many it took.
fn spoken(tokens: &[Token]) -> Option<(Number, usize)> {
    let starts_run = matches!(tokens.first()?.text.as_str(), "double" | "triple")
        || tokens.first().and_then(is_digit).is_some();
    if let Some(found) = starts_run.then(|| spelled(tokens)).flatten() {
        return Some(found);
    }
    let (mut groups, ordinal, mut length) = groups(tokens)?;
    let last = |length: usize| tokens.get(length - 1).is_none_or(|token| token.pause);
    if !ordinal && !last(length) && tokens.get(length).is_some_and(|token| token.text == "point") {
        let fraction = tokens[length + 1..].iter().map_while(is_digit).collect::<String>();
        if !fraction.is_empty() {
            length += 1 + fraction.len();
            groups = format!("{groups}.{fraction}");
            if let Some(zeros) = tokens.get(length).filter(|_| !last(length)).and_then(|t| scale(&t.text)) {
                groups = times(&groups, zeros);
                length += 1;
            }
        }
    }
    let lone_one = length == 1 && tokens[0].text == "one";
    Some((Number { digits: groups, ordinal, lone_one, pause: last(length) }, length))
}

/// Cardinals spoken one after the other: their digits side by side, whether the last is an ordinal, and how many words they took.
fn groups(tokens: &[Token]) -> Option<(String, bool, usize)> {
    let mut digits = String::new();
    let mut cardinal: Option<Cardinal> = None;
    let mut length = 0;
    let mut ordinal = false;
    while let Some(token) = tokens.get(length) {
        let joins = token.text == "and" && !token.pause && cardinal.is_some_and(Cardinal::takes_and);
        let at = length + usize::from(joins);
        let Some((part, is_ordinal)) = tokens.get(at).and_then(|token| said(&token.text)) else { break };
        match cardinal.and_then(|cardinal| cardinal.then(part)) {
            Some(longer) => cardinal = Some(longer),
            None if joins => break,
            None => {
                let fresh = Cardinal::start(part);
                digits.extend(cardinal.replace(fresh).map(|done| done.value().to_string()));
            }
        }
        length = at + 1;
        ordinal = is_ordinal;
        if ordinal || tokens[at].pause {
            break;
        }
    }
    digits.push_str(&cardinal?.value().to_string());
    Some((digits, ordinal, length))
}

/// A spoken cardinal, as far as it was read.
#[derive(Clone, Copy)]
struct Cardinal {
    /// The value before the last scale word.
    above: u64,
    /// The value since then, below a thousand.
    below: u64,
    /// The zeros of the last scale word: the next must have fewer.
    scale: usize,
    last: Said,
}

impl Cardinal {
    fn start(part: Said) -> Self {
        let below = match part {
            Said::Digit(n) | Said::Teen(n) | Said::Ten(n) => n,
            Said::Hundred => 100,
            Said::Scale(zeros) => {
                return Self { above: power(zeros), below: 0, scale: zeros, last: part };
            }
        };
        Self { above: 0, below, scale: usize::MAX, last: part }
    }

    /// The longer number, if the part continues this one.
    fn then(self, part: Said) -> Option<Self> {
        let after_scale = matches!(self.last, Said::Hundred | Said::Scale(_));
        let below = match (self.last, part) {
            (Said::Ten(_), Said::Digit(n)) if n > 0 => self.below + n,
            (_, Said::Digit(n) | Said::Teen(n) | Said::Ten(n)) if after_scale => self.below + n,
            (Said::Digit(n), Said::Hundred) if self.below == n && n > 0 => n * 100,
            (Said::Teen(n), Said::Hundred) if self.below == n => n * 100,
            (_, Said::Scale(zeros)) if zeros < self.scale && self.below > 0 => {
                let above = self.above.checked_add(self.below.checked_mul(power(zeros))?)?;
                return Some(Self { above, below: 0, scale: zeros, last: part });
            }
            _ => return None,
        };
        Some(Self { below, last: part, ..self })
    }

    /// Whether "and" may continue it: "a hundred and five".
    fn takes_and(self) -> bool {
        matches!(self.last, Said::Hundred | Said::Scale(_))
    }

    fn value(self) -> u64 {
        self.above.saturating_add(self.below)
    }
}

fn power(zeros: usize) -> u64 {
    10_u64.pow(zeros as u32)
}

/// The number with its point moved.
fn times(digits: &str, zeros: usize) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let moved: String = fraction.chars().chain(std::iter::repeat('0')).take(zeros).collect();
    let left = fraction.get(zeros..).unwrap_or_default();
    let whole = format!("{whole}{moved}");
    let whole = whole.trim_start_matches('0');
    if left.is_empty() { whole.to_owned() } else { format!("{whole}.{left}") }
}
