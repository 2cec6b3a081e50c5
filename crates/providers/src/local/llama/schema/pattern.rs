//! Strings that match a regular expression, as far as a grammar can say it and llama.cpp can follow it.
//!
//! llama.cpp tries every way in which a token may continue a text, without remembering which it has tried. With forty `a?` in a
//! row it took 0.6 s to find that the one token `aaa!` does not fit, and ten times as long for each further letter
//! (`llama_grammar_reject_candidates_for_stack`, called alone). What is not plainly harmless is left open: any string is admitted.

mod ambiguity;
mod reader;
mod set;

use super::notation::{Count, literal, range};
use super::{Result, Rules, refuse};
use set::Set;

/// Characters that an expression describes at most, each repetition as often as it may occur. It bounds the rules that
/// llama.cpp makes of it.
const MAX_WRITTEN: u64 = 256;
/// Pairs of ways that may begin with the same character. With eight, a token of 16 letters took llama.cpp 1.4 ms at the worst.
const MAX_AMBIGUITY: usize = 8;

/// A regular expression, or a part of one.
enum Node {
    /// One character of a set, which is not empty and holds only what may stand in a JSON string as it is.
    One(Set),
    /// This character, which may need an escape in JSON.
    Char(char),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeated(Box<Node>, Count),
}

/// Why an expression is not translated.
enum Trouble {
    /// A grammar cannot say it, or llama.cpp not follow it.
    Unsupported,
    /// It is no regular expression.
    Invalid(&'static str),
}

impl Rules<'_> {
    pub(super) fn pattern(&mut self, pattern: &str) -> Result<String> {
        let node = match reader::read(pattern) {
            Ok(node) => node,
            Err(Trouble::Unsupported) => return Ok(self.primitive("string")),
            Err(Trouble::Invalid(why)) => {
                return refuse(format!("the pattern {pattern:?} is invalid: {why}"));
            }
        };
        let written = node.written();
        let is_harmless = written <= MAX_WRITTEN.min(self.repetitions)
            && !node.repeats_variants()
            && ambiguity::of(&node) <= MAX_AMBIGUITY;
        if !is_harmless {
            return Ok(self.primitive("string"));
        }
        self.repetitions -= written;
        self.add(format!(r#""\"" {} "\"""#, node.grammar()))
    }
}

impl Node {
    /// How many characters the grammar describes once its repetitions are written out, as llama.cpp does.
    fn written(&self) -> u64 {
        match self {
            Self::One(_) | Self::Char(_) => 1,
            Self::Sequence(nodes) | Self::Choice(nodes) => nodes.iter().map(Self::written).sum(),
            Self::Repeated(node, count) => node.written().saturating_mul(count.written().max(1)),
        }
    }

    /// Whether anything but a fixed sequence is repeated, with ways to read a text that multiply each time.
    fn repeats_variants(&self) -> bool {
        match self {
            Self::One(_) | Self::Char(_) => false,
            Self::Sequence(nodes) | Self::Choice(nodes) => nodes.iter().any(Self::repeats_variants),
            Self::Repeated(node, Count { most: Some(0 | 1), .. }) => node.repeats_variants(),
            Self::Repeated(node, _) => !node.is_fixed(),
        }
    }

    fn is_fixed(&self) -> bool {
        match self {
            Self::One(_) | Self::Char(_) => true,
            Self::Sequence(nodes) => !nodes.is_empty() && nodes.iter().all(Self::is_fixed),
            Self::Choice(_) | Self::Repeated(..) => false,
        }
    }

    fn grammar(&self) -> String {
        let all = |nodes: &[Self]| nodes.iter().map(Self::grammar).collect::<Vec<_>>();
        match self {
            Self::One(set) => {
                let ranges: String = set.ranges().map(|(from, to)| range(from, to)).collect();
                format!("[{ranges}]")
            }
            Self::Char(c) => literal(&in_json(*c)),
            Self::Sequence(nodes) => all(nodes).join(" "),
            Self::Choice(nodes) => format!("({})", all(nodes).join(" | ")),
            Self::Repeated(node, count) => count.of(&format!("({})", node.grammar())),
        }
    }
}

/// A character as it stands in a JSON string.
fn in_json(c: char) -> String {
    match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_ascii_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    }
}
