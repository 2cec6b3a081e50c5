//! In how many ways a text can be read by a regular expression, found from what may follow each of its characters
//! (Glushkov's construction; XML Schema demands the same of its content models).

use super::set::Set;
use super::{Count, Node};

/// The characters of an expression by number, and which of them may follow which.
#[derive(Default)]
struct Positions<'a> {
    characters: Vec<Character<'a>>,
    following: Vec<Vec<usize>>,
}

enum Character<'a> {
    One(&'a Set),
    Char(char),
}

/// What a part of an expression may begin and end with, and whether it may be nothing.
struct Ends {
    first: Vec<usize>,
    last: Vec<usize>,
    may_be_empty: bool,
}

/// How many pairs of characters may stand at the same place, as different parts of the expression, and be equal.
pub(super) fn of(node: &Node) -> usize {
    let mut positions = Positions::default();
    let first = positions.read(node).first;
    let places = std::iter::once(&first).chain(&positions.following);
    places.map(|place| positions.overlaps(place)).sum()
}

impl<'a> Positions<'a> {
    fn read(&mut self, node: &'a Node) -> Ends {
        match node {
            Node::One(set) => self.add(Character::One(set)),
            Node::Char(c) => self.add(Character::Char(*c)),
            Node::Sequence(nodes) => {
                let mut whole = Ends { first: Vec::new(), last: Vec::new(), may_be_empty: true };
                for node in nodes {
                    let next = self.read(node);
                    self.connect(&whole.last, &next.first);
                    if whole.may_be_empty {
                        whole.first.extend(&next.first);
                    }
                    if !next.may_be_empty {
                        whole.last.clear();
                    }
                    whole.last.extend(&next.last);
                    whole.may_be_empty &= next.may_be_empty;
                }
                whole
            }
            Node::Choice(nodes) => {
                let mut whole = Ends { first: Vec::new(), last: Vec::new(), may_be_empty: false };
                for node in nodes {
                    let next = self.read(node);
                    whole.first.extend(next.first);
                    whole.last.extend(next.last);
                    whole.may_be_empty |= next.may_be_empty;
                }
                whole
            }
            Node::Repeated(node, Count { least, most }) => {
                let mut ends = self.read(node);
                if most.is_none_or(|most| most > 1) {
                    self.connect(&ends.last, &ends.first);
                }
                ends.may_be_empty |= *least == 0;
                ends
            }
        }
    }

    fn add(&mut self, character: Character<'a>) -> Ends {
        let at = self.characters.len();
        self.characters.push(character);
        self.following.push(Vec::new());
        Ends { first: vec![at], last: vec![at], may_be_empty: false }
    }

    fn connect(&mut self, before: &[usize], behind: &[usize]) {
        for at in before {
            self.following[*at].extend(behind);
        }
    }

    fn overlaps(&self, place: &[usize]) -> usize {
        let pairs = place.iter().enumerate().flat_map(|(n, a)| place[n + 1..].iter().map(move |b| (*a, *b)));
        pairs.filter(|(a, b)| self.characters[*a].overlaps(&self.characters[*b])).count()
    }
}

impl Character<'_> {
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(a), Self::One(b)) => a.overlaps(b),
            (Self::One(set), Self::Char(c)) | (Self::Char(c), Self::One(set)) => set.has(*c),
            (Self::Char(a), Self::Char(b)) => a == b,
        }
    }
}
