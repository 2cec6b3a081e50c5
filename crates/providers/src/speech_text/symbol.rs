//! Symbols that have names: "&" is "and", "→" is "to", "~" is "about".

use super::words::is_number_word;

/// How many bytes beside a symbol are looked at. The bound keeps long words of symbols linear.
const NEAR: usize = 24;

/// Symbols that always have the same name.
const NAMES: &[(char, &str)] = &[
    ('+', "plus"),
    ('≈', "is about"),
    ('≠', "does not equal"),
    ('≤', "less than or equal to"),
    ('≥', "greater than or equal to"),
    ('±', "plus or minus"),
    ('<', "less than"),
    ('>', "greater than"),
    ('@', "at"),
    ('%', "percent"),
    ('°', "degrees"),
    ('×', "times"),
    ('÷', "divided by"),
    ('→', "to"),
    ('⇒', "to"),
    ('√', "the square root of"),
    ('∞', "infinity"),
    ('∑', "the sum of"),
    ('§', "section"),
    ('¶', "paragraph"),
    ('©', "copyright"),
    ('²', "squared"),
    ('³', "cubed"),
    ('^', "to the power of"),
    ('\\', "backslash"),
    ('¢', "cents"),
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('Δ', "delta"),
    ('ε', "epsilon"),
    ('θ', "theta"),
    ('λ', "lambda"),
    ('µ', "mu"),
    ('π', "pi"),
    ('σ', "sigma"),
    ('Σ', "sigma"),
    ('φ', "phi"),
    ('ω', "omega"),
    ('Ω', "omega"),
];
/// Symbols that nobody says.
const SILENT: &str = "®™†‡•_*#~|^{}[]\"";
/// Arrows and comparisons that are written with several signs, the longest first.
const SEQUENCES: &[(&str, &str)] = &[
    ("<->", "to"),
    ("-->", "to"),
    ("->", "to"),
    ("=>", "to"),
    ("==", "equals"),
    ("!=", "does not equal"),
    ("<=", "less than or equal to"),
    (">=", "greater than or equal to"),
    ("&&", "and"),
    ("+/-", "plus or minus"),
];
/// Pairs of words with a slash that give a choice.
const CHOICES: &[&str] = &["he/she", "she/he", "his/her", "him/her", "his/hers", "yes/no", "true/false"];

/// What is counted for: "7 days/week".
const PERIODS: [&str; 9] = ["second", "minute", "hour", "day", "night", "week", "month", "year", "person"];

/// Replaces symbols by words. The numbers of `text` are in words already.
pub(super) fn say(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut said = Vec::with_capacity(words.len());
    for (at, word) in words.iter().enumerate() {
        if word.bytes().all(|b| b.is_ascii_alphanumeric()) {
            said.push((*word).to_owned());
            continue;
        }
        said.push(spoken(word, words.get(at + 1).copied().unwrap_or_default()));
    }
    said.join(" ")
}

fn spoken(word: &str, next: &str) -> String {
    let core = word.trim_end_matches([',', '.', '!', '?', ';', ':', ')', '\'']);
    let tail = &word[core.len()..];
    if let Some(said) = alone(core, next) {
        return format!("{said}{tail}");
    }
    let lower = core.to_lowercase();
    if matches!(lower.as_str(), "and/or" | "either/or") {
        return format!("{}{tail}", core.replace('/', " "));
    }
    if CHOICES.contains(&lower.as_str()) {
        return format!("{}{tail}", core.replace('/', " or "));
    }
    if is_initials(core) {
        let letters: Vec<String> =
            core.chars().map(|c| if c == '&' { "and".to_owned() } else { c.to_string() }).collect();
        return format!("{}{tail}", letters.join(" "));
    }
    within(word)
}

/// The name of a symbol between spaces, or of the first one of a word.
fn alone(core: &str, next: &str) -> Option<String> {
    Some(match core {
        "*" => "star".to_owned(),
        "#" if is_number_word(next) => "number".to_owned(),
        "#" => "pound".to_owned(),
        "-" | "–" | "—" => ",".to_owned(),
        "/" => "slash".to_owned(),
        "~" => "about".to_owned(),
        "^" => "to the power of".to_owned(),
        "_" => "underscore".to_owned(),
        _ => return None,
    })
}

/// Whether these are capitals with an ampersand, which are spelled: "AT&T". Longer ones are names.
fn is_initials(core: &str) -> bool {
    core.contains('&') && core.len() <= 5 && core.chars().all(|c| c == '&' || c.is_ascii_uppercase())
}

