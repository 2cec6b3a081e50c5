//! Postal addresses, and the abbreviations that are streets in some places and people in others.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace_in_context};
use super::words::{digits, label};

/// Kinds of streets as the Postal Service abbreviates them (USPS Publication 28, appendix C1).
const STREETS: &[(&str, &str)] = &[
    ("Aly", "Alley"),
    ("Ave", "Avenue"),
    ("Av", "Avenue"),
    ("Blvd", "Boulevard"),
    ("Cir", "Circle"),
    ("Ct", "Court"),
    ("Dr", "Drive"),
    ("Expy", "Expressway"),
    ("Fwy", "Freeway"),
    ("Hwy", "Highway"),
    ("Ln", "Lane"),
    ("Pkwy", "Parkway"),
    ("Pl", "Place"),
    ("Plz", "Plaza"),
    ("Rd", "Road"),
    ("Sq", "Square"),
    ("St", "Street"),
    ("Ter", "Terrace"),
    ("Terr", "Terrace"),
    ("Trl", "Trail"),
];
/// Those that are no words or names of their own, so that no number of a house need be before them.
const CERTAIN: [&str; 8] = ["Ave", "Blvd", "Rd", "Hwy", "Pkwy", "Ln", "Fwy", "Expy"];
const DIRECTIONS: &[(&str, &str)] = &[
    ("N", "North"),
    ("S", "South"),
    ("E", "East"),
    ("W", "West"),
    ("NE", "Northeast"),
    ("NW", "Northwest"),
    ("SE", "Southeast"),
    ("SW", "Southwest"),
];
/// States and the like, as the Postal Service abbreviates them (USPS Publication 28, appendix B).
const STATES: &[(&str, &str)] = &[
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DE", "Delaware"),
    ("DC", "D C"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("PR", "Puerto Rico"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
];

/// A house: its number, perhaps a direction, up to four words of a name, and what kind of street it is.
static HOUSE: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = alternatives(STREETS);
    pattern(&format!(
        r"\b(?<number>\d{{1,5}})(?<letter>[A-Z])?\s+(?:(?<direction>NE|NW|SE|SW|N|S|E|W)\b\.?\s+)?(?<name>(?:(?:[A-Z][A-Za-z']*|\d{{1,3}}(?:st|nd|rd|th)|of|the)\s+){{1,4}}?)(?:(?<kind>{kinds})\b\.?|(?<full>Street|Avenue|Road|Boulevard|Drive|Lane|Court|Place|Highway|Parkway|Square|Terrace|Circle|Way|Broadway)\b)(?:\s(?<quarter>NE|NW|SE|SW|N|S|E|W)\b\.?)?"
    ))
});
/// A street without a house.
static STREET: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = alternatives(STREETS);
    pattern(&format!(
        r"\b(?<name>(?:[NSEW]\.\s+)?(?:[A-Z][A-Za-z']+|Jr\.|\d{{1,3}}(?:st|nd|rd|th)))\s+(?<kind>{kinds})\b(?<dot>\.)?"
    ))
});
static SAINT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?:St|(?<female>Ste))(?<dot>\.)?\s(?<name>[A-Z][a-z']+)"));
static ZIP: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<state>[A-Z]{2})\.?,?\s+(?<zip>\d{5})(?:-(?<more>\d{4}))?\b"));
static STATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?<city>\b[A-Z][a-z]+),\s(?<state>[A-Z]{2})\b"));

/// Words with a capital that begin sentences and name no street.
const NO_NAMES: &[&str] = &[
    "The",
    "In",
    "At",
    "On",
    "Near",
    "A",
    "My",
    "Our",
    "Is",
    "See",
    "Visit",
    "And",
    "To",
    "From",
    "By",
    "Ask",
    "Call",
    "Yes",
    "No",
    "Well",
    "So",
    "Hey",
    "Oh",
    "Hi",
    "Hello",
    "Dear",
    "Okay",
    "Yesterday",
    "Today",
    "Dr",
    "Mr",
    "Mrs",
    "Ms",
    "Prof",
    "Mt",
    "Saint",
    "Thanks",
    "Thank",
    "When",
    "If",
    "Tell",
    "This",
    "That",
    "Then",
    "Now",
    "Our",
    "Your",
    "His",
    "Her",
];
/// Saints whose names follow "St" even without a full stop: places are called after them.
const SAINTS: &[&str] = &[
    "Louis",
    "Paul",
    "Paul's",
    "Petersburg",
    "John",
    "John's",
    "Johns",
    "Mary",
    "Mary's",
    "Patrick",
    "Patrick's",
    "Peter",
    "Peter's",
    "George",
    "George's",
    "Lucia",
    "Helens",
    "Helena",
    "Andrew",
    "Andrews",
    "Nicholas",
    "Francis",
    "Joseph",
    "Thomas",
    "Michael",
    "Moritz",
    "Tropez",
    "Kitts",
    "Augustine",
    "Barts",
    "Pancras",
    "Bernard",
    "Albans",
    "Ives",
    "James",
    "Anthony",
    "Catherine",
    "Stephen",
];

