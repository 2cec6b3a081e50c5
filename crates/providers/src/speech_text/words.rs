//! Single words: addresses, units, symbols and abbreviations in words. Plain numbers are left to the phonemizer,
//! which knows how to say them.

/// Abbreviations and what they stand for; compared without case and closing punctuation.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("e.g.", "for example"),
    ("i.e.", "that is"),
    ("etc.", "et cetera"),
    ("vs.", "versus"),
    ("approx.", "about"),
    ("w/", "with"),
    ("dr.", "Doctor"),
    ("mr.", "Mister"),
    ("mrs.", "Missus"),
    ("ms.", "Miz"),
    ("prof.", "Professor"),
    ("jr.", "Junior"),
    ("sr.", "Senior"),
    ("a.m.", "a m"),
    ("p.m.", "p m"),
    ("am", "a m"),
    ("pm", "p m"),
];

const SYMBOLS: &[(&str, &str)] = &[
    ("&", "and"),
    ("+", "plus"),
    ("=", "equals"),
    ("@", "at"),
    ("%", "percent"),
    ("#", "number"),
    ("°", "degrees"),
];

/// Units after a number.
const UNITS: &[(&str, &str)] = &[
    ("km/h", "kilometers an hour"),
    ("mph", "miles an hour"),
    ("km", "kilometers"),
    ("cm", "centimeters"),
    ("mm", "millimeters"),
    ("kg", "kilograms"),
    ("mg", "milligrams"),
    ("ml", "milliliters"),
    ("ms", "milliseconds"),
    ("kb", "kilobytes"),
    ("mb", "megabytes"),
    ("gb", "gigabytes"),
    ("tb", "terabytes"),
    ("ghz", "gigahertz"),
    ("hz", "hertz"),
    ("lbs", "pounds"),
    ("lb", "pounds"),
    ("oz", "ounces"),
    ("ft", "feet"),
    ("°f", "degrees Fahrenheit"),
    ("°c", "degrees Celsius"),
    ("°", "degrees"),
    ("%", "percent"),
    ("am", "a m"),
    ("pm", "p m"),
    ("m", "meters"),
    ("g", "grams"),
    ("l", "liters"),
    ("s", "seconds"),
    ("h", "hours"),
];

/// The longest run of digits that is read as one number; longer ones are order numbers, phone numbers, cards.
const LONGEST_NUMBER: usize = 4;

/// A word as it is spoken.
pub(super) fn spoken(word: &str) -> String {
    let core = word.trim_end_matches([',', '!', '?', ';', ':', ')']);
    let tail = &word[core.len()..];
    let lower = core.to_lowercase();
    if let Some((_, said)) = SYMBOLS.iter().chain(ABBREVIATIONS).find(|(written, _)| *written == lower) {
        // A lone "am" is a verb; after a number it has been seen as a unit.
        if lower != "am" {
            return format!("{said}{tail}");
        }
    }
    if let Some(said) = address(core) {
        return format!("{said}{tail}");
    }
    if core.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("{}{tail}", number(core));
    }
    word.to_owned()
}

/// An e-mail or web address.
fn address(word: &str) -> Option<String> {
    let bare = word.trim_end_matches('.');
    let dot = &word[bare.len()..];
    let web = ["https://", "http://", "www."].iter().find_map(|prefix| bare.strip_prefix(prefix));
    let mail = bare.contains('@') && bare.contains('.') && !bare.starts_with('@');
    if web.is_none() && !mail {
        return None;
    }
    let mut said = String::new();
    for c in web.unwrap_or(bare).trim_end_matches('/').chars() {
        match c {
            '.' => said.push_str(" dot "),
            '@' => said.push_str(" at "),
            '/' => said.push_str(" slash "),
            '-' => said.push_str(" dash "),
            '_' => said.push_str(" underscore "),
            '?' | '&' | '=' | '%' | '#' => said.push(' '),
            c => said.push(c),
        }
    }
    Some(said.split_whitespace().collect::<Vec<_>>().join(" ") + dot)
}

/// A word that begins with a digit: long numbers digit by digit, units in words.
fn number(word: &str) -> String {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &word[digits..];
    if digits > LONGEST_NUMBER && !rest.starts_with([',', '.']) {
        let said: Vec<String> = word[..digits].chars().map(|c| c.to_string()).collect();
        return format!("{}{rest}", said.join(" "));
    }
    let amount = word.bytes().take_while(|b| b.is_ascii_digit() || b".,:".contains(b)).count();
    let (amount, unit) = word.split_at(amount);
    let (unit, dot) = unit.strip_suffix('.').map_or((unit, ""), |unit| (unit, "."));
    let unit = unit.to_lowercase();
    match UNITS.iter().find(|(written, _)| *written == unit) {
        Some((_, said)) => format!("{amount} {said}{dot}"),
        None => word.to_owned(),
    }
}
