//! Amounts of money.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace_in_context};
use super::words::{amount, cardinal, is_one, scale};

const CENTS_OF: (&str, &str) = ("cent", "cents");

/// The currencies that are known (codes of ISO 4217); amounts of others stay as they are written.
const CURRENCIES: [Currency; 31] = [
    currency("$", "USD", "dollar", "dollars", CENTS_OF),
    currency("€", "EUR", "euro", "euros", CENTS_OF),
    currency("£", "GBP", "pound", "pounds", ("penny", "pence")),
    currency("¥", "JPY", "yen", "yen", ("", "")),
    currency("₹", "INR", "rupee", "rupees", ("paisa", "paise")),
    currency("Rs", "Rs", "rupee", "rupees", ("paisa", "paise")),
    currency("₩", "KRW", "won", "won", ("", "")),
    currency("₽", "RUB", "ruble", "rubles", ("kopek", "kopeks")),
    currency("₺", "TRY", "lira", "lira", ("kurus", "kurus")),
    currency("₪", "ILS", "shekel", "shekels", ("agora", "agorot")),
    currency("฿", "THB", "baht", "baht", ("satang", "satang")),
    currency("₫", "VND", "dong", "dong", ("", "")),
    currency("₱", "PHP", "peso", "pesos", ("centavo", "centavos")),
    currency("₦", "NGN", "naira", "naira", ("kobo", "kobo")),
    currency("₴", "UAH", "hryvnia", "hryvnias", ("kopek", "kopeks")),
    currency("₿", "BTC", "bitcoin", "bitcoins", ("", "")),
    currency("US$", "US$", "U S dollar", "U S dollars", CENTS_OF),
    currency("A$", "AUD", "Australian dollar", "Australian dollars", CENTS_OF),
    currency("AU$", "AU$", "Australian dollar", "Australian dollars", CENTS_OF),
    currency("C$", "CAD", "Canadian dollar", "Canadian dollars", CENTS_OF),
    currency("CA$", "CA$", "Canadian dollar", "Canadian dollars", CENTS_OF),
    currency("NZ$", "NZD", "New Zealand dollar", "New Zealand dollars", CENTS_OF),
    currency("HK$", "HKD", "Hong Kong dollar", "Hong Kong dollars", CENTS_OF),
    currency("S$", "SGD", "Singapore dollar", "Singapore dollars", CENTS_OF),
    currency("R$", "BRL", "real", "reais", ("centavo", "centavos")),
    currency("CHF", "CHF", "Swiss franc", "Swiss francs", ("centime", "centimes")),
    currency("CN¥", "CNY", "yuan", "yuan", ("", "")),
    currency("RMB", "RMB", "yuan", "yuan", ("", "")),
    currency("zł", "PLN", "zloty", "zlotys", ("grosz", "groszy")),
    currency("SEK", "SEK", "Swedish krona", "Swedish kronor", ("", "")),
    currency("MXN", "MXN", "Mexican peso", "Mexican pesos", ("centavo", "centavos")),
];

/// An amount: with separators of thousands (also as in India, and as in most of Europe), with a fraction, or without.
const NUMBER: &str = r"\d{1,3}(?:\.\d{3})+,\d\d\b|\d{1,3}(?:,\d{2,3})+(?:\.\d+)?\b|\d+,\d\d?\b|\d*\.\d+|\d+";
const SCALE: &str = r"[kKMmBbT][nN]?\b|mil\b|mm\b|(?i:thousand|lakh|million|crore|billion|trillion)\b";
/// What is paid for: "$5/month".
const PER: &str = r"(?:\s?/\s?(?<per>[A-Za-z]{1,12})\b)?";

/// An amount behind a sign: `$5`, `-€3.50`, `$1-2 million`, `$100K-$150K`.
static SIGNED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?<minus>[-−])?(?<currency>\b(?:US|CA|AU|NZ|HK|A|C|S|R)\$|\bCN¥|[$€£¥₹₩₽₺₪฿₫₱₦₴₿]|\b(?:USD|EUR|GBP|JPY|INR|CHF|CAD|AUD|CNY|RMB|BTC)|\bRs\.?)\s?(?<negative>-)?(?:(?<from>{NUMBER})\s?(?<multiple>{SCALE})?\s?[-–—]\s?[$€£¥₹₩]?)?(?<amount>{NUMBER})(?:[\s-]?(?<scale>{SCALE}))?{PER}"
    ))
});
/// An amount before a sign or a code: `5 €`, `20 USD`, `5-10 €`.
static CODED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?<minus>\B-)?\b(?:(?<from>{NUMBER})\s?[-–]\s?)?(?<amount>{NUMBER})\s?(?:(?<scale>{SCALE})\s?)?(?<currency>[€£¥₹₩₽₺₪₫₴₿]|zł|US\$|\$|(?:USD|EUR|GBP|JPY|INR|KRW|CHF|CAD|AUD|CNY|RMB|PLN|SEK|MXN|BRL|BTC|NZD|HKD|SGD|RUB|ILS)\b){PER}"
    ))
});
/// An amount of cents or pence: `50 ¢`, `50p`.
static SMALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?<amount>\d+)(?:\s?(?<cents>¢)|p\b)"));

