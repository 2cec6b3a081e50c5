//! Measures: "five kilometers", "twenty percent".

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::fraction;
use super::pattern::{Around, group, pattern, replace, replace_in_context};
use super::words::{amount, cardinal, is_one};

/// Each unit as it is written, in the singular and in the plural. Case matters: "5 M" does not mean meters.
const UNITS: &[(&str, &str, &str)] = &[
    ("kph", "kilometer per hour", "kilometers per hour"),
    ("kmh", "kilometer per hour", "kilometers per hour"),
    ("mph", "mile per hour", "miles per hour"),
    ("mpg", "mile per gallon", "miles per gallon"),
    ("rpm", "revolution per minute", "revolutions per minute"),
    ("RPM", "revolution per minute", "revolutions per minute"),
    ("bpm", "beat per minute", "beats per minute"),
    ("fps", "frame per second", "frames per second"),
    ("dpi", "dot per inch", "dots per inch"),
    ("ppm", "part per million", "parts per million"),
    ("psi", "pound per square inch", "pounds per square inch"),
    ("km²", "square kilometer", "square kilometers"),
    ("m²", "square meter", "square meters"),
    ("m2", "square meter", "square meters"),
    ("m^2", "square meter", "square meters"),
    ("cm²", "square centimeter", "square centimeters"),
    ("mm²", "square millimeter", "square millimeters"),
    ("ft²", "square foot", "square feet"),
    ("in²", "square inch", "square inches"),
    ("mi²", "square mile", "square miles"),
    ("m³", "cubic meter", "cubic meters"),
    ("m3", "cubic meter", "cubic meters"),
    ("cm³", "cubic centimeter", "cubic centimeters"),
    ("ft³", "cubic foot", "cubic feet"),
    ("s^2", "second squared", "second squared"),
    ("km^2", "square kilometer", "square kilometers"),
    ("cm^2", "square centimeter", "square centimeters"),
    ("ft^2", "square foot", "square feet"),
    ("m^3", "cubic meter", "cubic meters"),
    ("cm^3", "cubic centimeter", "cubic centimeters"),
    ("sq. km", "square kilometer", "square kilometers"),
    ("sq. mi", "square mile", "square miles"),
    ("sq. m", "square meter", "square meters"),
    ("s²", "second squared", "second squared"),
    ("sq ft", "square foot", "square feet"),
    ("sq. ft", "square foot", "square feet"),
    ("sqft", "square foot", "square feet"),
    ("sq m", "square meter", "square meters"),
    ("sq km", "square kilometer", "square kilometers"),
    ("sq mi", "square mile", "square miles"),
    ("fl oz", "fluid ounce", "fluid ounces"),
    ("fl. oz", "fluid ounce", "fluid ounces"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("MWh", "megawatt hour", "megawatt hours"),
    ("GWh", "gigawatt hour", "gigawatt hours"),
    ("TWh", "terawatt hour", "terawatt hours"),
    ("Wh", "watt hour", "watt hours"),
    ("kW", "kilowatt", "kilowatts"),
    ("MW", "megawatt", "megawatts"),
    ("GW", "gigawatt", "gigawatts"),
    ("mW", "milliwatt", "milliwatts"),
    ("mAh", "milliamp hour", "milliamp hours"),
    ("Ah", "amp hour", "amp hours"),
    ("mA", "milliamp", "milliamps"),
    ("mV", "millivolt", "millivolts"),
    ("kV", "kilovolt", "kilovolts"),
    ("Ω", "ohm", "ohms"),
    ("kΩ", "kilohm", "kilohms"),
    ("km", "kilometer", "kilometers"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("µm", "micrometer", "micrometers"),
    ("nm", "nanometer", "nanometers"),
    ("kg", "kilogram", "kilograms"),
    ("kgs", "kilogram", "kilograms"),
    ("mg", "milligram", "milligrams"),
    ("µg", "microgram", "micrograms"),
    ("mcg", "microgram", "micrograms"),
    ("ml", "milliliter", "milliliters"),
    ("mL", "milliliter", "milliliters"),
    ("cl", "centiliter", "centiliters"),
    ("dl", "deciliter", "deciliters"),
    ("dL", "deciliter", "deciliters"),
    ("ha", "hectare", "hectares"),
    ("ms", "millisecond", "milliseconds"),
    ("µs", "microsecond", "microseconds"),
    ("ns", "nanosecond", "nanoseconds"),
    ("min", "minute", "minutes"),
    ("mins", "minute", "minutes"),
    ("sec", "second", "seconds"),
    ("secs", "second", "seconds"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("wk", "week", "weeks"),
    ("wks", "week", "weeks"),
    ("mo", "month", "months"),
    ("mos", "month", "months"),
    ("yr", "year", "years"),
    ("yrs", "year", "years"),
    ("kbps", "kilobit per second", "kilobits per second"),
    ("Kbps", "kilobit per second", "kilobits per second"),
    ("Mbps", "megabit per second", "megabits per second"),
    ("Gbps", "gigabit per second", "gigabits per second"),
    ("Mbit", "megabit", "megabits"),
    ("Gbit", "gigabit", "gigabits"),
    ("KB", "kilobyte", "kilobytes"),
    ("kB", "kilobyte", "kilobytes"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("PB", "petabyte", "petabytes"),
    ("KiB", "kibibyte", "kibibytes"),
    ("MiB", "mebibyte", "mebibytes"),
    ("GiB", "gibibyte", "gibibytes"),
    ("kHz", "kilohertz", "kilohertz"),
    ("MHz", "megahertz", "megahertz"),
    ("GHz", "gigahertz", "gigahertz"),
    ("Hz", "hertz", "hertz"),
    ("kcal", "kilocalorie", "kilocalories"),
    ("cal", "calorie", "calories"),
    ("kJ", "kilojoule", "kilojoules"),
    ("kPa", "kilopascal", "kilopascals"),
    ("hPa", "hectopascal", "hectopascals"),
    ("MPa", "megapascal", "megapascals"),
    ("Pa", "pascal", "pascals"),
    ("mmHg", "millimeter of mercury", "millimeters of mercury"),
    ("mol", "mole", "moles"),
    ("MP", "megapixel", "megapixels"),
    ("px", "pixel", "pixels"),
    ("dB", "decibel", "decibels"),
    ("hp", "horsepower", "horsepower"),
    ("lbs", "pound", "pounds"),
    ("lb", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("ft", "foot", "feet"),
    ("in.", "inch", "inches"),
    ("yd", "yard", "yards"),
    ("yds", "yard", "yards"),
    ("mi", "mile", "miles"),
    ("gal", "gallon", "gallons"),
    ("qt", "quart", "quarts"),
    ("pt", "pint", "pints"),
    ("tsp", "teaspoon", "teaspoons"),
    ("tbsp", "tablespoon", "tablespoons"),
    ("doz", "dozen", "dozen"),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
    ("°C", "degree Celsius", "degrees Celsius"),
    ("° F", "degree Fahrenheit", "degrees Fahrenheit"),
    ("° C", "degree Celsius", "degrees Celsius"),
    ("℃", "degree Celsius", "degrees Celsius"),
    ("℉", "degree Fahrenheit", "degrees Fahrenheit"),
    ("°N", "degree north", "degrees north"),
    ("°S", "degree south", "degrees south"),
    ("°E", "degree east", "degrees east"),
    ("°W", "degree west", "degrees west"),
    ("° N", "degree north", "degrees north"),
    ("° S", "degree south", "degrees south"),
    ("° E", "degree east", "degrees east"),
    ("° W", "degree west", "degrees west"),
    ("°", "degree", "degrees"),
    ("%", "percent", "percent"),
    ("‰", "per mille", "per mille"),
    ("m", "meter", "meters"),
    ("g", "gram", "grams"),
    ("L", "liter", "liters"),
    ("l", "liter", "liters"),
    ("s", "second", "seconds"),
    ("h", "hour", "hours"),
    ("d", "day", "days"),
    ("W", "watt", "watts"),
    ("V", "volt", "volts"),
    ("A", "amp", "amps"),
    ("N", "newton", "newtons"),
    ("J", "joule", "joules"),
    ("C", "degree Celsius", "degrees Celsius"),
    ("F", "degree Fahrenheit", "degrees Fahrenheit"),
    ("x", "time", "times"),
];
/// Units that are meant only when they follow the number without a space: "5 l" or "3 A" are often no measures.
const ATTACHED: &[&str] = &["l", "d", "x", "A", "N", "J", "C", "F"];
/// Letters that mean degrees only behind a number in a range or below zero: elsewhere "5C" is a seat or a class.
const RANGES_ONLY: &[&str] = &["C", "F"];
/// Letters that make a code of a number up to 99, such as that of a seat: "12A".
const CODES: &[&str] = &["A", "N", "J"];

/// A number that may have a unit: with separators, with a decimal or a common fraction.
const NUMBER: &str = r"\d+\s\d{1,2}/\d{1,2}|\d{1,2}/\d{1,2}|\d*[½¼¾⅓⅔⅛]|\d[\d,]*(?:\.\d+)?|\.\d+";

static AMOUNT: LazyLock<Regex> = LazyLock::new(|| {
    let units = alternatives();
    pattern(&format!(
        r"(?:(?<below>(?:^|[\s(→])-)?(?:\b|\.)(?<from>{NUMBER})\s?(?<first>{units})?\s?[-–—]\s?)?(?<minus>(?:^|[\s(→-])-)?(?<amount>{NUMBER})(?<space>[\s-])?(?<unit>{units})(?:\s?/\s?(?<per>[a-z]{{2,10}}\b|{units}))?(?<dot>\.)?"
    ))
});
/// Units that are known without a number: "in km/h".
static LONE: LazyLock<Regex> = LazyLock::new(|| {
    let units = alternatives();
    pattern(&format!(
        r"(?<before>^|[\s(])(?:(?<unit>km|m|mi|g|kg|mg|MB|GB|Mbit|l|L)/(?<per>{units})|(?<whole>km²|m²|ft²|cm²|m³|mph|kWh|°C|°F))"
    ))
});
/// A duration in hours, minutes and seconds: "2h30m", "1 hr 5 min".
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:(?<hours>\d{1,3})\s?(?:h|hrs?)\s?(?<minutes>\d{1,2})(?:\s?(?:m|mins?)(?:\s?(?<seconds>\d{1,2})\s?(?:s|secs?))?)?|(?<few>\d{1,3})\s?(?:m|mins?)\s?(?<rest>\d{1,2})\s?(?:s|secs?))\b",
    )
});
/// A length in feet and inches, or in inches: 5'10", 12".
static INCHES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"\b(?:(?<feet>\d{1,3})(?:'\s?(?<inches>\d{1,2}(?:\.\d)?)(?:"|'')?|\s?(?:ft|feet|foot)\.?\s(?<written>\d{1,2})\s?in\b\.?)|(?<lone>(?:\d{1,3}\s)?\d{1,2}/\d{1,2}|\d{1,4}(?:\.\d+)?)")"#,
    )
});
static FEET: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<feet>\d{1,3})'(?<after>\s(?:tall|long|wide|deep|high|x|by)\b)"));
/// The sides of something, two at a time: "4x6", "1920 × 1080", "10 cm x 5 cm".
static SIDES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?<one>\b\d[\d,.]{0,12}(?:\s?(?:mm|cm|km|m|ft|in|px)\b)?["']?)(?:[x×]|\s[x×]\s)(?<other>\d)"#)
});

