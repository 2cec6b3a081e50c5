//! Turns abbreviations and symbols into words.

/// Each abbreviation in lower case and without punctuation after it, and what is said for it.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("e.g.", "for example"),
    ("i.e.", "that is"),
    ("etc.", "et cetera"),
    ("vs.", "versus"),
    ("vs", "versus"),
    ("approx.", "about"),
    ("incl.", "including"),
    ("w/", "with"),
    ("w/o", "without"),
    ("dr.", "Doctor"),
    ("mr.", "Mister"),
    ("mrs.", "Missus"),
    ("ms.", "Miz"),
    ("prof.", "Professor"),
    ("jr.", "Junior"),
    ("sr.", "Senior"),
    ("dept.", "department"),
    ("govt.", "government"),
    ("ave.", "Avenue"),
    ("blvd.", "Boulevard"),
    ("apt.", "apartment"),
    ("inc.", "incorporated"),
    ("corp.", "corporation"),
    ("ltd.", "limited"),
    ("fig.", "figure"),
    ("&", "and"),
    ("+", "plus"),
    ("=", "equals"),
    ("≈", "is about"),
    ("<", "less than"),
    (">", "greater than"),
    ("@", "at"),
    ("%", "percent"),
    ("#", "number"),
    ("°", "degrees"),
    ("×", "times"),
    ("÷", "divided by"),
    ("→", "to"),
];

/// What means "number" before a number: "No. 5".
const NUMBER_SIGNS: [&str; 3] = ["No.", "no.", "Nr."];

/// Replaces abbreviations by words. The numbers of `text` are in words already.
pub(super) fn say(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let spoken = words.iter().enumerate().map(|(at, word)| {
        let numbered = words.get(at + 1).is_some_and(|next| super::words::is_number_word(next));
        if NUMBER_SIGNS.contains(word) && numbered { "number".to_owned() } else { spoken(word) }
    });
    spoken.collect::<Vec<_>>().join(" ")
}

fn spoken(word: &str) -> String {
    let core = word.trim_end_matches([',', '!', '?', ';', ':', ')']);
    let tail = &word[core.len()..];
    let (open, core) = core.strip_prefix('(').map_or(("", core), |core| ("(", core));
    let lower = core.to_lowercase();
    if let Some((_, said)) = ABBREVIATIONS.iter().find(|(written, _)| *written == lower) {
        return format!("{open}{said}{tail}");
    }
    match core.strip_prefix('#') {
        Some(rest) if !rest.is_empty() => format!("{open}number {rest}{tail}"),
        _ => word.replace('&', " and "),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn abbreviations_are_spoken() {
        for (written, said) in [
            ("Dr. Smith, e.g., is in", "Doctor Smith, for example, is in"),
            ("Fish & chips = five + three", "Fish and chips equals five plus three"),
            ("#five and No. six, no. That", "number five and number six, no. That"),
            ("R&D", "R and D"),
        ] {
            assert_eq!(super::say(written), said);
        }
    }
}
