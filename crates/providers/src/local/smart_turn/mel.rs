//! Log-mel features for the smart-turn v3 end-of-turn model, equal to those of Whisper's feature extractor.
//!
//! Method: `WhisperFeatureExtractor(chunk_length=8)` of Hugging Face Transformers (Apache-2.0), with the audio at
//! the end of the window, as pipecat's `LocalSmartTurnAnalyzerV3` feeds the model.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

/// Samples that the model takes: 8 s at 16 kHz.
const WINDOW: usize = 128_000;
/// Samples in a second.
const RATE: f64 = 16_000.0;
/// Samples of one spectrum: 25 ms.
const SPECTRUM: usize = 400;
/// Frequencies of one spectrum.
const BINS: usize = SPECTRUM / 2 + 1;
/// Samples from one spectrum to the next: 10 ms.
const HOP: usize = 160;
/// Samples mirrored at both ends of the window, so that the first and last spectrum are centred on its ends.
const PAD: usize = SPECTRUM / 2;
/// Added to the variance, so that silence does not divide by zero.
const VARIANCE_FLOOR: f64 = 1e-7;
/// The least power of a band, so that its logarithm is finite.
const POWER_FLOOR: f32 = 1e-10;
/// Powers of ten below the loudest feature at which quieter ones are cut off.
const RANGE: f32 = 8.0;
/// Slaney's mel scale is linear up to 1 kHz, which is 15 mel.
const LINEAR_HERTZ: f64 = 1_000.0;
const LINEAR_MEL: f64 = 15.0;
/// Above that it is logarithmic: 27 mel for each factor of 6.4.
const MEL_PER_STEP: f64 = 27.0;
const STEP: f64 = 6.4;

/// Computes features. Keeps its tables and buffers for the next time.
pub(super) struct LogMel {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: [f32; SPECTRUM],
    filters: Vec<MelFilter>,
    padded: Vec<f32>,
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    power: [f32; BINS],
}

/// One triangular filter: its weights from bin `first` on.
struct MelFilter {
    first: usize,
    weights: Vec<f32>,
}

impl LogMel {
    /// Number of mel bands.
    pub(super) const BANDS: usize = 80;
    /// Number of points in time, 10 ms apart.
    pub(super) const FRAMES: usize = WINDOW / HOP;

    /// Computes the window and the filters, which stay the same for all audio.
    pub(super) fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(SPECTRUM);
        Self {
            hann: std::array::from_fn(|n| (0.5 - 0.5 * (TAU * n as f64 / SPECTRUM as f64).cos()) as f32),
            filters: slaney_filters(),
            padded: vec![0.0; WINDOW + SPECTRUM],
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: [0.0; BINS],
            fft,
        }
    }

    /// The features of the last 8 s of `audio` (16 kHz mono; less is filled with silence in front): replaces
    /// `features` by [`Self::BANDS`] rows of [`Self::FRAMES`], about -1 to 1.
    pub(super) fn features(&mut self, audio: &[i16], features: &mut Vec<f32>) {
        self.normalise(&audio[audio.len().saturating_sub(WINDOW)..]);
        features.clear();
        features.resize(Self::BANDS * Self::FRAMES, 0.0);
        for frame in 0..Self::FRAMES {
            self.power_spectrum(frame * HOP);
            for (band, filter) in self.filters.iter().enumerate() {
                let bins = &self.power[filter.first..][..filter.weights.len()];
                let power: f32 = bins.iter().zip(&filter.weights).map(|(bin, weight)| bin * weight).sum();
                features[band * Self::FRAMES + frame] = power.max(POWER_FLOOR).log10();
            }
        }
        let loudest = features.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for feature in features {
            *feature = (feature.max(loudest - RANGE) + 4.0) / 4.0;
        }
    }

    /// Fills `padded`: silence, then `audio`, all with zero mean and unit variance, mirrored at both ends.
    fn normalise(&mut self, audio: &[i16]) {
        let count = WINDOW as f64;
        let sum: i64 = audio.iter().map(|&sample| i64::from(sample)).sum();
        let squares: i64 = audio.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum();
        let mean = sum as f64 / count / 32_768.0;
        let variance = squares as f64 / count / 32_768.0f64.powi(2) - mean * mean;
        let gain = 1.0 / (variance.max(0.0) + VARIANCE_FLOOR).sqrt();
        let scale = |sample: f64| ((sample / 32_768.0 - mean) * gain) as f32;

        let (silence, speech) = self.padded[PAD..PAD + WINDOW].split_at_mut(WINDOW - audio.len());
        silence.fill(scale(0.0));
        for (padded, &sample) in speech.iter_mut().zip(audio) {
            *padded = scale(f64::from(sample));
        }
        for n in 0..PAD {
            self.padded[PAD - 1 - n] = self.padded[PAD + 1 + n];
            self.padded[PAD + WINDOW + n] = self.padded[PAD + WINDOW - 2 - n];
        }
    }

    fn power_spectrum(&mut self, start: usize) {
        let samples = &self.padded[start..start + SPECTRUM];
        for ((frame, sample), hann) in self.frame.iter_mut().zip(samples).zip(&self.hann) {
            *frame = sample * hann;
        }
        let (input, output) = (&mut self.frame, &mut self.spectrum);
        // Fails only for buffers of a wrong length, and these were made by the transform itself.
        if self.fft.process_with_scratch(input, output, &mut self.scratch).is_ok() {
            for (power, bin) in self.power.iter_mut().zip(output) {
                *power = bin.norm_sqr();
            }
        }
    }
}

