//! Comments must be plain English, and names must be those of the field: see docs/GLOSSARY.md and docs/STYLE.md.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::source::{Comment, Source, read, root, rust_files};

/// Type names that must not be used again in any crate, each with names that say more.
const OLD_NAMES: &[(&str, &str)] = &[
    ("Afterwards", "BackgroundWork"),
    ("Drained", "DrainedStream"),
    ("Gathered", "TurnContext"),
    ("Looked", "TurnContext"),
    ("Lookup", "TurnContext, LookupOutcome"),
    ("Prepared", "SpeculativeReply"),
    ("Run", "ActiveReply, BatchRun"),
    ("Side", "OutOfBandReply, BoundSide"),
    ("Wanted", "PendingReply, ReportQuery"),
];

/// Parts of type names that must not be used again in any crate: the old part and the new one.
const OLD_WORDS: &[(&str, &str)] =
    &[("Foresee", "Prefetch"), ("Foresight", "Prefetch"), ("Preparation", "Prefetch"), ("Rehears", "WarmUp")];

/// Names that say too little unless they are qualified, as in `CallState`.
const BARE_NAMES: &[&str] = &["Arguments", "Item", "Output", "State"];

#[test]
fn words_are_plain() {
    let root = root();
    let mut complaints = String::new();
    for path in files(&root) {
        let file = path.strip_prefix(&root).expect("under the root").to_string_lossy();
        for fault in faults(&read(&path)) {
            writeln!(complaints, "{file}:{fault}").expect("text");
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

fn files(root: &Path) -> Vec<PathBuf> {
    [root.join("crates"), root.join("fuzz")].iter().flat_map(|folder| rust_files(folder)).collect()
}

/// The faults in the comments and names of a file, each with its line.
fn faults(source: &Source) -> Vec<String> {
    let empty = source.comments.iter().filter(|comment| is_one_word(&comment.text) || is_code(&comment.text));
    let mut faults: Vec<String> = empty
        .map(|Comment { text, line }| format!("{line}: write a sentence or delete the comment: {text}"))
        .collect();
    for (name, line, public) in types(source) {
        let old_name = OLD_NAMES.iter().find(|(old, _)| *old == name);
        let old_word = || OLD_WORDS.iter().find(|(old, _)| name.contains(old));
        if let Some((_, new)) = old_name.or_else(old_word) {
            faults
                .push(format!("{line}: {name} is an old name; a name of the field says more, such as {new}"));
        }
        if public && BARE_NAMES.contains(&name) {
            faults.push(format!("{line}: {name} of what? A type that other modules see says it in its name"));
        }
    }
    faults
}

/// Whether a comment is a single word, alone or behind "The" or "Its": the name below it says as much.
fn is_one_word(comment: &str) -> bool {
    match comment.split_whitespace().collect::<Vec<_>>()[..] {
        [word] => word.contains(char::is_alphabetic),
        ["The" | "Its", _] => true,
        _ => false,
    }
}

/// Whether a comment is code alone, without a word about it.
fn is_code(comment: &str) -> bool {
    // What stands between backquotes is every second part.
    let mut prose = comment.split('`').step_by(2);
    comment.contains('`') && !prose.any(|text| text.contains(char::is_alphabetic))
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
        type Run<S> = Box<dyn Fn(S)>;
        /// Wanted: a Run of each Side.
        enum Command { Run(RunArguments), Lookup { side: Lookups } }
        enum Lookup { Run }
        /// Its name.
        struct Named; // The name of it.
    ";
    let faults = faults(&crate::source::take_apart(text));
    let lines: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
    assert_eq!(lines, ["2", "7", "8", "14", "3", "6", "9", "10", "13"]);
}
