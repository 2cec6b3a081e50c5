//! The modules of a crate, and which of them import which. Code that is compiled for tests only does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::source::{Token, read};

/// How many re-exports are followed in a row. More of them must be a loop of re-exports.
const MAX_REEXPORTS: usize = 8;

/// A crate's modules; the first one is its root.
pub(crate) struct Crate {
    pub(crate) modules: Vec<Module>,
}

/// A module, in a file of its own or inside another's.
pub(crate) struct Module {
    pub(crate) file: PathBuf,
    /// The path, such as `cache::redis`; empty for the root.
    pub(crate) path: String,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    /// The names that are defined in the module.
    items: BTreeSet<String>,
    uses: Vec<WrittenPath>,
    /// Paths outside of `use`, such as `crate::a::f()`.
    mentions: Vec<WrittenPath>,
}

/// A path as written in the source, seen from the module that contains it.
struct WrittenPath {
    segments: Vec<String>,
    /// The name that `use` gives it in this module; `None` for `*`, and for paths outside of `use`.
    name: Option<String>,
    glob: bool,
    line: usize,
}

/// An import: one module names something in another.
pub(crate) struct Import {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) line: usize,
}

impl Crate {
    /// Reads the crate whose root file this is.
    pub(crate) fn read(root: &Path) -> Self {
        let mut found = Self { modules: Vec::new() };
        let folder = root.parent().expect("a file lies in a folder");
        found.add_file(root, folder, None, "");
        found
    }