/// A word with symbols in it.
fn within(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 8);
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        if let Some((written, name)) = SEQUENCES.iter().find(|(written, _)| rest.starts_with(written)) {
            add(&mut out, name);
            rest = &rest[written.len()..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        let last = out.chars().next_back();
        let next = rest.chars().next();
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        match c {
            '&' => add(&mut out, "and"),
            '=' => add(&mut out, "equals"),
            '*' if starred(&out, rest) => {
                add(&mut out, if letter(last) && letter(next) { "times" } else { "star" });
            }
            '#' => {
                if let Some(name) = hash(&out, rest) {
                    add(&mut out, name);
                }
            }
            '~' if !letter(last) && next.is_some() => add(&mut out, "about"),
            '_' if letter(last) && letter(next) => add(&mut out, "underscore"),
            '/' if letter(last)
                && PERIODS.iter().any(|period| rest.trim_end_matches(['.', ',', '?', '!']) == *period) =>
            {
                add(&mut out, "per");
            }
            '/' if letter(last) && letter(next) || next.is_some_and(char::is_alphanumeric) => {
                add(&mut out, "slash");
            }
            '(' if is_number_word(last_word(&out)) && letter(last) => out.push_str(" ("),
            '–' | '—' if letter(last) && letter(next) => out.push_str(", "),
            c => match NAMES.iter().find(|(symbol, _)| *symbol == c) {
                Some((_, name)) => add(&mut out, name),
                None => match super::money::sign(c) {
                    Some(name) => add(&mut out, name),
                    None if SILENT.contains(c) => {}
                    None => {
                        if ",.;:!?)".contains(c) {
                            out.truncate(out.trim_end().len());
                        }
                        out.push(c);
                    }
                },
            },
        }
    }
    out.trim().to_owned()
}

/// Whether an asterisk is meant: one before or behind a number, or between two words.
fn starred(before: &str, after: &str) -> bool {
    let (first, last) = (first_word(after), last_word(before));
    is_number_word(first) || is_number_word(last) || (!first.is_empty() && !last.is_empty())
}

/// What a number sign means: the sharp of a note or a language, a number, the key of a telephone, or a topic.
fn hash(before: &str, after: &str) -> Option<&'static str> {
    let (first, last) = (first_word(after), last_word(before));
    if matches!(last, "A" | "B" | "C" | "D" | "E" | "F" | "G") {
        return Some("sharp");
    }
    // "#A-1001" is a number too.
    if is_number_word(first) || first.len() == 1 {
        return Some("number");
    }
    if !first.is_empty() {
        return Some("hashtag");
    }
    is_number_word(last).then_some("pound")
}

/// The letters at the beginning of a text. No word that matters here is longer than a number's.
fn first_word(text: &str) -> &str {
    let near = &text[..text.floor_char_boundary(NEAR)];
    near.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default()
}

/// The letters at the end of a text.
fn last_word(text: &str) -> &str {
    let near = &text[text.ceil_char_boundary(text.len().saturating_sub(NEAR))..];
    near.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default()
}

/// Adds a name as a word of its own.
fn add(out: &mut String, name: &str) {
    if !out.is_empty() && !out.ends_with([' ', '(']) {
        out.push(' ');
    }
    out.push_str(name);
    out.push(' ');
}

#[cfg(test)]
mod tests {
    #[test]
    fn symbols_are_spoken() {
        for (written, said) in [
            ("Fish & chips = five + three", "Fish and chips equals five plus three"),
            ("press * or #.", "press star or pound."),
            ("*six and #five", "star six and number five"),
            ("~fifty, R&D, AT&T", "about fifty, R and D, A T and T"),
            ("C#, C++, A+", "C sharp, C plus plus, A plus"),
            ("A -> B, and/or, he/she", "A to B, and or, he or she"),
            ("days/week, he", "days per week, he"),
            ("#AI in snake_case", "hashtag AI in snake underscore case"),
            ("yes — no", "yes , no"),
        ] {
            assert_eq!(super::say(written), said);
        }
    }

    #[test]
    fn long_words_of_symbols_are_read_once() {
        for part in ["*", "#", "a*", "a#", "~", "/", "&a"] {
            assert!(!super::say(&format!("a{}", part.repeat(20_000))).is_empty());
        }
    }
}