/// The units as alternatives of a pattern, the longest first.
fn alternatives() -> String {
    let mut written: Vec<String> = UNITS.iter().map(|(written, ..)| regex::escape(written)).collect();
    written.sort_by_key(|unit| std::cmp::Reverse(unit.len()));
    written.join("|")
}

/// The name of one unit from how it is written.
pub(super) fn singular(written: &str) -> Option<&'static str> {
    UNITS.iter().find(|(unit, ..)| *unit == written).map(|(_, one, _)| *one)
}

/// Replaces amounts with units by words.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &DURATION, |found| Some(duration(found)));
    // What stands between three sides is found in two steps.
    let text = replace_in_context(text, &SIDES, sides);
    let text = replace_in_context(text, &SIDES, sides);
    let text = replace_in_context(text, &INCHES, inches);
    let text = replace(text, &FEET, |found| {
        Some(format!("{} feet{}", amount(group(found, "feet")), group(found, "after")))
    });
    let text = replace_in_context(text, &AMOUNT, measure);
    replace_in_context(text, &LONE, |found, around| {
        let before = group(found, "before");
        if around.char_after().is_some_and(char::is_alphanumeric) {
            return None;
        }
        let many = |written| UNITS.iter().find(|(unit, ..)| *unit == written).map(|(.., many)| *many);
        Some(match group(found, "whole") {
            "" => format!("{before}{} per {}", many(group(found, "unit"))?, singular(group(found, "per"))?),
            whole => format!("{before}{}", many(whole)?),
        })
    })
}

