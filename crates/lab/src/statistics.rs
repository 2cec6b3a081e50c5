//! Statistics of raw samples: exact percentiles, a rank test, and bootstrap intervals.
//!
//! All functions work in the unit of their samples. Samples that are NaN are left out; infinite ones count.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Up to this many samples on each side the rank test counts all arrangements; beyond, it uses the normal approximation.
const EXACT_LIMIT: usize = 20;
/// Coefficients of [`erfc`], the highest power first (Press et al., Numerical Recipes in C, 2nd edition, section 6.2, `erfcc`).
const ERFC: [f64; 10] = [
    0.170_872_77,
    -0.822_152_23,
    1.488_515_87,
    -1.135_203_98,
    0.278_868_07,
    -0.186_288_06,
    0.096_784_18,
    0.374_091_96,
    1.000_023_68,
    -1.265_512_23,
];

/// The result of the rank test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// Number of pairs in which the sample of `a` is the greater one; a tie counts as a half.
    pub u: f64,
    /// Two-sided probability of a `u` at least this far from its mean if both sides have the same distribution.
    pub p_value: f64,
}

/// A 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    /// The lower end of the interval.
    pub(crate) low: f64,
    /// The upper end of the interval.
    pub(crate) high: f64,
}

/// The nearest-rank percentile: the smallest sample that at least `share` (0 to 1) of all samples do not exceed.
///
/// `None` without samples. A share outside 0 to 1 is clamped.
pub fn percentile(samples: &[f64], share: f64) -> Option<f64> {
    let sorted = sorted(samples);
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The middle sample, or the mean of the two middle ones. `None` without samples.
pub fn median(samples: &[f64]) -> Option<f64> {
    let sorted = sorted(samples);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[sorted.len() / 2 - 1], upper) })
}

/// The arithmetic mean. `None` without samples.
pub fn mean(samples: &[f64]) -> Option<f64> {
    let (sum, count) =
        samples.iter().filter(|x| !x.is_nan()).fold((0.0, 0_usize), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Tests whether one of two sets of samples tends to be greater (Mann & Whitney 1947), two-sided.
///
/// The test is exact for up to 20 samples on each side without ties. Otherwise it is the normal approximation, corrected for ties
/// and for continuity. `None` when a side has no samples.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<MannWhitney> {
    let (a, b) = (sorted(a), sorted(b));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let mut all: Vec<(f64, bool)> =
        a.iter().map(|&x| (x, true)).chain(b.iter().map(|&x| (x, false))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));

    let (mut rank_sum, mut ties, mut ranked) = (0.0, 0.0, 0.0);
    for group in all.chunk_by(|x, y| x.0 == y.0) {
        let size = group.len() as f64;
        let of_a = group.iter().filter(|sample| sample.1).count() as f64;
        rank_sum += of_a * (ranked + f64::midpoint(size, 1.0));
        ties += size.powi(3) - size;
        ranked += size;
    }
    let u = rank_sum - (a.len() * (a.len() + 1)) as f64 / 2.0;

    let p_value = if ties == 0.0 && a.len().max(b.len()) <= EXACT_LIMIT {
        exact_p(a.len(), b.len(), u)
    } else {
        let (pairs, total) = ((a.len() * b.len()) as f64, ranked);
        let variance = pairs / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
        let distance = ((u - pairs / 2.0).abs() - 0.5).max(0.0);
        if variance > 0.0 { erfc(distance / (2.0 * variance).sqrt()) } else { 1.0 }
    };
    Some(MannWhitney { u, p_value })
}

/// The 95 % percentile-bootstrap interval (Efron 1979) of the values that `draw` returns when it is called `resamples` times.
/// Draws of `None` are left out.
pub(crate) fn bootstrap(
    resamples: usize,
    seed: u64,
    mut draw: impl FnMut(&mut SmallRng) -> Option<f64>,
) -> Option<Interval> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let draws: Vec<f64> = (0..resamples).filter_map(|_| draw(&mut rng)).collect();
    Some(Interval { low: percentile(&draws, 0.025)?, high: percentile(&draws, 0.975)? })
}

/// The ratio of the medians of two samples drawn with replacement.
pub(crate) fn resampled_ratio(baseline: &[f64], candidate: &[f64], rng: &mut SmallRng) -> Option<f64> {
    let below = resampled_median(baseline, rng)?;
    Some(resampled_median(candidate, rng)? / below)
}

