//! Decides which queries a change may concern.

use super::record;
use crate::floats;

/// The cosine from which on a text may concern a query: when such a text comes or goes, the results of the query are dropped. Of
/// MiniLM's cosines between queries and the three texts closest to each, 99.5 % are at least this high for questions to an
/// encyclopaedia (XQuAD), and all are for spoken questions to hotels (DSTC10) and for questions about what persons said (LoCoMo),
/// as are all above 0.35, where `antiphon-memory` calls texts related. Of the other queries 10, 54 and 17 % are dropped as well,
/// which costs a search each
/// (`cargo bench -p antiphon-cache --bench cache_results -- closeness`).
const CLOSE: f32 = 0.15;
/// The tolerance for comparing cosines: the vector of a text differs slightly with the other texts of its batch.
const ROUNDING: f32 = 1e-3;

/// Texts that came or went.
#[derive(Default)]
pub(super) struct Changed {
    pub(super) texts: Vec<String>,
    pub(super) vectors: Vec<Vec<f32>>,
}

impl Changed {
    /// Whether the results of a query may be different now. They may if they contain one of the texts, or the beginning of one,
    /// since a store may cut texts; or if a text is close enough to be found, closer than the last result. This holds for stores
    /// that rank by closeness, if they either give as many results as are asked for or none less close than [`CLOSE`]. In doubt
    /// the answer is yes.
    pub(super) fn concerns(&self, record: &[u8]) -> bool {
        let Some((query, rows)) = record::open(record) else { return true };
        let (mut found, mut enough) = (false, CLOSE);
        for row in rows {
            let Some(row) = row else { return true };
            let was_found = |text: &String| text.starts_with(row.text) || row.text.starts_with(text.as_str());
            if self.texts.iter().any(was_found) {
                return true;
            }
            found = true;
            enough = enough.min(row.relevance - ROUNDING);
        }
        let close = |vector: &Vec<f32>| {
            floats::product(query, vector).is_none_or(|cosine| cosine.is_nan() || cosine >= enough)
        };
        !found || self.vectors.iter().any(close)
    }
}
