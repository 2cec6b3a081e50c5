//! The bytes that a search's results are kept as, with the vector of the query.

use antiphon_core::{Passage, Recollection};
use bytes::Bytes;

use crate::floats;
use crate::written::{self, part, take, text};

/// A result of a search.
pub(super) trait Found: Send + Sized + 'static {
    fn row(&self) -> Row<'_>;
    fn of(row: Row<'_>) -> Self;
}

/// The parts of a result.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) text: &'a str,
    pub(super) source: &'a str,
    pub(super) relevance: f32,
}

impl Found for Passage {
    fn row(&self) -> Row<'_> {
        Row { text: &self.text, source: &self.source, relevance: self.relevance }
    }

    fn of(row: Row<'_>) -> Self {
        Self { text: row.text.to_owned(), source: row.source.to_owned(), relevance: row.relevance }
    }
}

impl Found for Recollection {
    fn row(&self) -> Row<'_> {
        Row { text: &self.text, source: "", relevance: self.relevance }
    }

    fn of(row: Row<'_>) -> Self {
        Self { text: row.text.to_owned(), relevance: row.relevance }
    }
}

/// Writes the vector, empty if it is not known, and the rows, each part with its length.
pub(super) fn write<F: Found>(vector: &[f32], found: &[F]) -> Bytes {
    let rows = found.iter().map(|found| found.row().text.len() + found.row().source.len() + 12);
    let mut out = Vec::with_capacity(4 + size_of_val(vector) + rows.sum::<usize>());
    out.extend((size_of_val(vector) as u32).to_le_bytes());
    floats::write(&mut out, vector);
    for Row { text, source, relevance } in found.iter().map(Found::row) {
        out.extend(relevance.to_le_bytes());
        for text in [text, source] {
            written::put(&mut out, text.as_bytes());
        }
    }
    out.into()
}

/// Reads the results; `None` if the bytes are damaged.
pub(super) fn read<F: Found>(bytes: &[u8]) -> Option<Vec<F>> {
    open(bytes)?.1.map(|row| row.map(F::of)).collect()
}

/// The vector's bytes and the rows; a row is `None` if it is damaged.
pub(super) fn open(mut bytes: &[u8]) -> Option<(&[u8], impl Iterator<Item = Option<Row<'_>>>)> {
    let vector = part(&mut bytes)?;
    let rows = std::iter::from_fn(move || {
        let row = (!bytes.is_empty()).then(|| row(&mut bytes))?;
        // Nothing behind a damaged row can be read.
        bytes = if row.is_some() { bytes } else { &[] };
        Some(row)
    });
    Some((vector, rows))
}

fn row<'a>(rest: &mut &'a [u8]) -> Option<Row<'a>> {
    let relevance = f32::from_le_bytes(take(rest)?);
    Some(Row { text: text(rest)?, source: text(rest)?, relevance })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passages() -> impl Strategy<Value = Vec<Passage>> {
        let passage = (".{0,20}", ".{0,8}", 0.0_f32..1.0);
        let passage = passage.prop_map(|(text, source, relevance)| Passage { text, source, relevance });
        prop::collection::vec(passage, 0..4)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(vector in prop::collection::vec(-1.0_f32..1.0, 0..5), found in passages()) {
            let bytes = write(&vector, &found);
            prop_assert_eq!(read(&bytes), Some(found));
            prop_assert_eq!(floats::read(open(&bytes).expect("whole").0, vector.len()), Some(vector));
        }

        #[test]
        fn what_is_cut_short_is_not_read(found in passages(), cut in 0_usize..100) {
            let bytes = write(&[0.5], &found);
            let cut = &bytes[..cut % bytes.len()];
            // A cut between two rows cannot be noticed, and gives the rows before it.
            prop_assert!(read::<Passage>(cut).is_none_or(|read| read == found[..read.len()]));
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = read::<Passage>(&bytes);
        }
    }
}