fn resampled_median(samples: &[f64], rng: &mut SmallRng) -> Option<f64> {
    if samples.is_empty() {
        return None;
    }
    let drawn: Vec<f64> = samples.iter().map(|_| samples[rng.random_range(0..samples.len())]).collect();
    median(&drawn)
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Twice the share of the arrangements of `n` and `m` distinct samples whose U is as extreme as `u`.
///
/// The counts are the coefficients of the Gaussian binomial, the product of (1 - q^(m+i)) / (1 - q^i).
fn exact_p(n: usize, m: usize, u: f64) -> f64 {
    let most = n * m;
    let mut counts = vec![0.0; most + 1];
    counts[0] = 1.0;
    for i in 1..=n {
        for at in (m + i..=most).rev() {
            counts[at] -= counts[at - m - i];
        }
        for at in i..=most {
            counts[at] += counts[at - i];
        }
    }
    let extreme = u.min(most as f64 - u) as usize;
    let tail: f64 = counts[..=extreme].iter().sum();
    (2.0 * tail / counts.iter().sum::<f64>()).min(1.0)
}

/// The complementary error function for `x` >= 0, with a relative error of at most 1.2e-7.
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.5 * x);
    let series = ERFC.iter().fold(0.0, |sum, c| sum * t + c);
    t * (series - x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn percentiles_are_samples_at_the_nearest_rank() {
        let samples = [50.0, 15.0, 40.0, 20.0, 35.0];
        for (share, wanted) in
            [(0.0, 15.0), (0.05, 15.0), (0.3, 20.0), (0.4, 20.0), (0.5, 35.0), (1.0, 50.0), (7.0, 50.0)]
        {
            assert_eq!(percentile(&samples, share), Some(wanted), "{share}");
        }
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn middles_and_spread() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[f64::NAN, 1.0]), Some(1.0));
        assert_eq!(median(&[1.0, f64::INFINITY]), Some(f64::INFINITY));
        assert_eq!(mean(&[1.0, 2.0, f64::NAN, 6.0]), Some(3.0));
        assert_eq!(mean(&[]), None);
    }

    fn ratio_interval(baseline: &[f64], candidate: &[f64], seed: u64) -> Option<Interval> {
        bootstrap(400, seed, |rng| resampled_ratio(baseline, candidate, rng))
    }

    #[test]
    fn small_rank_tests_are_exact() {
        let below = mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).unwrap();
        assert_eq!(below.u, 0.0);
        close(below.p_value, 0.1, 1e-12);
        // Of the 20 arrangements 1, 1 and 2 have a U of 0, 1 and 2.
        let mixed = mann_whitney(&[1.0, 2.0, 5.0], &[3.0, 4.0, 6.0]).unwrap();
        assert_eq!(mixed.u, 2.0);
        close(mixed.p_value, 0.4, 1e-12);
        // Table of Mann & Whitney: U = 13 is the 5 % limit for 8 and 8 samples, U = 14 is beyond it.
        assert!(exact_p(8, 8, 13.0) < 0.05 && exact_p(8, 8, 14.0) > 0.05);
    }

    #[test]
    fn large_and_tied_rank_tests_take_the_normal_curve() {
        // The exact distribution is the yardstick of the approximation.
        let a: Vec<f64> = (0..20).map(f64::from).collect();
        let b: Vec<f64> = (0..20).map(|i| f64::from(i) + 4.5).collect();
        let exact = mann_whitney(&a, &b).unwrap();
        let (n, u) = (20.0_f64, exact.u);
        let normal = erfc(((u - n * n / 2.0).abs() - 0.5) / (2.0 * n * n * (2.0 * n + 1.0) / 12.0).sqrt());
        close(exact.p_value, normal, 0.002);

        let tied = mann_whitney(&[1.0, 1.0, 2.0, 2.0], &[2.0, 2.0, 3.0, 3.0]).unwrap();
        assert_eq!(tied.u, 2.0);
        // By hand: variance 16/12 * (9 - 72/56), distance 5.5, so z = 5.5 / 3.2071 = 1.7150.
        close(tied.p_value, 0.0863, 1e-3);
        assert_eq!(mann_whitney(&[1.0; 30], &[1.0; 30]).unwrap().p_value, 1.0);
        assert_eq!(mann_whitney(&[], &[1.0]), None);
    }

    #[test]
    fn the_error_function_is_known() {
        close(erfc(0.0), 1.0, 1e-6);
        close(erfc(1.0), 0.157_299_207, 1e-7);
        close(erfc(3.0) / 2.209_05e-5, 1.0, 1e-5);
    }

    #[test]
    fn the_bootstrap_covers_the_true_ratio() {
        let mut rng = SmallRng::seed_from_u64(3);
        let covered = (0..200)
            .filter(|&seed| {
                let mut draw = |scale: f64| -> Vec<f64> {
                    (0..40).map(|_| scale * (1.0 + rng.random::<f64>())).collect()
                };
                let (baseline, candidate) = (draw(10.0), draw(12.0));
                let interval = ratio_interval(&baseline, &candidate, seed).unwrap();
                interval.low <= 1.2 && 1.2 <= interval.high
            })
            .count();
        assert!((180..=199).contains(&covered), "{covered} of 200");
        assert_eq!(ratio_interval(&[1.0], &[], 0), None);
        assert_eq!(ratio_interval(&[1.0, 2.0], &[3.0, 5.0], 9), ratio_interval(&[1.0, 2.0], &[3.0, 5.0], 9));
    }
}
