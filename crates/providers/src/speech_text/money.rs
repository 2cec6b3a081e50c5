//! How amounts of money are spoken.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{group, pattern, replace};
use super::words::{amount, cardinal, is_one, plural, scale};

/// The currencies that are known; amounts of others stay as they are written.
const CURRENCIES: [Currency; 6] = [
    Currency { sign: "$", code: "USD", name: "dollar", hundredth: "cent" },
    Currency { sign: "€", code: "EUR", name: "euro", hundredth: "cent" },
    Currency { sign: "£", code: "GBP", name: "pound", hundredth: "penny" },
    Currency { sign: "¥", code: "JPY", name: "yen", hundredth: "" },
    Currency { sign: "₹", code: "INR", name: "rupee", hundredth: "paisa" },
    Currency { sign: "₩", code: "KRW", name: "won", hundredth: "" },
];

/// An amount with or without separators and a fraction.
const NUMBER: &str = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+";

/// An amount behind a sign: `$5`, `-€3.50`, `$1-2 million`.
static SIGNED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?<minus>[-−])?(?:US|CA|AU)?(?<currency>[$€£¥₹₩])\s?(?<from>(?:{NUMBER})\s?[-–]\s?[$€£¥₹₩]?)?(?<amount>{NUMBER})(?:\s?(?<scale>[KMBT]n?\b|thousand|million|billion|trillion))?"
    ))
});
/// An amount before a sign or a code: `5 €`, `20 USD`.
static CODED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r"\b(?<amount>{NUMBER})\s?(?<currency>[€£¥₹₩]|(?:USD|EUR|GBP|JPY|INR|KRW)\b)"))
});
/// An amount of cents: `50 ¢`.
static CENTS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?<amount>\d+)\s?¢"));

/// A currency, how its amounts are written, and how they are spoken.
struct Currency {
    sign: &'static str,
    code: &'static str,
    name: &'static str,
    /// The name of a hundredth; empty when there is none.
    hundredth: &'static str,
}

/// Replaces amounts of money by words.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &SIGNED, spoken);
    let text = replace(text, &CODED, spoken);
    replace(text, &CENTS, |found| {
        let cents = group(found, "amount");
        Some(format!("{} {}", amount(cents), if is_one(cents) { "cent" } else { "cents" }))
    })
}

fn spoken(found: &Captures<'_>) -> Option<String> {
    let written = group(found, "currency");
    let currency = CURRENCIES.iter().find(|c| c.sign == written || c.code == written)?;
    let minus = if group(found, "minus").is_empty() { "" } else { "minus " };
    let sum = group(found, "amount");
    let named = |one: bool| match currency.name {
        name @ ("yen" | "won") => name.to_owned(),
        name if one => name.to_owned(),
        name => plural(name),
    };
    let from = group(found, "from").trim_end_matches(|c: char| !c.is_ascii_digit());
    let from = if from.is_empty() { String::new() } else { format!("{} to ", amount(from)) };
    if let Some(scale) = scale(group(found, "scale")) {
        return Some(format!("{minus}{from}{} {scale} {}", amount(sum), named(false)));
    }
    let (whole, fraction) = sum.split_once('.').unwrap_or((sum, ""));
    let hundredths: Option<u64> = (fraction.len() == 2).then(|| fraction.parse().ok()).flatten();
    Some(match hundredths {
        Some(hundredths) if from.is_empty() && !currency.hundredth.is_empty() => {
            let small = match (hundredths, currency.hundredth) {
                (1, name) => name.to_owned(),
                (_, "penny") => "pence".to_owned(),
                (_, name) => plural(name),
            };
            match (whole.trim_start_matches('0'), hundredths) {
                (_, 0) => format!("{minus}{} {}", amount(whole), named(is_one(whole))),
                ("", n) => format!("{minus}{} {small}", cardinal(n)),
                (whole, n) => {
                    format!("{minus}{} {} and {} {small}", amount(whole), named(is_one(whole)), cardinal(n))
                }
            }
        }
        _ => format!("{minus}{from}{} {}", amount(sum), named(is_one(sum) && from.is_empty())),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn money_is_spoken() {
        for (written, said) in [
            ("$5.99", "five dollars and ninety-nine cents"),
            ("$1", "one dollar"),
            ("$0.50", "fifty cents"),
            ("£1.01", "one pound and one penny"),
            ("£20.50", "twenty pounds and fifty pence"),
            ("$3.5 million", "three point five million dollars"),
            ("$5K", "five thousand dollars"),
            ("$1,250.00", "one thousand two hundred fifty dollars"),
            ("€10-15", "ten to fifteen euros"),
            ("-$40", "minus forty dollars"),
            ("20 EUR, 30€", "twenty euros, thirty euros"),
            ("¥1000", "one thousand yen"),
            ("75¢", "seventy-five cents"),
            ("cash $", "cash $"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