fn alternatives(table: &[(&str, &str)]) -> String {
    let mut written: Vec<&str> = table.iter().map(|(written, _)| *written).collect();
    written.sort_by_key(|kind| std::cmp::Reverse(kind.len()));
    written.join("|")
}

fn full(table: &'static [(&str, &str)], written: &str) -> Option<&'static str> {
    table.iter().find(|(short, _)| *short == written).map(|(_, full)| *full)
}

/// Replaces the numbers of houses and the abbreviations of addresses by words.
pub(super) fn say(text: String) -> String {
    let text = replace_in_context(text, &HOUSE, house);
    let text = replace_in_context(text, &STREET, street);
    let text = replace_in_context(text, &SAINT, |found, _| {
        let name = group(found, "name");
        let female = !group(found, "female").is_empty();
        let saint = !group(found, "dot").is_empty() || SAINTS.contains(&name);
        (saint && (!female || SAINTS.contains(&name))).then(|| format!("Saint {name}"))
    });
    let text = replace_in_context(text, &ZIP, |found, _| {
        let more = match group(found, "more") {
            "" => String::new(),
            more => format!(", {}", digits(more)),
        };
        Some(format!("{} {}{more}", full(STATES, group(found, "state"))?, digits(group(found, "zip"))))
    });
    replace_in_context(text, &STATE, |found, around| {
        let city = group(found, "city");
        let goes_on = around.rest().starts_with('-')
            || around.word_after(0).len() == 2
                && around.word_after(0).bytes().all(|b| b.is_ascii_uppercase());
        let known = !NO_NAMES.contains(&city) && !goes_on;
        known.then(|| full(STATES, group(found, "state")).map(|state| format!("{city}, {state}")))?
    })
}

fn house(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let number = group(found, "number");
    // "In 2024 Main Street" is no house, but nothing tells; "$5 Oak Street" is one.
    if around.char_before().is_some_and(|c| "$€£.,:/-".contains(c)) || number.starts_with('0') {
        return None;
    }
    let said = if number.len() > 4 { digits(number) } else { label(number.parse().ok()?) };
    let letter = spaced(group(found, "letter"));
    let direction = spaced(full(DIRECTIONS, group(found, "direction")).unwrap_or_default());
    let kind = match group(found, "full") {
        "" => full(STREETS, group(found, "kind"))?,
        kind => kind,
    };
    let quarter = spaced(full(DIRECTIONS, group(found, "quarter")).unwrap_or_default());
    let name = group(found, "name").trim_end();
    let dot = if found[0].ends_with('.') && around.ends_sentence() { "." } else { "" };
    Some(format!("{said}{letter}{direction} {name} {kind}{quarter}{dot}"))
}

fn spaced(word: &str) -> String {
    if word.is_empty() { String::new() } else { format!(" {word}") }
}

fn street(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let (name, kind) = (group(found, "name"), group(found, "kind"));
    let first = name.split_whitespace().last().unwrap_or_default();
    if NO_NAMES.contains(&first) {
        return None;
    }
    let dotted = !group(found, "dot").is_empty();
    let ordinal = name.starts_with(|c: char| c.is_ascii_digit());
    let next = around.word_after(0);
    let named_next = next.starts_with(|c: char| c.is_ascii_uppercase());
    let sentence_starts = around.char_before().is_none() || around.word_before(0).is_empty();
    let certain = CERTAIN.contains(&kind) || ordinal;
    // "Main St. Bridge" is rarer than "Visit St. Mary", and a doctor has a name behind the title.
    let street = match kind {
        "St" => !named_next || (dotted && !sentence_starts && !SAINTS.contains(&next)),
        "Dr" => dotted && !named_next,
        _ => dotted,
    };
    if !(certain || street) {
        return None;
    }
    let name = match name.split_once(". ") {
        Some((direction, rest)) => format!("{} {rest}", full(DIRECTIONS, direction)?),
        None => name.to_owned(),
    };
    let dot = if dotted && around.ends_sentence() { "." } else { "" };
    Some(format!("{name} {}{dot}", full(STREETS, kind)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn addresses_are_spoken() {
        for (written, said) in [
            ("St. Mary lives on Main St.", "Saint Mary lives on Main Street."),
            ("123 N. Main St, Apt 4", "one twenty-three North Main Street, Apt 4"),
            ("1600 Pennsylvania Ave. NW", "sixteen hundred Pennsylvania Avenue Northwest"),
            ("at 221B Baker Street", "at two twenty-one B Baker Street"),
            ("on 5th Ave. and Oak Dr.", "on 5th Avenue and Oak Drive."),
            ("Dr. Smith saw the Dr. at St. Louis", "Dr. Smith saw the Dr. at Saint Louis"),
            ("Springfield, IL 62704", "Springfield, Illinois six two seven zero four"),
            ("in Austin, TX. Well, OK", "in Austin, Texas. Well, OK"),
            ("Visit St. Paul", "Visit Saint Paul"),
            ("Yesterday Dr. Jones came", "Yesterday Dr. Jones came"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
