//! Confidence bounds on a share.

/// The probability with which a bound of 95 % confidence does not hold.
pub(super) const OUTSIDE: f64 = 0.05;
/// Bisections to find a root, which make it exact to 1e-12.
const STEPS: usize = 40;

/// The exact lower bound on a probability of which `hits` of `trials` were seen: it is below with probability `outside`
/// (Clopper and Pearson, 1934).
pub(super) fn lower(hits: u32, trials: u32, outside: f64) -> f64 {
    if hits == 0 { 0.0 } else { root(|p| 1.0 - at_most(hits - 1, trials, p) - outside) }
}

/// The exact upper bound on that probability; 1 where nothing was tried.
pub(super) fn upper(hits: u32, trials: u32, outside: f64) -> f64 {
    if hits >= trials { 1.0 } else { root(|p| outside - at_most(hits, trials, p)) }
}

/// The root of an increasing function on 0..1.
fn root(function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if function(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The probability of at most `hits` hits in `trials` trials of probability `p` each.
fn at_most(hits: u32, trials: u32, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return f64::from(hits >= trials);
    }
    let mut log_term = f64::from(trials) * (1.0 - p).ln();
    let mut sum = log_term.exp();
    for hit in 1..=hits.min(trials) {
        log_term += (f64::from(trials - hit + 1) / f64::from(hit)).ln() + (p / (1.0 - p)).ln();
        sum += log_term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_books() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-4;
        assert!(near(upper(0, 299, 0.05), 0.00997) && near(upper(0, 59, 0.05), 0.04951));
        assert!(near(upper(2, 100, 0.05), 0.06162) && near(lower(2, 100, 0.05), 0.00357));
        assert!(near(upper(5, 10, 0.025), 0.81291) && near(lower(5, 10, 0.025), 0.18709));
        assert_eq!((lower(0, 0, 0.05), upper(0, 0, 0.05), upper(7, 7, 0.05)), (0.0, 1.0, 1.0));
        assert!(upper(10, 1000, 0.05) < 0.0170 && lower(10, 1000, 0.05) > 0.0054);
    }
}
