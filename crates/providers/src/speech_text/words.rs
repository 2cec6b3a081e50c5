//! Numbers in words, as Americans say them.

/// Plurals without an "s" that are often counted.
const IRREGULAR: [&str; 8] = ["people", "men", "women", "children", "feet", "mice", "teeth", "sheep"];
/// Words that look like plurals and are none; a year may stand before them.
const NO_PLURALS: &[&str] = &[
    "was",
    "is",
    "has",
    "does",
    "its",
    "this",
    "as",
    "plus",
    "perhaps",
    "always",
    "sometimes",
    "thus",
    "yes",
    "us",
    "his",
    "hers",
    "ours",
    "yours",
    "theirs",
    "besides",
    "towards",
    "across",
    "versus",
    "less",
    "brings",
    "marks",
    "remains",
    "sees",
    "shows",
    "means",
    "comes",
    "begins",
    "starts",
    "ends",
    "looks",
    "feels",
    "goes",
    "makes",
    "gives",
    "takes",
    "says",
    "saves",
    "whereas",
    "afterwards",
    "onwards",
    "upwards",
];

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
    if (1_001..=2_099).contains(&n) && !(2_000..2_010).contains(&n) { pairs(n) } else { cardinal(n) }
}

/// The name of a house, a room, or a road: 204 is "two oh four", 1600 "sixteen hundred", 2000 "two thousand".
pub(super) fn label(n: u64) -> String {
    if (100..10_000).contains(&n) && !n.is_multiple_of(1_000) { pairs(n) } else { cardinal(n) }
}

/// A number of three or four digits as two numbers: 1999 is "nineteen ninety-nine".
fn pairs(n: u64) -> String {
    match (n / 100, n % 100) {
        (hundreds, 0) => format!("{} hundred", cardinal(hundreds)),
        (hundreds, rest @ 1..=9) => format!("{} oh {}", cardinal(hundreds), cardinal(rest)),
        (hundreds, rest) => format!("{} {}", cardinal(hundreds), cardinal(rest)),
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
    match written.to_ascii_lowercase().as_str() {
        "k" | "thousand" => Some("thousand"),
        "lakh" => Some("lakh"),
        "crore" => Some("crore"),
        "m" | "mm" | "mn" | "mil" | "million" => Some("million"),
        "b" | "bn" | "billion" => Some("billion"),
        "t" | "tn" | "trillion" => Some("trillion"),
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

/// Whether a word is most likely the plural of a noun, such as that of things which are counted.
pub(super) fn is_plural(word: &str) -> bool {
    let regular =
        word.len() > 3 && word.ends_with('s') && !["ss", "us", "is"].iter().any(|end| word.ends_with(end));
    let plain = word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    IRREGULAR.contains(&word) || (regular && plain && !NO_PLURALS.contains(&word))
}

/// The value of a Roman numeral up to the hundreds.
pub(super) fn roman(numeral: &str) -> Option<u64> {
    let value = |c| match c {
        'I' => Some(1),
        'V' => Some(5),
        'X' => Some(10),
        'L' => Some(50),
        'C' => Some(100),
        _ => None,
    };
    let values: Vec<i64> = numeral.chars().map(value).collect::<Option<_>>()?;
    let signed = values
        .iter()
        .enumerate()
        .map(|(n, &value)| if values.get(n + 1).is_some_and(|&next| next > value) { -value } else { value });
    u64::try_from(signed.sum::<i64>()).ok().filter(|&sum| sum > 0)
}

/// The letters with spaces between them, so that a voice spells them: "U K".
pub(super) fn spelled(letters: &str) -> String {
    let letters: Vec<String> = letters.chars().map(String::from).collect();
    letters.join(" ")
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
            (1066, "ten sixty-six"),
        ] {
            assert_eq!(year(n), said);
        }
    }

    #[test]
    fn numbers_that_name_a_place_are_said_in_pairs() {
        for (n, said) in [
            (42, "forty-two"),
            (204, "two oh four"),
            (300, "three hundred"),
            (1600, "sixteen hundred"),
            (2000, "two thousand"),
            (2010, "twenty ten"),
        ] {
            assert_eq!(label(n), said);
        }
    }

    #[test]
    fn plurals_are_told_from_verbs_and_other_words() {
        assert!(["users", "people", "year-olds"].iter().all(|word| is_plural(word)));
        assert!(["was", "brings", "class", "Paris", "crisis", ""].iter().all(|word| !is_plural(word)));
    }

    #[test]
    fn roman_numerals_have_values() {
        assert_eq!(["VIII", "IV", "LVIII", "XC"].map(roman), [Some(8), Some(4), Some(58), Some(90)]);
        assert_eq!(roman("IDEA"), None);
    }

    #[test]
    fn amounts_may_have_separators_and_fractions() {
        assert_eq!(amount("1,250.50"), "one thousand two hundred fifty point five zero");
        assert_eq!(amount(".5"), "point five");
        assert_eq!(amount("99999999999999999999").split(' ').count(), 20);
    }
}
