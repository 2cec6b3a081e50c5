//! Voice activity detection by level alone: it needs no model and costs next to nothing.
//!
//! How likely a window is speech follows from how far it rises above the line's own noise. The noise is the lowest
//! level of the last seconds (minimum statistics, after R. Martin, "Noise power spectral density estimation based on
//! optimal smoothing and minimum statistics", 2001). It cannot tell speech from other sounds that come and go.

use antiphon_core::{BoxStream, MediaTime, SampleRate, Vad, VadStream, VoiceProbability};

use super::voice::{Probabilities, channel};

/// Samples judged at once: 32 ms at 16 kHz, the rhythm of the neural detector.
const WINDOW: usize = 512;
/// Factor of the high-pass filter that removes hum and rumble, which carry energy but no words.
const PRE_EMPHASIS: f32 = 0.9;
/// Level above the noise, in decibel, at which speech is as likely as not. Of 6, 9, 12 and 15 dB, this agreed best with
/// Silero VAD on read, telephone and meeting speech: in 90 % of the windows.
const EVEN_DB: f32 = 9.0;
/// Change of level, in decibel, that multiplies the odds of speech by e: a window 4 dB above `EVEN_DB` is speech with
/// a probability of 88 %.
const SLOPE_DB: f32 = 2.0;
/// The faintest noise that is assumed, in decibel above one step of 16-bit PCM: after digital silence even a breath
/// would count as speech otherwise.
const FAINTEST_DB: f32 = 15.0;
/// Windows over which the lowest level is taken: 1.5 s. The noise is the lower one of the last such stretch and the
/// current one.
const FLOOR_WINDOWS: u32 = 47;
/// Weight of the newest window in the smoothed level, which bridges the dips between syllables.
const SMOOTHING: f32 = 0.5;

/// The detector that judges by level.
#[derive(Debug, Default)]
pub struct EnergyVad;

impl Vad for EnergyVad {
    fn name(&self) -> &'static str {
        "energy"
    }

    fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>) {
        let (output, probabilities) = channel();
        (Box::new(Input { output, level: Level::new(), energy: 0.0, filled: 0, judged: 0 }), probabilities)
    }
}

/// The input of one call.
struct Input {
    output: Probabilities,
    level: Level,
    energy: f32,
    filled: usize,
    judged: u64,
}

impl VadStream for Input {
    fn push(&mut self, samples: &[i16]) {
        for sample in samples {
            let emphasised = self.level.emphasised(*sample);
            self.energy += emphasised * emphasised;
            self.filled += 1;
            if self.filled == WINDOW {
                let probability = self.level.probability(self.energy / WINDOW as f32);
                self.judged += WINDOW as u64;
                let at = MediaTime::from_samples(self.judged, SampleRate::HZ_16000);
                self.output.send(VoiceProbability { at, probability });
                (self.energy, self.filled) = (0.0, 0);
            }
        }
    }
}

/// The level of one call and of the noise on its line.
struct Level {
    previous: f32,
    smooth_db: f32,
    last_minimum: f32,
    minimum: f32,
    windows: u32,
}

impl Level {
    fn new() -> Self {
        Self { previous: 0.0, smooth_db: FAINTEST_DB, last_minimum: f32::MAX, minimum: f32::MAX, windows: 0 }
    }

    fn emphasised(&mut self, sample: i16) -> f32 {
        let sample = f32::from(sample);
        let emphasised = sample - PRE_EMPHASIS * self.previous;
        self.previous = sample;
        emphasised
    }

    /// The probability that a window of this mean power is speech.
    fn probability(&mut self, power: f32) -> f32 {
        // The small addition keeps the logarithm of a window of zeros finite.
        let level = 10.0 * (power + 1e-3).log10();
        self.smooth_db += SMOOTHING * (level - self.smooth_db);
        if self.windows == FLOOR_WINDOWS {
            self.windows = 0;
            self.last_minimum = self.minimum;
            self.minimum = f32::MAX;
        }
        self.windows += 1;
        self.minimum = self.minimum.min(level);
        let noise = self.minimum.min(self.last_minimum).max(FAINTEST_DB);
        1.0 / (1.0 + ((EVEN_DB - (self.smooth_db - noise)) / SLOPE_DB).exp())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    async fn judge(samples: &[i16]) -> Vec<f32> {
        let (mut input, output) = EnergyVad.open();
        let judged = tokio::spawn(output.map(|v| v.probability).collect::<Vec<_>>());
        for piece in samples.chunks(320) {
            input.push(piece);
            tokio::task::yield_now().await;
        }
        drop(input);
        judged.await.expect("ran")
    }

    fn noise(samples: usize, loudness: i16) -> Vec<i16> {
        let random = |n: u32| (n.wrapping_mul(2_654_435_761) >> 17) as i16;
        (0..samples as u32).map(|n| random(n) / (i16::MAX / loudness)).collect()
    }

    #[tokio::test]
    async fn silence_and_steady_noise_are_no_speech() {
        for samples in [vec![0; 64_000], noise(64_000, 500), noise(64_000, 5_000)] {
            let judged = judge(&samples).await;
            assert_eq!(judged.len(), 125);
            // The first windows may be taken for speech: the noise of the line is not known yet.
            assert!(judged[5..].iter().all(|p| *p < 0.5), "{judged:?}");
        }
    }

    #[tokio::test]
    async fn what_rises_above_the_noise_is_speech() {
        let mut samples = noise(32_000, 500);
        samples.extend(noise(16_000, 5_000));
        samples.extend(noise(32_000, 500));
        let judged = judge(&samples).await;
        assert!(judged[66..90].iter().all(|p| *p > 0.5), "{judged:?}");
        assert!(judged[100..].iter().all(|p| *p < 0.5), "{judged:?}");
    }

    #[tokio::test]
    async fn speech_is_found_in_a_recording() {
        let mut samples = noise(32_000, 20);
        samples.extend(antiphon_testkit::wav16("read_speech/spk1_snt1.wav"));
        let judged = judge(&samples).await;
        assert!(judged[5..60].iter().all(|p| *p < 0.5), "{judged:?}");
        assert!(judged[60..].iter().filter(|p| **p > 0.5).count() * 2 > judged.len() - 60);
    }
}
