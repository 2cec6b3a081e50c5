//! Finding and replacing written forms.

use regex::{Captures, Regex};

/// Compiles a constant pattern.
#[expect(clippy::expect_used, reason = "the patterns are constants, and the tests compile every one")]
pub(super) fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("a constant pattern is valid")
}

/// Replaces each match by what `say` returns for it; `None` leaves it as written.
pub(super) fn replace(
    text: String,
    pattern: &Regex,
    say: impl Fn(&Captures<'_>) -> Option<String>,
) -> String {
    if !pattern.is_match(&text) {
        return text;
    }
    let said = |found: &Captures<'_>| say(found).unwrap_or_else(|| found[0].to_owned());
    pattern.replace_all(&text, said).into_owned()
}

/// The text of a named group; empty when the group took no part in the match.
pub(super) fn group<'a>(found: &'a Captures<'_>, name: &str) -> &'a str {
    found.name(name).map_or("", |group| group.as_str())
}
