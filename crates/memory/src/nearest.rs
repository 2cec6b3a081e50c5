//! Nearest-neighbour search over unit vectors that compares all of them. It is exact, and for the few thousand vectors that one
//! process keeps in memory it is faster than any index.

/// Indices and cosines of the `limit` vectors nearest to `query`, the nearest first. Cosines below `floor` are left out.
pub(crate) fn nearest<'a>(
    query: &[f32],
    vectors: impl Iterator<Item = &'a [f32]>,
    limit: usize,
    floor: f32,
) -> Vec<(usize, f32)> {
    let cosine = |vector: &[f32]| query.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
    let mut found: Vec<_> = vectors.map(cosine).enumerate().filter(|(_, cosine)| *cosine >= floor).collect();
    let limit = limit.min(found.len());
    if limit == 0 {
        return Vec::new();
    }
    found.select_nth_unstable_by(limit - 1, |a, b| b.1.total_cmp(&a.1));
    found.truncate(limit);
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_sorting_all(
            vectors in prop::collection::vec(prop::array::uniform3(-1.0_f32..1.0), 0..40),
            query in prop::array::uniform3(-1.0_f32..1.0),
            limit in 0_usize..10,
        ) {
            let found = nearest(&query, vectors.iter().map(<[f32; 3]>::as_slice), limit, 0.1);
            let mut all: Vec<f32> = vectors.iter().map(|v| v.iter().zip(&query).map(|(a, b)| a * b).sum()).collect();
            all.retain(|cosine| *cosine >= 0.1);
            all.sort_by(|a, b| b.total_cmp(a));
            all.truncate(limit);
            prop_assert_eq!(found.iter().map(|(_, cosine)| *cosine).collect::<Vec<_>>(), all);
        }
    }
}
