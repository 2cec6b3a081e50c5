//! Constants must stand at the top of their file, because whoever looks for a limit looks there: see docs/STYLE.md.

use std::fmt::Write;

use crate::source::{Source, Token, read, root, rust_files};

/// What an item at the level of a file is to this rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemKind {
    Constant,
    /// A function, a type, an implementation, or the call of a macro that may declare one.
    Code,
    /// Something that may stand above constants: an attribute, an import, a module, an alias, the definition of a macro.
    Other,
}

#[test]
fn constants_stand_above_functions_and_types() {
    let root = root();
    let mut complaints = String::new();
    for path in ["crates", "fuzz"].iter().flat_map(|folder| rust_files(&root.join(folder))) {
        let file = path.strip_prefix(&root).expect("under the root").display();
        for (name, line) in low_constants(&read(&path)) {
            writeln!(complaints, "{file}:{line}: {name}").expect("text");
        }
    }
    assert!(
        complaints.is_empty(),
        "these constants stand below a function or type: move them to the top of their file, below the imports\n{complaints}"
    );
}

/// The names and lines of the constants and statics below the first function or type of a file. Those inside functions,
/// types and modules do not count.
fn low_constants(source: &Source) -> Vec<(&str, usize)> {
    let (mut rest, mut is_below, mut found) = (source.tokens.as_slice(), false, Vec::new());
    while !rest.is_empty() {
        let (keyword, kind) = classify(rest);
        if kind == ItemKind::Constant && is_below {
            let name = rest[keyword + 1..].iter().find(|token| token.text != "mut");
            found.extend(name.map(|name| (name.text.as_str(), name.line)));
        }
        is_below |= kind == ItemKind::Code;
        rest = &rest[length(rest, keyword)..];
    }
    found
}

/// The place of the first item's keyword, behind its visibility and qualifiers, and what that item is.
fn classify(tokens: &[Token]) -> (usize, ItemKind) {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut at = 0;
    loop {
        at += match text(at) {
            "pub" if text(at + 1) == "(" => length_of_group(&tokens[at + 1..]) + 1,
            "const" if matches!(text(at + 1), "async" | "extern" | "fn" | "unsafe") => 1,
            "async" | "default" | "extern" | "pub" | "unsafe" | "\"\"" => 1,
            _ => break,
        };
    }
    let kind = match text(at) {
        "const" | "static" => ItemKind::Constant,
        "" | "#" | ";" | "crate" | "macro_rules" | "mod" | "thread_local" | "type" | "use" => ItemKind::Other,
        _ => ItemKind::Code,
    };
    (at, kind)
}

/// How many tokens the first item has. An attribute counts as an item of its own.
fn length(tokens: &[Token], keyword: usize) -> usize {
    let ends = match tokens.get(keyword).map(|token| token.text.as_str()) {
        Some("#") => "]",
        // The braces in these do not end them.
        Some("const" | "static" | "type" | "use") => ";",
        _ => ";}",
    };
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_group = matches!(token.text.as_str(), "(" | "[" | "{");
        at += if is_group { length_of_group(&tokens[at..]) } else { 1 };
        if ends.contains(tokens[at - 1].text.as_str()) {
            break;
        }
    }
    at
}

/// How many tokens stand from an opening bracket to the one that closes it, both included.
fn length_of_group(tokens: &[Token]) -> usize {
    let mut depth = 0;
    let end = tokens.iter().position(|token| {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.map_or(tokens.len(), |end| end + 1)
}

#[test]
fn a_constant_below_a_function_or_type_is_found() {
    let low = |text: &str| {
        let source = crate::source::take_apart(text);
        let found = low_constants(&source).into_iter();
        found.map(|(name, line)| format!("{line}: {name}")).collect::<Vec<_>>()
    };
    let good = "
        #![allow(dead_code)]
        use std::{fmt, time::Duration};
        mod child;
        type Pair = (u8, u8);
        macro_rules! pair { () => { const A: Pair = (1, 2); fn f() {} } }
        thread_local! { static HERE: u8 = 1; }
        pub(in crate::a) const LIMIT: fn(u8) -> Pair = |n| { (n, n) };
        #[cfg(test)]
        static BOUNDS: Bounds = Bounds { least: 1 };
        #[derive(Debug)]
        pub struct Bounds { least: u8 }
        pub const fn f() -> u8 { const INSIDE: u8 = 1; static TOO: u8 = 2; INSIDE }
        impl Bounds { const MAX: u8 = 3; }
        #[cfg(test)]
        mod tests { fn g() {} const N: u8 = 4; }
    ";
    assert!(low(good).is_empty(), "{:?}", low(good));
    assert_eq!(low("struct Unit;\nconst A: u8 = 1;"), ["2: A"]);
    assert_eq!(low("pub unsafe fn f() {}\n#[cfg(test)]\npub static mut B: [u8; 2] = [1; 2];"), ["3: B"]);
    assert_eq!(low("a::settings! { struct S {} }\nconst C: u8 = 1;"), ["2: C"]);
    assert_eq!(low("impl<const N: usize> A for [u8; N] {}\nconst D: u8 = 1;\nfn g() {}"), ["2: D"]);
}
