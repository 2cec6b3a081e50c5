//! Comments must be plain English, and names must be those of the field: see docs/GLOSSARY.md and docs/STYLE.md.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::source::{Source, read, root, rust_files};

/// Type names that must not be used again: the crate in which they were, the old name, and the new one.
const OLD_NAMES: &[(&str, &str, &str)] = &[
    ("agent", "Afterwards", "BackgroundWork"),
    ("agent", "Drained", "DrainedStream"),
    ("agent", "Gathered", "TurnContext"),
    ("agent", "Looked", "TurnContext"),
    ("agent", "Lookup", "TurnContext"),
    ("agent", "Prepared", "SpeculativeReply"),
    ("agent", "Run", "ActiveReply"),
    ("agent", "Side", "OutOfBandReply"),
    ("agent", "Wanted", "PendingReply"),
    ("core", "Preparation", "Prefetch"),
];

/// Parts of type names that must not be used again in any crate: the old part and the new one.
const OLD_WORDS: &[(&str, &str)] =
    &[("Foresee", "Prefetch"), ("Foresight", "Prefetch"), ("Rehears", "WarmUp")];

/// Names that say too little unless they are qualified, as in `CallState`.
const BARE_NAMES: &[&str] = &["Arguments", "Item", "Output", "State"];

#[test]
fn words_are_plain() {
    let root = root();
    let mut complaints = String::new();
    for path in files(&root) {
        let file = path.strip_prefix(&root).expect("under the root").to_string_lossy();
        for fault in faults(&file, &read(&path)) {
            writeln!(complaints, "{file}:{fault}").expect("text");
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

fn files(root: &Path) -> Vec<PathBuf> {
    [root.join("crates"), root.join("fuzz")].iter().flat_map(|folder| rust_files(folder)).collect()
}

/// The faults in the comments and names of a file, each with its line.
fn faults(file: &str, source: &Source) -> Vec<String> {
    let one_word = source.comments.iter().filter(|comment| is_one_word(&comment.text));
    let mut faults: Vec<String> = one_word
        .map(|comment| format!("{}: a comment of one word: {}", comment.line, comment.text))
        .collect();
    for (name, line, public) in types(source) {
        let in_crate = |of: &str| file.starts_with(&format!("crates/{of}/"));
        let old = OLD_NAMES.iter().find(|(of, old, _)| *old == name && in_crate(of)).map(|(.., new)| new);
        let old_word = OLD_WORDS.iter().find(|(old, _)| name.contains(old)).map(|(_, new)| new);
        if let Some(new) = old.or(old_word) {
            faults.push(format!("{line}: {name} is an old name; the new one is {new}"));
        }
        if public && BARE_NAMES.contains(&name) {
            faults.push(format!("{line}: {name} of what? A type that other modules see says it in its name"));
        }
    }
    faults
}

/// Whether a comment is a single word and not code.
fn is_one_word(comment: &str) -> bool {
    comment.split_whitespace().count() == 1 && comment.contains(char::is_alphabetic) && !comment.contains('`')
}

/// The types that are declared, with their lines and whether other modules can see them.
fn types(source: &Source) -> Vec<(&str, usize, bool)> {
    let mut types = Vec::new();
    for (at, pair) in source.tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        if matches!(keyword.text.as_str(), "struct" | "enum" | "trait" | "type" | "union") {
            let before = at.checked_sub(1).map(|at| source.tokens[at].text.as_str());
            types.push((name.text.as_str(), keyword.line, matches!(before, Some("pub" | ")"))));
        }
    }
    types
}

#[test]
fn what_is_not_plain_is_found() {
    let text = "
        /// It.
        pub struct State;
        /// In two
        /// words.
        pub(super) enum Item { A }
        impl Iterator for Lines { type Item = u8; } // Now.
        struct State; // [`Lines`]
        struct ForesightBudget;
        struct Run;
    ";
    let source = crate::source::take_apart(text);
    let lines = |file| {
        let faults = faults(file, &source);
        faults.iter().map(|fault| fault.split(':').next().expect("a line").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lines("crates/agent/src/run.rs"), ["2", "7", "3", "6", "9", "10"]);
    assert_eq!(lines("crates/flow/src/run.rs"), ["2", "7", "3", "6", "9"]);
}
