//! Amounts with units: "five kilometers", "twenty percent".

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::{group, pattern, replace};
use super::words::{amount, is_one};

/// Each unit as it is written, in the singular and in the plural. Case matters: "5 M" does not mean meters.
const UNITS: &[(&str, &str, &str)] = &[
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("kph", "kilometer per hour", "kilometers per hour"),
    ("mph", "mile per hour", "miles per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("km²", "square kilometer", "square kilometers"),
    ("m²", "square meter", "square meters"),
    ("m2", "square meter", "square meters"),
    ("m³", "cubic meter", "cubic meters"),
    ("sq ft", "square foot", "square feet"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("kW", "kilowatt", "kilowatts"),
    ("MW", "megawatt", "megawatts"),
    ("mAh", "milliamp hour", "milliamp hours"),
    ("km", "kilometer", "kilometers"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("µm", "micrometer", "micrometers"),
    ("nm", "nanometer", "nanometers"),
    ("kg", "kilogram", "kilograms"),
    ("mg", "milligram", "milligrams"),
    ("µg", "microgram", "micrograms"),
    ("mcg", "microgram", "micrograms"),
    ("ml", "milliliter", "milliliters"),
    ("mL", "milliliter", "milliliters"),
    ("ms", "millisecond", "milliseconds"),
    ("µs", "microsecond", "microseconds"),
    ("min", "minute", "minutes"),
    ("mins", "minute", "minutes"),
    ("sec", "second", "seconds"),
    ("secs", "second", "seconds"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("kbps", "kilobit per second", "kilobits per second"),
    ("Mbps", "megabit per second", "megabits per second"),
    ("Gbps", "gigabit per second", "gigabits per second"),
    ("KB", "kilobyte", "kilobytes"),
    ("kB", "kilobyte", "kilobytes"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("kHz", "kilohertz", "kilohertz"),
    ("MHz", "megahertz", "megahertz"),
    ("GHz", "gigahertz", "gigahertz"),
    ("Hz", "hertz", "hertz"),
    ("kcal", "kilocalorie", "kilocalories"),
    ("dB", "decibel", "decibels"),
    ("lbs", "pound", "pounds"),
    ("lb", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("ft", "foot", "feet"),
    ("yd", "yard", "yards"),
    ("mi", "mile", "miles"),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
    ("°C", "degree Celsius", "degrees Celsius"),
    ("ºC", "degree Celsius", "degrees Celsius"),
    ("°", "degree", "degrees"),
    ("%", "percent", "percent"),
    ("m", "meter", "meters"),
    ("g", "gram", "grams"),
    ("L", "liter", "liters"),
    ("l", "liter", "liters"),
    ("s", "second", "seconds"),
    ("h", "hour", "hours"),
    ("W", "watt", "watts"),
    ("V", "volt", "volts"),
    ("x", "times", "times"),
];

static AMOUNT: LazyLock<Regex> = LazyLock::new(|| {
    let mut written: Vec<String> = UNITS.iter().map(|(written, ..)| regex::escape(written)).collect();
    written.sort_by_key(|unit| std::cmp::Reverse(unit.len()));
    let units = written.join("|");
    pattern(&format!(
        r"(?:(?<from>\d[\d,.]*)\s?[-–]\s?)?(?<minus>(?:^|\s|\()[-−])?(?<amount>\d[\d,]*(?:\.\d+)?|\.\d+)[\s\u{{a0}}]?(?<unit>{units})(?<end>[^\w%°²³]|$)"
    ))
});

/// Replaces amounts with units by words.
pub(super) fn say(text: String) -> String {
    replace(text, &AMOUNT, |found| {
        let written = group(found, "unit");
        let (_, one, many) = UNITS.iter().find(|(unit, ..)| *unit == written)?;
        let number = group(found, "amount").trim_end_matches(',');
        // With a space between them, "5 l" or "3 s" is often not an amount.
        if ["l", "s", "h", "x", "V", "W"].contains(&written) && found[0].contains(&format!(" {written}")) {
            return None;
        }
        let from = group(found, "from");
        let minus = group(found, "minus");
        let minus = match minus.chars().next() {
            None => String::new(),
            Some('-' | '−') => "minus ".to_owned(),
            Some(before) => format!("{before}minus "),
        };
        let from = if from.is_empty() { String::new() } else { format!("{} to ", amount(from)) };
        let name = if is_one(number) && from.is_empty() { one } else { many };
        Some(format!("{from}{minus}{} {name}{}", amount(number), group(found, "end")))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn amounts_with_units_are_spoken() {
        for (written, said) in [
            (
                "70°F, 5km away, 20% off",
                "seventy degrees Fahrenheit, five kilometers away, twenty percent off",
            ),
            ("-5 °C.", "minus five degrees Celsius."),
            ("1 kg", "one kilogram"),
            ("2.5 GB", "two point five gigabytes"),
            ("5-10 mg", "five to ten milligrams"),
            ("100 km/h", "one hundred kilometers per hour"),
            ("12 months, 5 letters", "12 months, 5 letters"),
            ("1,500 m", "one thousand five hundred meters"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
