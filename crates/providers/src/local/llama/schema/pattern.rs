//! Strings that match a regular expression, as far as a grammar can say it.

use std::collections::HashMap;

use super::{Result, Rules, refuse, repeated};

/// Groups in groups that are followed.
const MAX_DEPTH: usize = 100;
/// What means something in a regular expression and stands for itself behind a backslash.
const SPECIAL: &str = "|.()[]{}*+?^$";

/// What cannot be translated.
enum Trouble {
    /// A grammar cannot say it: every string is admitted then.
    Unsupported,
    /// It is no regular expression.
    Invalid(&'static str),
}

/// A piece of a sequence.
struct Piece {
    text: String,
    /// It is text to be quoted, which may be put together with text beside it.
    literal: bool,
}

impl Piece {
    fn rule(text: impl Into<String>) -> Self {
        Self { text: text.into(), literal: false }
    }

    fn into_rule(self) -> String {
        if self.literal { format!("\"{}\"", self.text) } else { self.text }
    }
}

impl Rules<'_> {
    pub(super) fn pattern(&mut self, pattern: &str, rule_name: &str) -> Result<String> {
        let before = self.bodies.clone();
        match self.translate(pattern, rule_name) {
            Ok(name) => Ok(name),
            Err(Trouble::Unsupported) => {
                self.bodies = before;
                let string = self.primitive("string");
                Ok(self.add(rule_name, string))
            }
            Err(Trouble::Invalid(why)) => refuse(format!("the pattern {pattern} is invalid: {why}")),
        }
    }

