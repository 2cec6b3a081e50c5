//! The signed-rank test of paired samples.

use std::iter::repeat_n;

/// The two-sided p-value of Wilcoxon's signed-rank test (1945): the probability of ranks at least as one-sided as these if the
/// differences of the pairs are symmetric around zero.
///
/// The test is exact: it counts all assignments of signs. Differences of zero are left out, and tied ones share their mean rank.
/// Without differences the result is 1. The time that it takes grows with the cube of their number.
pub(super) fn signed_rank(differences: &[f64]) -> f64 {
    let mut differences: Vec<f64> = differences.iter().copied().filter(|d| d.abs() > 0.0).collect();
    differences.sort_by(|a, b| a.abs().total_cmp(&b.abs()));

    // These are twice the ranks, so that shared ranks are whole numbers, too.
    let mut ranks = Vec::with_capacity(differences.len());
    let mut positive = 0;
    for group in differences.chunk_by(|a, b| a.abs() == b.abs()) {
        let rank = 2 * ranks.len() + group.len() + 1;
        positive += rank * group.iter().filter(|d| **d > 0.0).count();
        ranks.extend(repeat_n(rank, group.len()));
    }

    let total: usize = ranks.iter().sum();
    let mut chances = vec![0.0; total + 1];
    chances[0] = 1.0;
    for rank in ranks {
        for sum in (0..=total).rev() {
            let with = if sum >= rank { chances[sum - rank] } else { 0.0 };
            chances[sum] = f64::midpoint(chances[sum], with);
        }
    }
    let extreme = positive.min(total - positive);
    (2.0 * chances[..=extreme].iter().sum::<f64>()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_exact() {
        let close = |differences: &[f64], p: f64| {
            let found = signed_rank(differences);
            assert!((found - p).abs() < 1e-12, "{found} is not {p}");
        };
        // One, one, one and two of the 32 assignments have a rank sum of 0, 1, 2 and 3.
        close(&[1.0, 2.0, 3.0, 4.0, 5.0], 2.0 / 32.0);
        close(&[-1.0, 2.0, 3.0, 4.0, 5.0], 4.0 / 32.0);
        close(&[1.0, 2.0, -3.0, 4.0, 5.0], 10.0 / 32.0);
        close(&[1.0, -1.0], 1.0);
        close(&[0.0, f64::NAN, 0.5], 1.0);
        close(&[], 1.0);
        // Three ties of rank 2: the sums 0 and 2 have 1 and 3 of 8 assignments.
        close(&[7.0, -7.0, 7.0], 1.0);
        close(&[7.0, 7.0, 7.0], 0.25);
    }

    #[test]
    fn swapping_the_sides_changes_nothing() {
        let differences = [0.3, -0.1, 0.7, 0.2, -0.4, 0.9, 1.1];
        let swapped = differences.map(|d| -d);
        assert_eq!(signed_rank(&differences), signed_rank(&swapped));
    }
}
