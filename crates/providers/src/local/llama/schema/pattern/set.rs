//! Sets of characters, as a pattern's class names them and a grammar needs them.

/// What may stand in a JSON string without an escape.
const ALLOWED: &[(char, char)] =
    &[(' ', '!'), ('#', '['), (']', '~'), ('\u{80}', '\u{D7FF}'), ('\u{E000}', '\u{10FFFF}')];

/// Characters in ranges that do not overlap.
pub(super) struct Set(Vec<(u32, u32)>);

impl Set {
    /// Those of the characters in these ranges that may stand in a JSON string as they are, or all others that may.
    pub(super) fn of(ranges: &[(char, char)], is_negated: bool) -> Self {
        let outside = ALLOWED.iter().map(|(from, to)| (u32::from(*from), u32::from(*to))).collect();
        let outside = ranges.iter().fold(outside, |left, range| without(left, *range));
        if is_negated {
            return Self(outside);
        }
        let inside = ALLOWED.iter().map(|(from, to)| (u32::from(*from), u32::from(*to))).collect();
        let ends = |(from, to)| Some((char::from_u32(from)?, char::from_u32(to)?));
        Self(outside.into_iter().filter_map(ends).fold(inside, without))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = (char, char)> {
        self.0.iter().filter_map(|(from, to)| Some((char::from_u32(*from)?, char::from_u32(*to)?)))
    }

    /// Whether a character is in both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|(from, to)| other.0.iter().any(|(start, end)| from <= end && start <= to))
    }

    /// Whether one of the characters in this range is in it.
    pub(super) fn has(&self, c: char) -> bool {
        self.0.iter().any(|(from, to)| (from..=to).contains(&&u32::from(c)))
    }
}

/// What is left of ranges without another.
fn without(ranges: Vec<(u32, u32)>, (start, end): (char, char)) -> Vec<(u32, u32)> {
    let (start, end) = (u32::from(start), u32::from(end));
    let cut = |(from, to): (u32, u32)| {
        let before = (from < start).then(|| (from, to.min(start.saturating_sub(1))));
        let behind = (to > end).then(|| (from.max(end + 1), to));
        before.into_iter().chain(behind)
    };
    ranges.into_iter().flat_map(cut).collect()
}
