//! The loudness of 16 kHz audio: where nobody speaks, and where speech can be cut.

use std::ops::Range;

/// Samples over which the quietness of a place is judged: 160 ms, about a pause between words.
const QUIET: usize = 2_560;
/// Audio whose root mean square (of 32,768) is below this holds no speech. The noise of a telephone line stays below
/// it; speech is about 20 dB louder.
const SILENCE: f64 = 60.0;
/// What is so far below the loudest holds no speech either, 26 dB: somebody far away speaks softly all the time, and may
/// stay below [`SILENCE`].
const BELOW_LOUDEST: f64 = 20.0;
/// What is fainter than this is the noise of 16-bit audio.
const FAINTEST: f64 = 3.0;
/// Audio whose loudest part stays below this root mean square, 30 dB below full scale, is amplified to it.
const SOFT: f64 = 1_036.0;
/// The most that audio is amplified, 30 dB.
const MOST_GAIN: f64 = 31.6;

/// Tells speech from the silence round it, in pieces of 20 ms. One serves a whole utterance: of its last seconds alone nobody could
/// say whether they are soft speech or the noise of the line after speech.
#[derive(Default)]
pub(crate) struct Loudness {
    loudest: f64,
}

impl Loudness {
    /// Whether the next piece may hold speech.
    pub(crate) fn is_loud(&mut self, piece: &[i16]) -> bool {
        let level = level(piece);
        self.loudest = self.loudest.max(level);
        level > (self.loudest / BELOW_LOUDEST).clamp(FAINTEST, SILENCE)
    }
}

/// By how much a stretch of speech is amplified before it is recognised: models know speech of usual loudness.
pub(crate) fn gain(samples: &[i16]) -> f32 {
    let loudest = samples.chunks(QUIET).map(level).fold(1.0, f64::max);
    (SOFT / loudest).clamp(1.0, MOST_GAIN) as f32
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
        let mut loudness = Loudness::default();
        assert!(loudness.is_loud(&samples[..320]) && !loudness.is_loud(&samples[20_000..20_320]));
    }

    #[test]
    fn soft_speech_is_no_silence_where_nobody_is_louder() {
        let mut loudness = Loudness::default();
        assert!(!loudness.is_loud(&[2; 320]), "noise of 16-bit audio");
        assert!(loudness.is_loud(&[20; 320]) && loudness.is_loud(&[5; 320]));
        assert!(loudness.is_loud(&[3_000; 320]) && !loudness.is_loud(&[20; 320]));
    }

    #[test]
    fn soft_speech_is_amplified_and_other_speech_is_not() {
        let of = |loudness: i16| gain(&[&[0; 4_000][..], &[loudness; 4_000]].concat());
        assert_eq!((of(3_000), of(0), of(10)), (1.0, 31.6, 31.6));
        assert!((of(100) - 10.36).abs() < 0.01);
    }
}