    fn translate(&mut self, pattern: &str, rule_name: &str) -> std::result::Result<String, Trouble> {
        let inside = pattern.strip_prefix('^').and_then(|pattern| pattern.strip_suffix('$'));
        let chars = inside.ok_or(Trouble::Unsupported)?.chars().collect();
        let mut reader =
            Reader { rules: self, name: rule_name, chars, at: 0, depth: 0, repeated: HashMap::new() };
        let rule = reader.sequence()?;
        if reader.depth > 0 {
            return Err(Trouble::Invalid("a parenthesis is not closed"));
        }
        Ok(self.add(rule_name, format!(r#""\"" ({rule}) "\"""#)))
    }
}

struct Reader<'r, 'a> {
    rules: &'r mut Rules<'a>,
    name: &'r str,
    chars: Vec<char>,
    at: usize,
    depth: usize,
    /// Rules of what is repeated, by what it is.
    repeated: HashMap<String, String>,
}

impl Reader<'_, '_> {
    /// Up to the end or the parenthesis that closes the group.
    fn sequence(&mut self) -> std::result::Result<String, Trouble> {
        let mut pieces: Vec<Piece> = Vec::new();
        while let Some(c) = self.chars.get(self.at).copied() {
            self.at += 1;
            match c {
                '.' => pieces.push(Piece::rule(self.rules.add("dot", r"[^\x0A\x0D]".to_owned()))),
                '(' => pieces.push(self.group()?),
                ')' => {
                    self.depth =
                        self.depth.checked_sub(1).ok_or(Trouble::Invalid("a parenthesis too many"))?;
                    return Ok(joined(pieces));
                }
                '^' | '$' => return Err(Trouble::Unsupported),
                '[' => pieces.push(self.class()?),
                '|' => pieces.push(Piece::rule("|")),
                '*' | '+' | '?' | '{' => {
                    let last = pieces.pop().ok_or(Trouble::Invalid("there is nothing to repeat"))?;
                    let repeated =
                        if c == '{' { self.counted(last)? } else { last.into_rule() + &c.to_string() };
                    pieces.push(Piece::rule(repeated));
                }
                _ => {
                    self.at -= 1;
                    pieces.push(self.literal()?);
                }
            }
        }
        Ok(joined(pieces))
    }

    fn group(&mut self) -> std::result::Result<Piece, Trouble> {
        if self.chars.get(self.at) == Some(&'?') {
            // Look-around, names and flags are beyond a grammar.
            if self.chars.get(self.at + 1) != Some(&':') {
                return Err(Trouble::Unsupported);
            }
            self.at += 2;
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Trouble::Unsupported);
        }
        Ok(Piece::rule(format!("({})", self.sequence()?)))
    }

    fn class(&mut self) -> std::result::Result<Piece, Trouble> {
        let mut class = String::from("[");
        loop {
            match self.chars.get(self.at) {
                None => return Err(Trouble::Invalid("a bracket is not closed")),
                Some(']') => break,
                Some('\\') => {
                    let (escape, length) = self.escape()?;
                    class += &escape;
                    self.at += length;
                }
                Some(c) => {
                    class.push(*c);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(Piece::rule(class + "]"))
    }

    /// `{2}`, `{2,}`, `{,3}` or `{2,3}` behind a piece.
    fn counted(&mut self, piece: Piece) -> std::result::Result<String, Trouble> {
        let rest = &self.chars[self.at..];
        let length = rest.iter().position(|c| *c == '}').ok_or(Trouble::Unsupported)?;
        let numbers: String = rest[..length].iter().collect();
        self.at += length + 1;
        let number = |text: &str| text.parse::<u64>().map_err(|_| Trouble::Unsupported);
        let (least, most) = match numbers.split_once(',') {
            None => (number(&numbers)?, Some(number(&numbers)?)),
            Some((least, most)) => (
                if least.is_empty() { 0 } else { number(least)? },
                if most.is_empty() { None } else { Some(number(most)?) },
            ),
        };
        let item = if piece.literal {
            piece.into_rule()
        } else if let Some(known) = self.repeated.get(&piece.text) {
            known.clone()
        } else {
            let name = format!("{}-{}", self.name, self.repeated.len() + 1);
            let rule = self.rules.add(&name, piece.text.clone());
            self.repeated.insert(piece.text, rule.clone());
            rule
        };
        Ok(repeated(&item, least, most))
    }

    /// Plain text. What a repetition stands behind is a piece of its own.
    fn literal(&mut self) -> std::result::Result<Piece, Trouble> {
        let mut text = String::new();
        while let Some((character, length)) = self.character()? {
            let repeated = self.chars.get(self.at + length).is_some_and(|c| "*+?{".contains(*c));
            if repeated && !text.is_empty() {
                break;
            }
            text += &character;
            self.at += length;
        }
        if text.is_empty() { Err(Trouble::Unsupported) } else { Ok(Piece { text, literal: true }) }
    }

    /// The next character as a grammar writes it, and how many it is here; `None` where it means something else.
    fn character(&self) -> std::result::Result<Option<(String, usize)>, Trouble> {
        let next = self.chars.get(self.at + 1);
        Ok(match self.chars.get(self.at) {
            Some('\\') => Some(match next {
                None => return Err(Trouble::Invalid("it ends with a backslash")),
                Some(special) if SPECIAL.contains(*special) && !"[]".contains(*special) => {
                    (special.to_string(), 2)
                }
                Some(_) => self.escape()?,
            }),
            Some('"') => Some(("\\\"".to_owned(), 1)),
            Some('\n') => Some(("\\n".to_owned(), 1)),
            Some('\r') => Some(("\\r".to_owned(), 1)),
            Some(c) if !SPECIAL.contains(*c) => Some((c.to_string(), 1)),
            _ => None,
        })
    }

    /// A backslash with what belongs to it, if it means the same in a grammar.
    fn escape(&self) -> std::result::Result<(String, usize), Trouble> {
        let digits = match self.chars.get(self.at + 1) {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some('t' | 'r' | 'n' | '\\' | '"' | '[' | ']' | '-') => 0,
            _ => return Err(Trouble::Unsupported),
        };
        let length = 2 + digits;
        let escape = self.chars.get(self.at..self.at + length).ok_or(Trouble::Unsupported)?;
        if !escape[2..].iter().all(char::is_ascii_hexdigit) {
            return Err(Trouble::Unsupported);
        }
        Ok((escape.iter().collect(), length))
    }
}

/// One behind the other, text beside text put together.
fn joined(pieces: Vec<Piece>) -> String {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in pieces {
        match merged.last_mut() {
            Some(last) if last.literal && piece.literal => last.text += &piece.text,
            _ => merged.push(piece),
        }
    }
    let rules: Vec<String> = merged.into_iter().map(Piece::into_rule).collect();
    rules.join(" ")
}