fn duration(found: &Captures<'_>) -> String {
    let part = |name, unit: &str| {
        let n = group(found, name).parse().ok()?;
        Some(format!("{} {unit}{}", cardinal(n), if n == 1 { "" } else { "s" }))
    };
    let parts = [
        part("hours", "hour"),
        part("minutes", "minute"),
        part("seconds", "second"),
        part("few", "minute"),
        part("rest", "second"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn sides(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (one, other) = (group(found, "one"), group(found, "other"));
    // "0x1F" is a number of a computer.
    if one == "0" {
        return None;
    }
    let near = &around.rest()[..around.rest().floor_char_boundary(10)];
    let spaced_sign = found[0].contains(" ×");
    let by = if near.contains(['=', '^']) || spaced_sign { " × " } else { " by " };
    Some(format!("{one}{by}{other}"))
}

fn inches(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let named =
        |n: &str, one: &str, many: &str| format!("{} {}", amount(n), if is_one(n) { one } else { many });
    match group(found, "lone") {
        "" => {
            if around.char_after().is_some_and(char::is_alphanumeric) {
                return None;
            }
            let feet = group(found, "feet");
            let inches = found.name("inches").or(found.name("written"))?.as_str();
            Some(format!("{} {}", named(feet, "foot", "feet"), named(inches, "inch", "inches")))
        }
        lone => {
            let single = is_one(lone) || around.describes_noun() || is_less_than_one(lone);
            Some(format!("{} {}", quantity(lone), if single { "inch" } else { "inches" }))
        }
    }
}

fn measure(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (written, number) = (group(found, "unit"), group(found, "amount").trim_end_matches(','));
    let (_, one, many) = UNITS.iter().find(|(unit, ..)| *unit == written)?;
    let ends_with_letter = found[0].ends_with(char::is_alphanumeric);
    if !group(found, "dot").is_empty() && around.char_after().is_some_and(char::is_alphanumeric) {
        return None;
    }
    if around.char_after().is_some_and(|c| (c.is_alphanumeric() && ends_with_letter) || "²³°^".contains(c))
    {
        return None;
    }
    // "5m people" are millions.
    if written == "m" && group(found, "space").is_empty() && around.counts_things() {
        return None;
    }
    // "2x + 3" is a formula.
    if written == "x" && around.rest().trim_start().starts_with(['+', '-', '=', '*', '/', '^']) {
        return None;
    }
    let (from, space) = (group(found, "from"), group(found, "space"));
    let below = |name| if group(found, name).is_empty() { "" } else { "minus " };
    let is_range = !from.is_empty() || !group(found, "minus").is_empty();
    if (ATTACHED.contains(&written)
        && (number.contains('/') || (!space.is_empty() && around.word_after(0) != "of")))
        || around.is_joined_to_word()
        || (RANGES_ONLY.contains(&written) && !is_range)
        || (CODES.contains(&written) && number.len() <= 2 && !number.contains('.') && !is_range)
        || (space == "-" && !around.char_after().is_none_or(|c| c.is_whitespace() || ".,-".contains(c)))
        || (!found[0].starts_with([' ', '(', '→', '-'])
            && around.char_before().is_some_and(|c| c.is_alphanumeric() || "$€£:".contains(c)))
        || (number.starts_with('0') && number.len() > 1 && !number.contains(['.', '/']))
    {
        return None;
    }
    let ranged = match (from, group(found, "first")) {
        ("", _) => String::new(),
        (from, "") => format!("{} to ", quantity(from)),
        (from, unit) => {
            let (_, one, many) = UNITS.iter().find(|(known, ..)| *known == unit)?;
            format!("{} {} to ", quantity(from), if is_one(from) { one } else { many })
        }
    };
    let singular_noun = around.describes_noun() || space == "-" || is_less_than_one(number);
    let name = if from.is_empty() && (is_one(number) || singular_noun) { one } else { many };
    let per = match group(found, "per") {
        "" => String::new(),
        what => format!(" per {}", singular(what).unwrap_or(what)),
    };
    // The full stop of an abbreviated unit may end the sentence as well.
    let dot = if !group(found, "dot").is_empty() && around.ends_sentence() { "." } else { "" };
    let edge = |name| group(found, name).trim_end_matches('-');
    Some(format!(
        "{}{}{ranged}{}{}{} {name}{per}{dot}",
        edge("below"),
        below("below"),
        edge("minus"),
        below("minus"),
        quantity(number)
    ))
}

fn is_less_than_one(number: &str) -> bool {
    !number.contains(' ') && (number.contains('/') || number.starts_with(['½', '¼', '¾', '⅓', '⅔', '⅛']))
}

fn quantity(number: &str) -> String {
    let number = number.trim_end_matches([',', '.']);
    // Most of Europe writes "1,5" for "1.5".
    let decimal =
        number.split_once(',').is_some_and(|(_, rest)| rest.len() < 3 && !rest.contains(['.', ',']));
    let number = if decimal { number.replace(',', ".") } else { number.to_owned() };
    fraction::quantity(&number).unwrap_or_else(|| amount(&number))
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
            (
                "10%-15%, -5°C to 5°C",
                "ten percent to fifteen percent, minus five degrees Celsius to five degrees Celsius",
            ),
            ("5'10\", 5 ft 10 in, 12\"", "five feet ten inches, five feet ten inches, twelve inches"),
            ("2h30m, 1 hr 5 min", "two hours thirty minutes, one hour five minutes"),
            ("a 5 km run, a 5-km run", "a five kilometer run, a five kilometer run"),
            ("2 tsp. salt, 5 lb. Then 3/4\"", "two teaspoons salt, five pounds. Then three quarters inch"),
            ("3x faster, 24h", "three times faster, twenty-four hours"),
            ("4x6 and 5 × 3 = 15", "4 by 6 and 5 × 3 = 15"),
            ("in km/h, 120 mg/dL", "in kilometers per hour, one hundred twenty milligrams per deciliter"),
            ("2 1/2 kg, 1/2 kg", "two and a half kilograms, one half kilogram"),
            ("200 mg/day, K8s, 0x80", "two hundred milligrams per day, K8s, 0x80"),
            ("a 100m race, 100m dash", "a one hundred meter race, one hundred meter dash"),
            (
                "1,5 km, 9.81 m/s^2",
                "one point five kilometers, nine point eight one meters per second squared",
            ),
            ("seat 12A, 4K", "seat 12A, 4K"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
