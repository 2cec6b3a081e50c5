//! Numbers in words, as Americans say them.

const SMALL: [&str; 20] = [
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
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "quintillion"),
    (1_000_000_000_000_000, "quadrillion"),
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
];

/// The number in words: 21 is "twenty-one".
pub fn cardinal(n: u64) -> String {
    if n < 20 {
        return SMALL[n as usize].to_owned();
    }
    if n < 100 {
        let tens = TENS[(n / 10) as usize];
        return if n.is_multiple_of(10) {
            tens.to_owned()
        } else {
            format!("{tens}-{}", SMALL[(n % 10) as usize])
        };
    }
    let (size, name) = SCALES.into_iter().find(|(size, _)| n >= *size).unwrap_or((100, "hundred"));
    let head = format!("{} {name}", cardinal(n / size));
    if n.is_multiple_of(size) { head } else { format!("{head} {}", cardinal(n % size)) }
}

/// The number's place in a row, in words: 21 is "twenty-first".
pub fn ordinal(n: u64) -> String {
    let said = cardinal(n);
    let last = said.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (head, last) = said.split_at(last);
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        tens if tens.ends_with('y') => format!("{}ieth", &tens[..tens.len() - 1]),
        other => format!("{other}th"),
    };
    format!("{head}{last}")
}

/// 1999 is "nineteen ninety-nine", 1905 "nineteen oh five", 2007 "two thousand seven".
pub(super) fn year(n: u64) -> String {
    match (n / 100, n % 100) {
        (_, _) if !(1_100..=2_099).contains(&n) || (2_000..2_010).contains(&n) => cardinal(n),
        (century, 0) => format!("{} hundred", cardinal(century)),
        (century, rest @ 1..=9) => format!("{} oh {}", cardinal(century), cardinal(rest)),
        (century, rest) => format!("{} {}", cardinal(century), cardinal(rest)),
    }
}

/// "407" is "four zero seven"; all but ASCII digits is left out.
pub(super) fn digits(text: &str) -> String {
    let names: Vec<&str> =
        text.bytes().filter(u8::is_ascii_digit).map(|b| SMALL[usize::from(b - b'0')]).collect();
    names.join(" ")
}

/// An amount as it is written, with separators and a fraction or without: "1,250.5". One that does not fit into `u64`
/// is said digit by digit.
pub(super) fn amount(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain: String = whole.chars().filter(char::is_ascii_digit).collect();
    let said = match plain.parse() {
        _ if plain.is_empty() => String::new(),
        Ok(n) => cardinal(n),
        Err(_) => digits(&plain),
    };
    if fraction.is_empty() {
        said
    } else {
        format!("{said} point {}", digits(fraction)).trim_start().to_owned()
    }
}

/// The word for a scale that is written as a letter or a word after an amount: "K" is "thousand".
pub(super) fn scale(written: &str) -> Option<&'static str> {
    match written {
        "K" | "thousand" => Some("thousand"),
        "M" | "Mn" | "million" => Some("million"),
        "B" | "Bn" | "billion" => Some("billion"),
        "T" | "Tn" | "trillion" => Some("trillion"),
        _ => None,
    }
}

/// Whether a word begins with a number in words.
pub(super) fn is_number_word(word: &str) -> bool {
    let first = word.split(['-', ',', '.']).next().unwrap_or_default();
    SMALL.contains(&first) || TENS[2..].contains(&first)
}

/// Whether an amount is exactly one: its unit is in the singular then.
pub(super) fn is_one(amount: &str) -> bool {
    amount == "1"
}

/// The plural of a number in words or of a regular noun: "ninety" becomes "nineties".
pub(super) fn plural(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if word.ends_with(['s', 'x']) => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_words() {
        for (n, said) in [
            (0, "zero"),
            (13, "thirteen"),
            (40, "forty"),
            (99, "ninety-nine"),
            (100, "one hundred"),
            (342, "three hundred forty-two"),
            (1_000, "one thousand"),
            (25_013, "twenty-five thousand thirteen"),
            (1_000_001, "one million one"),
        ] {
            assert_eq!(cardinal(n), said);
        }
        assert!(cardinal(u64::MAX).starts_with("eighteen quintillion"));
    }

    #[test]
    fn ordinals_have_their_irregular_forms() {
        for (n, said) in [
            (1, "first"),
            (12, "twelfth"),
            (20, "twentieth"),
            (21, "twenty-first"),
            (100, "one hundredth"),
            (1_003, "one thousand third"),
        ] {
            assert_eq!(ordinal(n), said);
        }
    }

    #[test]
    fn years_are_said_in_pairs() {
        for (n, said) in [
            (1999, "nineteen ninety-nine"),
            (1905, "nineteen oh five"),
            (1800, "eighteen hundred"),
            (2000, "two thousand"),
            (2007, "two thousand seven"),
            (2024, "twenty twenty-four"),
        ] {
            assert_eq!(year(n), said);
        }
    }

    #[test]
    fn amounts_may_have_separators_and_fractions() {
        assert_eq!(amount("1,250.50"), "one thousand two hundred fifty point five zero");
        assert_eq!(amount(".5"), "point five");
        assert_eq!(amount("99999999999999999999").split(' ').count(), 20);
    }
}
