//! Comfort noise: what a telephone sends while its user says nothing.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Peak of the noise in steps of 16-bit PCM. Its values are equally likely, so its RMS is 9 steps: the -65 dBm0 that the noise of an
/// idle telephone channel may have at most (ITU-T G.712), where a sine as loud as mu-law allows is +3.17 dBm0 (ITU-T G.711).
const PEAK: i16 = 15;
/// Seed of the noise, which is the same in every test.
const SEED: u64 = 1;

/// So many samples of noise.
pub(super) fn comfort_noise(samples: usize) -> Vec<i16> {
    let mut random = SmallRng::seed_from_u64(SEED);
    (0..samples).map(|_| random.random_range(-PEAK..=PEAK)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_is_as_loud_as_an_idle_channel() {
        let samples = comfort_noise(8_000);
        let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64;
        // A sine with the peak of mu-law, 32,124 steps, has half of its square as power.
        let dbm0 = 10.0 * (power / (32_124.0_f64.powi(2) / 2.0)).log10() + 3.17;
        assert!((-65.5..-64.5).contains(&dbm0), "{dbm0}");
    }
}
