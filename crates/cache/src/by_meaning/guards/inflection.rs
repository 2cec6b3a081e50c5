//! The forms of verbs.

use std::collections::HashMap;

use super::words::{IRREGULAR, VERBS};

/// Verbs of several syllables that may double their last consonant.
const DOUBLING: [&str; 13] = [
    "permit", "refer", "prefer", "transfer", "cancel", "travel", "label", "control", "begin", "submit",
    "forget", "quit", "equip",
];

/// A form of a known verb.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) base: &'static str,
    /// Whether it is a past form that differs from the base: "lost", "tried".
    pub(super) is_past: bool,
}

/// Every form of every known verb.
pub(super) fn forms() -> HashMap<String, Form> {
    let mut forms = HashMap::new();
    let mut add = |word: String, base, is_past| {
        forms.entry(word).or_insert(Form { base, is_past });
    };
    for line in IRREGULAR.split('/') {
        let mut words = line.split_whitespace();
        let Some(base) = words.next() else { continue };
        for form in present(base) {
            add(form, base, false);
        }
        for form in words {
            add(form.to_owned(), base, form != base);
        }
    }
    for base in VERBS.split_whitespace() {
        for form in present(base) {
            add(form, base, false);
        }
        for form in past(base) {
            add(form, base, true);
        }
    }
    forms
}

/// Base, third person and participle, in both spellings where a consonant may be doubled.
fn present(base: &str) -> Vec<String> {
    let hisses = ["s", "x", "z", "ch", "sh"].iter().any(|end| base.ends_with(end));
    let third = match after_consonant(base, 'y') {
        Some(stem) => format!("{stem}ies"),
        None if hisses => format!("{base}es"),
        None => format!("{base}s"),
    };
    let mut forms = vec![base.to_owned(), third];
    match (base.strip_suffix("ie"), base.strip_suffix('e').filter(|stem| !stem.ends_with('e'))) {
        (Some(stem), _) => forms.push(format!("{stem}ying")),
        (None, Some(stem)) => forms.push(format!("{stem}ing")),
        (None, None) => forms.extend(stems(base).map(|stem| format!("{stem}ing"))),
    }
    forms
}

fn past(base: &str) -> Vec<String> {
    match after_consonant(base, 'y') {
        Some(stem) => vec![format!("{stem}ied")],
        None if base.ends_with('e') => vec![format!("{base}d")],
        None => stems(base).map(|stem| format!("{stem}ed")).collect(),
    }
}

/// The stems that endings are added to: the base and, where the last consonant may be doubled, that form.
fn stems(base: &str) -> impl Iterator<Item = String> {
    let letters: Vec<char> = base.chars().rev().take(3).collect();
    let is_vowel = |at: usize| letters.get(at).is_some_and(|c| "aeiou".contains(*c));
    let ends_short = !is_vowel(0) && is_vowel(1) && !is_vowel(2) && !base.ends_with(['w', 'x', 'y']);
    let vowels = base.chars().filter(|c| "aeiou".contains(*c)).count();
    let is_stressed = vowels == 1 || DOUBLING.contains(&base);
    let doubled = (ends_short && is_stressed).then(|| format!("{base}{}", letters[0]));
    doubled.into_iter().chain([base.to_owned()])
}

fn after_consonant(base: &str, last: char) -> Option<&str> {
    base.strip_suffix(last).filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']))
}
