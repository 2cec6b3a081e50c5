//! What a GBNF grammar admits, found by trying.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// How often llama.cpp repeats something at most, times the rules that stand in the parentheses it repeats.
const MAX_REPEATED: u64 = 2_000;

/// A grammar that is read.
pub(super) struct Matcher {
    rules: BTreeMap<String, Node>,
    start: String,
}

enum Node {
    Text(String),
    Class { negated: bool, ranges: Vec<(char, char)> },
    Rule(String),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeated(Box<Node>, u64, Option<u64>),
}

impl Matcher {
    /// Reads a grammar. Fails for whatever llama.cpp would refuse, loop over or end the process for.
    pub(super) fn new(grammar: &str, start: &str) -> Self {
        let rule = |line: &str| {
            let (name, rule) = line.split_once(" ::= ").expect("a rule");
            let mut rest = rule.chars().peekable();
            let node = choice(&mut rest);
            assert_eq!(rest.next(), None, "{line}");
            (name.to_owned(), node)
        };
        let rules: BTreeMap<String, Node> = grammar.lines().map(rule).collect();
        assert_eq!(rules.len(), grammar.lines().count(), "a rule is there twice");
        assert!(rules.contains_key(start), "there is no rule {start}");
        for (name, rule) in &rules {
            rule.check(&rules, name);
        }
        Self { rules, start: start.to_owned() }
    }

    pub(super) fn admits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.ends(&self.rules[&self.start], &text, 0).contains(&text.len())
    }

    /// Where a match that begins here may end.
    fn ends(&self, node: &Node, text: &[char], at: usize) -> BTreeSet<usize> {
        match node {
            Node::Text(literal) => {
                let literal: Vec<char> = literal.chars().collect();
                if text[at..].starts_with(&literal) {
                    BTreeSet::from([at + literal.len()])
                } else {
                    BTreeSet::new()
                }
            }
            Node::Class { negated, ranges } => {
                let inside = |c: &char| ranges.iter().any(|(from, to)| (from..=to).contains(&c)) != *negated;
                text.get(at).filter(|c| inside(c)).map(|_| at + 1).into_iter().collect()
            }
            Node::Rule(name) => {
                let rule = self.rules.get(name).unwrap_or_else(|| panic!("there is no rule {name}"));
                self.ends(rule, text, at)
            }
            Node::Sequence(nodes) => nodes.iter().fold(BTreeSet::from([at]), |from, node| {
                from.into_iter().flat_map(|at| self.ends(node, text, at)).collect()
            }),
            Node::Choice(nodes) => nodes.iter().flat_map(|node| self.ends(node, text, at)).collect(),
            Node::Repeated(node, least, most) => {
                let (mut all, mut from) = (BTreeSet::new(), BTreeSet::from([at]));
                for n in 0.. {
                    if n >= *least {
                        let before = all.len();
                        all.extend(&from);
                        if all.len() == before && n > *least {
                            break;
                        }
                    }
                    if most.is_some_and(|most| n >= most) || from.is_empty() {
                        break;
                    }
                    from = from.into_iter().flat_map(|at| self.ends(node, text, at)).collect();
                }
                all
            }
        }
    }
}

impl Node {
    fn check(&self, rules: &BTreeMap<String, Self>, name: &str) {
        match self {
            Self::Text(_) => {}
            Self::Class { negated, ranges } => {
                assert!(!ranges.is_empty(), "{name}: an empty class admits nothing");
                for (from, to) in ranges {
                    assert!(from <= to, "{name}: {from:?} to {to:?}");
                }
                let is_all = ranges.contains(&('\0', char::MAX));
                assert!(!(*negated && is_all), "{name}: a class admits nothing");
            }
            Self::Rule(other) => assert!(rules.contains_key(other), "{name}: there is no rule {other}"),
            Self::Sequence(nodes) | Self::Choice(nodes) => nodes.iter().for_each(|n| n.check(rules, name)),
            Self::Repeated(node, least, most) => {
                let times = most.unwrap_or(*least);
                assert!(*least <= times, "{name}: {least} to {times} times");
                assert!(times.max(1) * node.inside() <= MAX_REPEATED, "{name}: {times} times");
                assert!(!matches!(**node, Self::Repeated(..)), "{name}: a repetition is repeated as it is");
                node.check(rules, name);
            }
        }
    }

    /// About how many rules llama.cpp makes of it.
    fn inside(&self) -> u64 {
        match self {
            Self::Text(_) | Self::Class { .. } | Self::Rule(_) => 1,
            Self::Sequence(nodes) | Self::Choice(nodes) => nodes.iter().map(Self::inside).sum::<u64>().max(1),
            Self::Repeated(node, least, most) => node.inside() * most.unwrap_or(*least).max(1),
        }
    }
}

fn choice(rest: &mut Peekable<Chars>) -> Node {
    let mut choices = vec![sequence(rest)];
    while rest.next_if_eq(&'|').is_some() {
        choices.push(sequence(rest));
    }
    Node::Choice(choices)
}

fn sequence(rest: &mut Peekable<Chars>) -> Node {
    let mut nodes = Vec::new();
    loop {
        let node = match rest.peek() {
            None | Some('|' | ')') => return Node::Sequence(nodes),
            Some(' ') => {
                rest.next();
                continue;
            }
            Some('"') => {
                rest.next();
                let mut text = String::new();
                while rest.next_if_eq(&'"').is_none() {
                    text.push(character(rest));
                }
                Node::Text(text)
            }
            Some('[') => class(rest),
            Some('(') => {
                rest.next();
                let inner = choice(rest);
                assert_eq!(rest.next(), Some(')'));
                inner
            }
            Some(_) => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '-') {
                    name.push(c);
                }
                assert!(!name.is_empty(), "a name before {:?}", rest.peek());
                Node::Rule(name)
            }
        };
        nodes.push(repeated(node, rest));
    }
}

fn repeated(node: Node, rest: &mut Peekable<Chars>) -> Node {
    let (least, most) = match rest.peek() {
        Some('*') => (0, None),
        Some('+') => (1, None),
        Some('?') => (0, Some(1)),
        Some('{') => {
            rest.next();
            let numbers: String = std::iter::from_fn(|| rest.next_if(|c| *c != '}')).collect();
            let number = |text: &str| text.parse::<u64>().ok();
            match numbers.split_once(',') {
                None => (number(&numbers).expect("a number"), number(&numbers)),
                Some((least, most)) => (number(least).expect("a number"), number(most)),
            }
        }
        _ => return node,
    };
    rest.next();
    repeated(Node::Repeated(Box::new(node), least, most), rest)
}

fn class(rest: &mut Peekable<Chars>) -> Node {
    rest.next();
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while rest.next_if_eq(&']').is_none() {
        let from = character(rest);
        let is_range = rest.peek() == Some(&'-') && rest.clone().nth(1) != Some(']');
        let to = if is_range {
            rest.next();
            character(rest)
        } else {
            from
        };
        ranges.push((from, to));
    }
    Node::Class { negated, ranges }
}

fn character(rest: &mut Peekable<Chars>) -> char {
    let hexadecimal = |rest: &mut Peekable<Chars>, digits: usize| {
        let digits: String = rest.by_ref().take(digits).collect();
        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).expect("a character")
    };
    match rest.next().expect("not at the end") {
        '\\' => match rest.next().expect("not at the end") {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'x' => hexadecimal(rest, 2),
            'u' => hexadecimal(rest, 4),
            'U' => hexadecimal(rest, 8),
            c if "\\\"[]-".contains(c) => c,
            c => panic!("\\{c} is no escape"),
        },
        c => c,
    }
}