/// A currency, how its amounts are written, and how they are spoken.
struct Currency {
    sign: &'static str,
    code: &'static str,
    name: &'static str,
    many: &'static str,
    /// The names of one hundredth and of several; empty when there is none.
    hundredths: (&'static str, &'static str),
}

const fn currency(
    sign: &'static str,
    code: &'static str,
    name: &'static str,
    many: &'static str,
    hundredths: (&'static str, &'static str),
) -> Currency {
    Currency { sign, code, name, many, hundredths }
}

/// Replaces amounts of money by words.
pub(super) fn say(text: String) -> String {
    let text = replace_in_context(text, &SIGNED, spoken);
    let text = replace_in_context(text, &CODED, spoken);
    replace_in_context(text, &SMALL, |found, around| {
        let written = group(found, "amount");
        let (one, many) = if group(found, "cents").is_empty() { ("penny", "pence") } else { CENTS_OF };
        // Pictures have 480p, 720p and so on.
        let picture = one == "penny" && written.len() > 2;
        let single = is_one(written) || around.describes_noun();
        (!picture).then(|| format!("{} {}", amount(written), if single { one } else { many }))
    })
}

fn spoken(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let written = group(found, "currency");
    let written = written.trim_end_matches('.');
    let currency = CURRENCIES.iter().find(|c| c.sign == written || c.code == written)?;
    let negative = !(group(found, "minus").is_empty() && group(found, "negative").is_empty());
    let minus = if negative { "minus " } else { "" };
    let sum = decimal(group(found, "amount"));
    let from = decimal(group(found, "from"));
    let name = |one: bool| if one || around.describes_noun() { currency.name } else { currency.many };
    let per = match group(found, "per") {
        "" => String::new(),
        what => format!(" per {}", super::unit::singular(what).unwrap_or(what)),
    };
    if !from.is_empty() || !group(found, "scale").is_empty() {
        let scaled = |sum: &str, written: &str| match scale(written) {
            Some(scale) => format!("{} {scale}", amount(sum)),
            None => amount(sum),
        };
        let from = if from.is_empty() {
            String::new()
        } else {
            format!("{} to ", scaled(&from, group(found, "multiple")))
        };
        return Some(format!("{minus}{from}{} {}{per}", scaled(&sum, group(found, "scale")), name(false)));
    }
    Some(format!("{minus}{}{per}", exact(&sum, currency, name)))
}

/// An amount with its hundredths: "five dollars and ninety-nine cents".
fn exact(sum: &str, currency: &Currency, name: impl Fn(bool) -> &'static str) -> String {
    let (whole, fraction) = sum.split_once('.').unwrap_or((sum, ""));
    let (hundredth, hundredths) = currency.hundredths;
    let cents: Option<u64> =
        (fraction.len() == 2 && !hundredth.is_empty()).then(|| fraction.parse().ok()).flatten();
    let Some(cents) = cents else {
        return format!("{} {}", amount(sum), name(is_one(sum)));
    };
    let small = format!("{} {}", cardinal(cents), if cents == 1 { hundredth } else { hundredths });
    match (whole.trim_start_matches('0'), cents) {
        (_, 0) => format!("{} {}", amount(whole), name(is_one(whole))),
        ("", _) => small,
        (whole, _) => format!("{} {} and {small}", amount(whole), name(is_one(whole))),
    }
}

/// The amount with a decimal point: most of Europe writes "1.234,56".
fn decimal(written: &str) -> String {
    match written.rsplit_once(',') {
        Some((whole, cents)) if cents.len() <= 2 => format!("{}.{cents}", whole.replace('.', "")),
        _ => written.replace(',', ""),
    }
}

/// The name of a currency whose sign stands without an amount: "the $ sign" is "the dollar sign".
pub(super) fn sign(c: char) -> Option<&'static str> {
    let mut bytes = [0; 4];
    let written: &str = c.encode_utf8(&mut bytes);
    CURRENCIES.iter().find(|currency| currency.sign == written).map(|currency| currency.name)
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
            (
                "$2.5m, $1.2bn, £20k",
                "two point five million dollars, one point two billion dollars, twenty thousand pounds",
            ),
            ("$1,250.00", "one thousand two hundred fifty dollars"),
            (
                "€10-15, $100K-$150K",
                "ten to fifteen euros, one hundred thousand to one hundred fifty thousand dollars",
            ),
            ("-$40", "minus forty dollars"),
            ("20 EUR, 30€", "twenty euros, thirty euros"),
            ("¥1000", "one thousand yen"),
            ("75¢ and 50p", "seventy-five cents and fifty pence"),
            ("cash $", "cash $"),
            (
                "€9,99 or 1.234,56 €",
                "nine euros and ninety-nine cents or one thousand two hundred thirty-four euros and fifty-six cents",
            ),
            ("₹1,00,000, ₹2 crore", "one hundred thousand rupees, two crore rupees"),
            ("$5/month, $20/hr", "five dollars per month, twenty dollars per hour"),
            ("a $20 bill", "a twenty dollar bill"),
            ("Rs. 500, USD5", "five hundred rupees, five dollars"),
            ("US$5", "five U S dollars"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