    /// All imports of one module by another in the same crate.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (from, module) in self.modules.iter().enumerate() {
            for path in module.uses.iter().chain(&module.mentions) {
                if let Some(to) = self.resolve(from, &path.segments, 0)
                    && to != from
                {
                    imports.push(Import { from, to, line: path.line });
                }
            }
        }
        imports
    }

    /// The module that defines what the path names; `None` if that is in another crate.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<usize> {
        if depth > MAX_REEXPORTS {
            return None;
        }
        let (mut at, mut rest) = (from, path);
        let prefixed = matches!(path.first()?.as_str(), "crate" | "self" | "super");
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = self.modules[at].parent?,
                _ => break,
            }
            rest = &rest[1..];
        }
        let defined_in = self.look_up(at, rest, depth);
        // A name that is unknown although its path belongs to this crate was made by a macro.
        if prefixed { defined_in.or(Some(at)) } else { defined_in }
    }

    /// Does the same for a path that begins in this module.
    fn look_up(&self, at: usize, path: &[String], depth: usize) -> Option<usize> {
        let module = &self.modules[at];
        let Some((first, rest)) = path.split_first() else { return Some(at) };
        if let Some(child) = module.children.get(first) {
            return self.look_up(*child, rest, depth).or(Some(*child));
        }
        if module.items.contains(first) {
            return Some(at);
        }
        if let Some(named) = module.uses.iter().find(|path| path.name.as_ref() == Some(first)) {
            let whole: Vec<String> = named.segments.iter().chain(rest).cloned().collect();
            return self.resolve(at, &whole, depth + 1).or((depth > 0).then_some(at));
        }
        let globs = module.uses.iter().filter(|path| path.glob);
        globs
            .filter_map(|glob| self.resolve(at, &glob.segments, depth + 1))
            .filter(|of| *of != at && depth < MAX_REEXPORTS)
            .find_map(|of| self.look_up(of, path, depth + 1))
    }

    fn add_file(&mut self, file: &Path, folder: &Path, parent: Option<usize>, path: &str) -> usize {
        let tokens = read(file).tokens;
        let module = self.add(file, parent, path);
        self.scan(module, &tokens, folder);
        module
    }

    fn add(&mut self, file: &Path, parent: Option<usize>, path: &str) -> usize {
        self.modules.push(Module {
            file: file.to_owned(),
            path: path.to_owned(),
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            uses: Vec::new(),
            mentions: Vec::new(),
        });
        self.modules.len() - 1
    }

    /// Reads the tokens of a module. `folder` is where the files of its children are.
    fn scan(&mut self, module: usize, tokens: &[Token], folder: &Path) {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let (mut at, mut depth) = (0, 0);
        while at < tokens.len() {
            match text(at) {
                "#" => {
                    let inner = usize::from(text(at + 1) == "!");
                    let end = closing(tokens, at + 1 + inner);
                    if is_for_tests(&tokens[at..end]) {
                        if inner == 1 {
                            return;
                        }
                        at = end_of_item(tokens, end);
                    } else {
                        at = end;
                    }
                    continue;
                }
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                "mod" if text(at + 2) == ";" => {
                    self.add_child_file(module, text(at + 1), folder);
                    at += 2;
                }
                "mod" if text(at + 2) == "{" => {
                    let end = closing(tokens, at + 2);
                    let name = text(at + 1);
                    let child = self.add_child(module, name, &self.modules[module].file.clone());
                    self.scan(child, &tokens[at + 3..end - 1], &folder.join(name));
                    at = end;
                    continue;
                }
                "use" if text(at + 1) != "<" => {
                    let end = (at..tokens.len()).find(|at| text(*at) == ";").unwrap_or(tokens.len());
                    let line = tokens[at].line;
                    use_tree(&tokens[at + 1..end], &[], line, &mut self.modules[module].uses);
                    at = end;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" if depth == 0 => {
                    self.modules[module].items.insert(text(at + 1).to_owned());
                }
                "macro_rules" if text(at + 1) == "!" => {
                    self.modules[module].items.insert(text(at + 2).to_owned());
                }
                "crate" | "self" | "super" if text(at + 1) == "::" => {
                    let of_visibility = at > 1 && text(at - 1) == "in" && text(at - 2) == "(";
                    let (segments, end) = segments(tokens, at);
                    if !of_visibility {
                        let line = tokens[at].line;
                        self.modules[module].mentions.push(WrittenPath {
                            segments,
                            name: None,
                            glob: false,
                            line,
                        });
                    }
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn add_child_file(&mut self, parent: usize, name: &str, folder: &Path) {
        let inside = folder.join(name);
        let file =
            [folder.join(format!("{name}.rs")), inside.join("mod.rs")].into_iter().find(|f| f.is_file());
        // Without a file it is a module that `#[path]` selects for another operating system.
        if let Some(file) = file {
            let path = self.path_of_child(parent, name);
            let child = self.add_file(&file, &inside, Some(parent), &path);
            self.modules[parent].children.insert(name.to_owned(), child);
        }
    }

    fn add_child(&mut self, parent: usize, name: &str, file: &Path) -> usize {
        let path = self.path_of_child(parent, name);
        let child = self.add(file, Some(parent), &path);
        self.modules[parent].children.insert(name.to_owned(), child);
        child
    }

    fn path_of_child(&self, parent: usize, name: &str) -> String {
        let parent = &self.modules[parent].path;
        if parent.is_empty() { name.to_owned() } else { format!("{parent}::{name}") }
    }
}

/// The identifiers of the path that begins at a token, and the position after it.
fn segments(tokens: &[Token], start: usize) -> (Vec<String>, usize) {
    let mut segments = vec![tokens[start].text.clone()];
    let mut at = start + 1;
    while let [colons, next, ..] = &tokens[at..]
        && colons.text == "::"
        && next.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    {
        segments.push(next.text.clone());
        at += 2;
    }
    (segments, at)
}

/// The leaves of the tree between `use` and `;`.
fn use_tree(tokens: &[Token], prefix: &[String], line: usize, found: &mut Vec<WrittenPath>) {
    let mut segments = prefix.to_vec();
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "::" if at == 0 && prefix.is_empty() => return,
            "::" => {}
            "{" => {
                let end = closing(tokens, at);
                for branch in branches(&tokens[at + 1..end - 1]) {
                    use_tree(branch, &segments, line, found);
                }
                return;
            }
            "*" => {
                found.push(WrittenPath { segments, name: None, glob: true, line });
                return;
            }
            "as" => {
                let name = tokens.get(at + 1).map(|token| token.text.clone());
                found.push(WrittenPath { segments, name, glob: false, line });
                return;
            }
            "self" if at == 0 && !prefix.is_empty() => {}
            segment => segments.push(segment.to_owned()),
        }
    }
    let name = segments.last().cloned();
    found.push(WrittenPath { segments, name, glob: false, line });
}

/// Splits a group at its commas; inner groups stay whole.
fn branches(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0;
    let parts = tokens.split(|token| {
        depth += match token.text.as_str() {
            "{" => 1,
            "}" => -1,
            _ => 0,
        };
        depth == 0 && token.text == ","
    });
    parts.filter(|branch| !branch.is_empty()).collect()
}

/// The position after the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Whether an attribute is `#[cfg(test)]`, `#[cfg(any(test, ...))]` or `#[cfg(all(test, ...))]`.
fn is_for_tests(attribute: &[Token]) -> bool {
    let has = |text: &str| attribute.iter().any(|token| token.text == text);
    has("cfg") && has("test") && !has("not")
}

/// The position after the item, field, variant or statement that begins at a token, including its other attributes.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while tokens.get(at).is_some_and(|token| token.text == "#") {
        at = closing(tokens, at + 1);
    }
    let is_item = tokens[at..].iter().take(3).any(|token| {
        matches!(token.text.as_str(), "fn" | "impl" | "mod" | "struct" | "enum" | "trait" | "use" | "const")
    });
    let is_use = tokens[at..].iter().take_while(|token| token.text != ";").any(|token| token.text == "use");
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            "}" | ")" => return at,
            "{" if !is_use => return closing(tokens, at),
            "{" | "(" | "[" => at = closing(tokens, at),
            _ => at += 1,
        }
    }
    at
}
