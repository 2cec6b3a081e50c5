//! The loudness of 16 kHz audio: where nobody speaks, and where speech can be cut.

use std::ops::Range;

/// Samples over which the quietness of a place is judged: 160 ms, about a pause between words.
const QUIET: usize = 2_560;
/// Audio whose root mean square (of 32,768) is below this holds no speech. The noise of a telephone line stays below
/// it; speech is about 20 dB louder.
const SILENCE: f64 = 60.0;

/// Whether a piece of audio may hold speech.
pub(crate) fn is_loud(piece: &[i16]) -> bool {
    level(piece) > SILENCE
}

/// Whether nothing at all was recorded, or what was recorded was taken out.
pub(crate) fn is_digital_silence(piece: &[i16]) -> bool {
    piece.iter().all(|sample| sample.unsigned_abs() <= 1)
}

/// The middle of the quietest place within a range of samples; the end of the range if it is too short to judge.
pub(crate) fn quietest(samples: &[i16], within: Range<usize>) -> usize {
    (within.start..within.end.saturating_sub(QUIET))
        .step_by(QUIET / 4)
        .min_by(|a, b| level(&samples[*a..a + QUIET]).total_cmp(&level(&samples[*b..b + QUIET])))
        .map_or(within.end, |at| at + QUIET / 2)
}

/// The root mean square of the samples.
fn level(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_found_and_noise_has_none() {
        let mut samples = vec![3_000; 48_000];
        samples[20_000..24_000].fill(0);
        assert!((20_000..24_000).contains(&quietest(&samples, 0..48_000)));
        assert_eq!(quietest(&samples, 10..20), 20);
        assert!(is_loud(&samples[..320]) && !is_loud(&samples[20_000..20_320]));
    }
}
