//! Names of properties other than those that a schema lists.

use std::collections::BTreeMap;

use super::notation::range;

/// The most names that are told apart from others, and the most characters of each: every character is a pair of
/// parentheses in the grammar, inside that of the one before. Beyond, any name is admitted.
const MAX_NAMES: usize = 64;
const MAX_LENGTH: usize = 64;
/// What cannot stand in a JSON string as it is. A name that is still the beginning of a listed one must not go on with an
/// escape, behind which the rest of the listed name could hide.
const UNSAFE: &str = r#""\\\x7F\x00-\x1F"#;

/// What a string that is none of these is made of; `None` if it may be any.
pub(super) fn other_than(names: &[&str]) -> Option<String> {
    let is_long = |name: &&str| name.chars().nth(MAX_LENGTH).is_some();
    if names.is_empty() || names.len() > MAX_NAMES || names.iter().any(is_long) {
        return None;
    }
    Some(format!(r#""\"" ({}) "\"""#, ways(names)))
}

/// What may follow where these are to be avoided. The empty way, the last, is there unless one of them ends here.
fn ways(names: &[&str]) -> String {
    let mut by_first: BTreeMap<char, Vec<&str>> = BTreeMap::new();
    for name in names {
        let mut chars = name.chars();
        if let Some(first) = chars.next().filter(|c| !c.is_ascii_control() && !matches!(c, '"' | '\\')) {
            by_first.entry(first).or_default().push(chars.as_str());
        }
    }
    let firsts: String = by_first.keys().map(|first| range(*first, *first)).collect();
    let mut ways = vec![format!("[^{UNSAFE}{firsts}] char*")];
    ways.extend(
        by_first.iter().map(|(first, rests)| format!("[{}] ({})", range(*first, *first), self::ways(rests))),
    );
    if !names.contains(&"") {
        ways.push(String::new());
    }
    ways.join(" | ")
}
