//! Splits Rust source into tokens and comments. It understands as much of the language as the structural tests need,
//! so that they do not have to compile a parser.

use std::path::{Path, PathBuf};

/// The tokens and comments of a file.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Comment>,
}

/// An identifier, a number, `::` or a single punctuation character. Every string and character literal is `""`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Neighbouring comment lines of the same kind (`//`, `///`, `//!`), or one block comment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comment {
    pub(crate) text: String,
    /// The line on which it begins.
    pub(crate) line: usize,
}

/// The folder of the repository, which holds `crates`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// Every Rust file under a folder, sorted.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Reads a file and splits it.
pub(crate) fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    take_apart(&text)
}

/// Splits text into tokens and comments.
pub(crate) fn take_apart(text: &str) -> Source {
    let mut lexer = Lexer { rest: text, line: 1, source: Source::default(), last_comment: None };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.source
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    source: Source,
    /// Marker and line of the previous comment line, if only white space has come since.
    last_comment: Option<(&'static str, usize)>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self) {
        let first = self.rest.chars().next().expect("not at the end");
        if first.is_whitespace() {
            self.take(first.len_utf8());
        } else if self.rest.starts_with("//") {
            self.line_comment();
        } else if self.rest.starts_with("/*") {
            self.block_comment();
        } else if let Some(length) = literal(self.rest) {
            self.token("\"\"", length);
        } else if first == '\'' {
            // A quote that begins no character literal begins a lifetime.
            self.take(1);
            let length = word(self.rest);
            self.take(length);
        } else if first.is_alphanumeric() || first == '_' {
            let raw = if self.rest.starts_with("r#") { 2 } else { 0 };
            let length = raw + word(&self.rest[raw..]);
            self.token(&self.rest[raw..length], length);
        } else if self.rest.starts_with("::") {
            self.token("::", 2);
        } else {
            self.token(&self.rest[..first.len_utf8()], first.len_utf8());
        }
    }

    /// Advances by this many bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn token(&mut self, text: &str, length: usize) {
        self.source.tokens.push(Token { text: text.to_owned(), line: self.line });
        self.last_comment = None;
        self.take(length);
    }

    fn line_comment(&mut self) {
        let marker = ["///", "//!", "//"].into_iter().find(|m| self.rest.starts_with(m)).expect("a comment");
        let line = self.line;
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let text = self.take(end)[marker.len()..].trim();
        match (self.last_comment, self.source.comments.last_mut()) {
            (Some(before), Some(comment)) if before == (marker, line - 1) => {
                comment.text.push('\n');
                comment.text.push_str(text);
            }
            _ => self.source.comments.push(Comment { text: text.to_owned(), line }),
        }
        self.last_comment = Some((marker, line));
    }

    fn block_comment(&mut self) {
        let (mut depth, mut at) = (0, 0);
        loop {
            let rest = &self.rest[at..];
            if rest.is_empty() {
                break;
            } else if rest.starts_with("/*") {
                depth += 1;
                at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        let line = self.line;
        let text = self.take(at).trim_matches(['/', '*', '!', ' ', '\n']).to_owned();
        self.source.comments.push(Comment { text, line });
        self.last_comment = None;
    }
}

/// Length in bytes of the word at the beginning.
fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Length in bytes of the string or character literal at the beginning, if there is one.
fn literal(text: &str) -> Option<usize> {
    let prefix = word(text);
    let body = &text[prefix..];
    match &text[..prefix] {
        "" if text.starts_with('\'') => {
            let mut chars = text.char_indices().skip(1);
            match (chars.next()?.1, chars.next()?) {
                ('\\', _) => quoted(text, '\''),
                (_, (at, '\'')) => Some(at + 1),
                _ => None,
            }
        }
        "b" if body.starts_with('\'') => Some(prefix + quoted(body, '\'')?),
        "" | "b" | "c" if body.starts_with('"') => Some(prefix + quoted(body, '"')?),
        "r" | "br" | "cr" => {
            let hashes = body.len() - body.trim_start_matches('#').len();
            let inside = body[hashes..].strip_prefix('"')?;
            let end = format!("\"{}", "#".repeat(hashes));
            let length = inside.find(&end)? + end.len();
            Some(prefix + hashes + 1 + length)
        }
        _ => None,
    }
}

/// Length in bytes up to the closing quote and including it. Escaped quotes do not count.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

#[test]
fn source_is_taken_apart() {
    let text = r##"
        //! Of the file,
        //! in two lines.
        use a::b; // behind code
        /// Doc.
        fn f<'a>(c: char) -> &'a str { if c == '\'' || c == '"' { r#"no // "comment" "# } else { "\"//" } }
        /* block /* in block */ */ let r#type = b'x';
    "##;
    let source = take_apart(text);
    let comments: Vec<&str> = source.comments.iter().map(|comment| comment.text.as_str()).collect();
    assert_eq!(comments, ["Of the file,\nin two lines.", "behind code", "Doc.", "block /* in block"]);
    assert_eq!(source.comments[1].line, 4);
    let tokens: Vec<&str> = source.tokens.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(tokens[..5], ["use", "a", "::", "b", ";"]);
    assert_eq!(tokens.iter().filter(|token| **token == "\"\"").count(), 5);
    assert_eq!(tokens[tokens.len() - 5..], ["let", "type", "=", "\"\"", ";"]);
}
