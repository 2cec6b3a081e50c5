//! Reads a regular expression in the notation of JavaScript, which JSON Schema uses.

use super::super::notation::{Count, MAX_REPEATED};
use super::set::Set;
use super::{Node, Trouble};

/// Groups in groups that are followed.
const MAX_DEPTH: usize = 16;
/// The most characters of an expression.
const MAX_LENGTH: usize = 500;

/// The characters that `\d`, `\w` and `\s` stand for.
const DIGITS: &[(char, char)] = &[('0', '9')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const SPACE: &[(char, char)] = &[
    ('\t', '\r'),
    (' ', ' '),
    ('\u{A0}', '\u{A0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200A}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202F}', '\u{202F}'),
    ('\u{205F}', '\u{205F}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{FEFF}', '\u{FEFF}'),
];

type Read<T> = std::result::Result<T, Trouble>;

/// The expression. Where `^` or `$` is missing at its ends, anything may stand before or behind it.
pub(super) fn read(pattern: &str) -> Read<Node> {
    let (pattern, begins) = pattern.strip_prefix('^').map_or((pattern, false), |rest| (rest, true));
    let (inside, ends) = pattern.strip_suffix('$').map_or((pattern, false), |rest| (rest, true));
    let chars: Vec<char> = inside.chars().take(MAX_LENGTH + 1).collect();
    if chars.len() > MAX_LENGTH {
        return Err(Trouble::Unsupported);
    }
    let mut reader = Reader { chars, at: 0 };
    let node = reader.choice(0)?;
    match reader.next() {
        None if begins && ends => Ok(node),
        None => {
            let anything = |is_missing: bool| is_missing.then(anything).transpose();
            let parts = [anything(!begins)?, Some(node), anything(!ends)?];
            Ok(Node::Sequence(parts.into_iter().flatten().collect()))
        }
        Some(_) => Err(Trouble::Invalid("a parenthesis is closed that was not opened")),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn skip(&mut self, expected: char) -> bool {
        let is_next = self.peek() == Some(expected);
        self.at += usize::from(is_next);
        is_next
    }

    /// Alternatives up to the end or to the parenthesis that closes the group.
    fn choice(&mut self, depth: usize) -> Read<Node> {
        if depth > MAX_DEPTH {
            return Err(Trouble::Unsupported);
        }
        let first = self.sequence(depth)?;
        let mut choices = vec![first];
        while self.skip('|') {
            choices.push(self.sequence(depth)?);
        }
        match choices.pop() {
            Some(only) if choices.is_empty() => Ok(only),
            last => Ok(Node::Choice(choices.into_iter().chain(last).collect())),
        }
    }

    fn sequence(&mut self, depth: usize) -> Read<Node> {
        let mut nodes = Vec::new();
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            self.at += 1;
            let node = match c {
                '.' => one(&[('\n', '\n'), ('\r', '\r'), ('\u{2028}', '\u{2029}')], true)?,
                '(' => self.group(depth)?,
                '[' => self.class()?,
                '\\' => match self.named_class() {
                    Some((ranges, is_negated)) => one(ranges, is_negated)?,
                    None => Node::Char(self.escape()?),
                },
                '*' | '+' | '?' => return Err(Trouble::Invalid("there is nothing to repeat")),
                // In the midst of an expression these two match no character, and the others mean themselves only sometimes.
                '^' | '$' | '{' | '}' | ']' => return Err(Trouble::Unsupported),
                c => Node::Char(c),
            };
            nodes.push(self.repeated(node)?);
        }
        Ok(Node::Sequence(nodes))
    }

    fn group(&mut self, depth: usize) -> Read<Node> {
        // Look-around, names and flags are beyond a grammar.
        if self.skip('?') && !self.skip(':') {
            return Err(Trouble::Unsupported);
        }
        let node = self.choice(depth + 1)?;
        if self.skip(')') { Ok(node) } else { Err(Trouble::Invalid("a parenthesis is not closed")) }
    }

    /// A node with the repetition that stands behind it.
    fn repeated(&mut self, node: Node) -> Read<Node> {
        let count = match self.peek() {
            Some('*') => Count { least: 0, most: None },
            Some('+') => Count { least: 1, most: None },
            Some('?') => Count { least: 0, most: Some(1) },
            Some('{') => self.counted()?,
            _ => return Ok(node),
        };
        self.at += 1;
        // A question mark makes the repetition short where there is a choice, which admits the same strings.
        self.skip('?');
        if matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
            return Err(Trouble::Unsupported);
        }
        Ok(Node::Repeated(Box::new(node), count))
    }

    /// The numbers of `{2}`, `{2,}` or `{2,3}`, up to the closing brace.
    fn counted(&mut self) -> Read<Count> {
        let length = self.chars[self.at..].iter().position(|c| *c == '}').ok_or(Trouble::Unsupported)?;
        let numbers: String = self.chars[self.at + 1..self.at + length].iter().collect();
        self.at += length;
        let number = |text: &str| match text.parse::<u64>() {
            Ok(number) if number <= MAX_REPEATED && !text.starts_with('+') => Ok(number),
            _ => Err(Trouble::Unsupported),
        };
        let (least, most) = match numbers.split_once(',') {
            None => (number(&numbers)?, Some(number(&numbers)?)),
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        if most.is_some_and(|most| most < least) {
            return Err(Trouble::Invalid("a repetition has a most below its least"));
        }
        Ok(Count { least, most })
    }

    /// The rest of a class, behind its opening bracket.
    fn class(&mut self) -> Read<Node> {
        let is_negated = self.skip('^');
        let mut ranges = Vec::new();
        while !self.skip(']') {
            if self.peek() == Some('\\') {
                self.at += 1;
                match self.named_class() {
                    Some((named, false)) => {
                        ranges.extend_from_slice(named);
                        continue;
                    }
                    Some((_, true)) => return Err(Trouble::Unsupported),
                    None => self.at -= 1,
                }
            }
            let from = self.class_char()?;
            let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1) != Some(&']');
            let to = if is_range {
                self.at += 1;
                self.class_char()?
            } else {
                from
            };
            if to < from {
                return Err(Trouble::Invalid("a range of characters ends before it begins"));
            }
            ranges.push((from, to));
        }
        one(&ranges, is_negated)
    }

    /// The characters of `\d`, `\w` or `\s`, or all but these for the capital letter, behind its backslash.
    fn named_class(&mut self) -> Option<(&'static [(char, char)], bool)> {
        let name = self.peek()?;
        let ranges = match name.to_ascii_lowercase() {
            'd' => DIGITS,
            'w' => WORD,
            's' => SPACE,
            _ => return None,
        };
        self.at += 1;
        Some((ranges, name.is_ascii_uppercase()))
    }

    fn class_char(&mut self) -> Read<char> {
        match self.next() {
            None => Err(Trouble::Invalid("a bracket is not closed")),
            Some('\\') => self.escape(),
            Some(c) => Ok(c),
        }
    }

    /// The character that an escape stands for, behind its backslash.
    fn escape(&mut self) -> Read<char> {
        match self.next() {
            Some('t') => Ok('\t'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('x') => self.code(2),
            Some('u') => self.code(4),
            Some(c) if c.is_ascii_punctuation() => Ok(c),
            // Of the others most stand for classes. A backslash at the end belongs to the dollar sign that was taken off.
            Some(_) | None => Err(Trouble::Unsupported),
        }
    }

    fn code(&mut self, digits: usize) -> Read<char> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.next().and_then(|c| c.to_digit(16)).ok_or(Trouble::Unsupported)?;
            code = code * 16 + digit;
        }
        char::from_u32(code).ok_or(Trouble::Unsupported)
    }
}

/// A character of a set, if there is any.
fn one(ranges: &[(char, char)], is_negated: bool) -> Read<Node> {
    match (ranges, is_negated) {
        ([(from, to)], false) if from == to => Ok(Node::Char(*from)),
        _ => Some(Set::of(ranges, is_negated))
            .filter(|set| !set.is_empty())
            .map(Node::One)
            .ok_or(Trouble::Unsupported),
    }
}

/// Any characters.
fn anything() -> Read<Node> {
    Ok(Node::Repeated(Box::new(one(&[], true)?), Count { least: 0, most: None }))
}
