//! Versions: "v1.2.3" is "version one point two point three".

use std::sync::LazyLock;

use regex::Regex;

use super::number::short;
use super::pattern::{group, pattern, replace};

static VERSION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<letter>[vV])?(?<parts>\d{1,9}(?:\.\d{1,9})*)(?<end>[a-z]\d{0,3})?\b"));

/// Replaces versions by words, part by part; "3.14" without a "v" is a decimal number.
pub(super) fn say(text: String) -> String {
    replace(text, &VERSION, |found| {
        let (letter, parts) = (group(found, "letter"), group(found, "parts"));
        // "V8" is an engine.
        if letter != "v" && parts.matches('.').count() < if letter.is_empty() { 2 } else { 1 } {
            return None;
        }
        let said: Vec<String> = parts.split('.').map(short).collect();
        let version = if letter.is_empty() { "" } else { "version " };
        let end = match group(found, "end") {
            "" => String::new(),
            end => format!(" {end}"),
        };
        Some(format!("{version}{}{end}", said.join(" point ")))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_said_part_by_part() {
        for (written, said) in [
            ("v1.2.3 and 2.0.1", "version one point two point three and two point zero point one"),
            ("v2, V4.5, V8", "version two, version four point five, V8"),
            ("3.14, v or 6", "3.14, v or 6"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