/// Triangular filters, evenly spaced on the mel scale from 0 to 8 kHz, each with the same area.
fn slaney_filters() -> Vec<MelFilter> {
    let highest = hertz_to_mel(RATE / 2.0);
    let edge = |n: usize| mel_to_hertz(highest * n as f64 / (LogMel::BANDS + 1) as f64);
    (0..LogMel::BANDS)
        .map(|band| {
            let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
            let weight = |bin: usize| {
                let hertz = bin as f64 * RATE / SPECTRUM as f64;
                let slope = ((hertz - low) / (middle - low)).min((high - hertz) / (high - middle));
                (slope * 2.0 / (high - low)) as f32
            };
            let first = (0..BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first..BINS).map(weight).take_while(|weight| *weight > 0.0).collect();
            MelFilter { first, weights }
        })
        .collect()
}

fn hertz_to_mel(hertz: f64) -> f64 {
    if hertz < LINEAR_HERTZ {
        hertz * LINEAR_MEL / LINEAR_HERTZ
    } else {
        LINEAR_MEL + (hertz / LINEAR_HERTZ).ln() * MEL_PER_STEP / STEP.ln()
    }
}

fn mel_to_hertz(mel: f64) -> f64 {
    if mel < LINEAR_MEL {
        mel * LINEAR_HERTZ / LINEAR_MEL
    } else {
        LINEAR_HERTZ * ((mel - LINEAR_MEL) * STEP.ln() / MEL_PER_STEP).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_testkit::wav16;

    fn noise(samples: usize) -> Vec<i16> {
        (0..samples as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 18) as i16 / 2).collect()
    }

    fn features(audio: &[i16]) -> Vec<f32> {
        let mut features = Vec::new();
        LogMel::new().features(audio, &mut features);
        assert_eq!(features.len(), LogMel::BANDS * LogMel::FRAMES);
        features
    }

    fn check(audio: &[i16], expected: &[(usize, usize, f32)], mean: f64) {
        let features = features(audio);
        for &(band, frame, value) in expected {
            let ours = features[band * LogMel::FRAMES + frame];
            assert!((ours - value).abs() < 1e-4, "band {band}, frame {frame}: {ours}, not {value}");
        }
        let ours = features.iter().copied().map(f64::from).sum::<f64>() / features.len() as f64;
        assert!((ours - mean).abs() < 1e-6, "mean {ours}, not {mean}");
    }

    // Expected values: pipecat-ai 1.14.0, compute_whisper_log_mel_features.

    #[test]
    fn a_short_clip_gives_the_features_of_the_reference() {
        let clip = wav16("read_speech/spk1_snt1.wav");
        let expected = [
            (0, 799, 0.49302),
            (5, 700, 1.55710),
            (10, 600, 1.59258),
            (20, 650, 0.61496),
            (40, 640, 1.04026),
            (60, 720, 0.13436),
            (79, 610, 0.35950),
            (3, 0, -0.08378),
            (30, 799, 0.62889),
        ];
        check(&clip, &expected, 0.191_058);
    }

    #[test]
    fn only_the_last_eight_seconds_of_a_long_clip_count() {
        // The recording has another sample rate, which does not matter for this comparison.
        let clip = wav16("read_speech/two_cities.wav");
        let expected = [
            (0, 799, 1.43533),
            (5, 700, 0.69557),
            (10, 600, 1.48678),
            (20, 650, 0.64538),
            (40, 640, 1.35201),
            (60, 720, -0.08896),
            (79, 610, 0.05768),
            (3, 0, 1.20723),
            (30, 799, 0.28947),
        ];
        check(&clip[..200_000], &expected, 0.432_535);
    }

    #[test]
    fn silence_and_nothing_are_finite() {
        for audio in [&[][..], &[0; 1_000], &[i16::MIN; 1_000]] {
            assert!(features(audio).iter().all(|feature| feature.is_finite()));
        }
    }

    #[test]
    fn a_second_clip_is_not_coloured_by_the_first() {
        let (first, second) = (noise(200_000), noise(5_000));
        let mut mel = LogMel::new();
        let mut again = Vec::new();
        mel.features(&first, &mut again);
        mel.features(&second, &mut again);
        assert_eq!(again, features(&second));
    }
}
