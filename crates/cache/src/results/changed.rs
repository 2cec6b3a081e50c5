//! Which queries a change may concern.

use super::record;
use crate::floats;

/// A query and a text at least so close have to do with each other: where the text comes or goes, what was found for
/// the query is forgotten. Of MiniLM's cosines, between queries and the three texts closest to each, whatever they are:
/// 99.5 % are at least so high for questions to an encyclopaedia (XQuAD), all for spoken questions to hotels (DSTC10)
/// and for questions about what persons said (LoCoMo); from 0.35 on, where `antiphon-memory` calls texts related, all
/// are. Of the other queries 10, 54 and 17 % are forgotten too, which costs a search each
/// (`cargo bench -p antiphon-cache --bench cache_results -- closeness`).
const CLOSE: f32 = 0.15;
/// Engines embed a text a little differently in each company.
const ROUNDING: f32 = 1e-3;

/// Texts that came or went.
#[derive(Default)]
pub(super) struct Changed {
    pub(super) texts: Vec<String>,
    pub(super) vectors: Vec<Vec<f32>>,
}

impl Changed {
    /// Whether the record of a query may have to be another one now. If one of the texts was found: all of it or its
    /// beginning, for whoever keeps a text may cut it. Or if it is close enough to be found: closer than the last one
    /// that was. So it is right for a store that goes by closeness, as long as it finds as much as is asked for, or
    /// nothing less close than [`CLOSE`]. In doubt, yes.
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
