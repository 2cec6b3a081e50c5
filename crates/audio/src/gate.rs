//! A cheap filter before voice activity detection: the neural detector runs only where there may be speech.
//!
//! It has two stages, which judge frames of 16 ms. The first compares the level with the line's own noise floor (minimum
//! statistics, after R. Martin, "Noise power spectral density estimation based on optimal smoothing and minimum
//! statistics", 2001). The second is earshot, a small recurrent network, which sees only the frames that pass the first.
//!
//! The constants were chosen against Silero VAD. In the table, "100 of 98 %" means: 100 % of the 32 ms windows that Silero takes
//! for speech (probability 0.5) pass, and 98 % of all windows pass. The columns are read, telephone and meeting speech (AMI),
//! read and telephone speech with changing noise 10 dB below it, and steady noise of five levels:
//!
//! | stages | read | telephone | meeting | noisy | steady noise |
//! |---|---|---|---|---|---|
//! | level | 100 of 98 % | 100 of 98 % | 100 of 96 % | 99.7 of 97 % | 7 % |
//! | earshot | 100 of 93 % | 100 of 98 % | 100 of 70 % | 100 of 98 % | 1 % |
//! | both | 100 of 93 % | 100 of 98 % | 100 of 70 % | 99.9 of 96 % | 0 % |
//!
//! The level alone keeps out only steady noise, and earshot alone would cost its time in silence, too. Loud, changing noise
//! passes both (91 %): the detector behind the gate has to tell it from speech.

use earshot::Detector;

/// Samples in a frame: 16 ms, which is what earshot judges.
const FRAME: usize = 256;
/// Coefficient of the pre-emphasis filter, which removes hum and rumble: they carry energy but no words.
const PRE_EMPHASIS: f32 = 0.9;
/// Decibel above the noise floor from which a frame counts as loud. Steady noise varies by about 2 dB around its minimum. At
/// 3 dB, 1 % of the speech 10 dB above changing noise was lost, at 4 dB 3 %.
const MARGIN_DB: f32 = 2.5;
/// Decibel over one step of 16-bit PCM below which nobody can be understood: just above its own rounding noise.
const FAINTEST_DB: f32 = 6.0;
/// Frames over which the minimum level is taken: 1.5 s. The floor is the minimum of the last such stretch and the current one.
const FLOOR_FRAMES: u32 = 94;
/// Score of earshot from which a frame may be speech. The 0.5 of its authors lost 1 % of the noisy speech and 2 % of the
/// meeting; 0.4 still lost 0.4 %.
const MIN_SCORE: f32 = 0.3;
/// Frames for which the gate stays open after each frame that passed: 192 ms. So the detector behind sees the end of speech,
/// and the gate does not close in the gaps between words.
const HANG_OVER: u32 = 12;
/// Added to the power of a frame, so that the level of digital silence is finite.
const LEAST_POWER: f32 = 1e-3;

/// Says where one call's audio may hold speech. Takes about 9 KB of memory, most of it earshot's.
pub struct Gate {
    level: LevelGate,
    detector: Box<Detector>,
    hang_over: u32,
    /// The frame that is not full yet.
    partial: [i16; FRAME],
    /// How many samples of `partial` have arrived.
    filled: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate for a new call. While it learns the noise floor, frames pass on little evidence.
    pub fn new() -> Self {
        Self {
            level: LevelGate::new(),
            detector: Detector::default_boxed(),
            hang_over: 0,
            partial: [0; FRAME],
            filled: 0,
        }
    }

    /// Takes the next 16 kHz mono samples, any number of them. Returns whether they, or the 192 ms before them, may hold
    /// speech. It judges whole frames of 256 samples: pass multiples of that (512 for Silero) for a verdict on exactly
    /// these samples.
    pub fn push(&mut self, mut samples: &[i16]) -> bool {
        let mut open = self.hang_over > 0;
        while !samples.is_empty() {
            let taken = samples.len().min(FRAME - self.filled);
            self.partial[self.filled..][..taken].copy_from_slice(&samples[..taken]);
            self.filled += taken;
            samples = &samples[taken..];
            if self.filled == FRAME {
                self.filled = 0;
                open |= self.frame();
            }
        }
        open
    }

    fn frame(&mut self) -> bool {
        let speech =
            self.level.passes(&self.partial) && self.detector.predict_i16(&self.partial) >= MIN_SCORE;
        self.hang_over = if speech { HANG_OVER } else { self.hang_over.saturating_sub(1) };
        self.hang_over > 0
    }
}

/// The first stage: compares the level with the noise floor.
struct LevelGate {
    /// The last sample, for the pre-emphasis filter.
    previous: f32,
    /// Lowest level in the last stretch of [`FLOOR_FRAMES`], in decibel.
    last_minimum: f32,
    /// Lowest level so far in the current stretch, in decibel.
    minimum: f32,
    /// Frames in the current stretch.
    frames: u32,
    hang_over: u32,
}

impl LevelGate {
    fn new() -> Self {
        Self { previous: 0.0, last_minimum: f32::MAX, minimum: f32::MAX, frames: 0, hang_over: 0 }
    }

    fn passes(&mut self, frame: &[i16; FRAME]) -> bool {
        let level = self.level_db(frame);
        if self.frames == FLOOR_FRAMES {
            self.frames = 0;
            self.last_minimum = self.minimum;
            self.minimum = f32::MAX;
        }
        self.frames += 1;
        self.minimum = self.minimum.min(level);
        let floor = self.minimum.min(self.last_minimum);
        let loud = level > FAINTEST_DB && level > floor + MARGIN_DB;
        self.hang_over = if loud { HANG_OVER } else { self.hang_over.saturating_sub(1) };
        self.hang_over > 0
    }

    /// Mean power of a frame after pre-emphasis, in decibel over one step of 16-bit PCM.
    fn level_db(&mut self, frame: &[i16; FRAME]) -> f32 {
        let mut energy = 0.0;
        for &sample in frame {
            let sample = f32::from(sample);
            let emphasised = sample - PRE_EMPHASIS * self.previous;
            self.previous = sample;
            energy += emphasised * emphasised;
        }
        10.0 * (energy / FRAME as f32 + LEAST_POWER).log10()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use antiphon_testkit::testdata_files;

    use crate::testing::noise;
    use crate::{Ingest, decode_file};

    /// What Silero judges at a time.
    const WINDOW: usize = 512;

    /// The recordings of a folder whose names begin with `prefix`, at 16 kHz.
    fn clips(folder: &str, prefix: &str, extension: &str) -> Vec<Vec<i16>> {
        let mut paths = testdata_files(folder, extension);
        paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
        let read = |path| {
            let clip = decode_file(&std::fs::read(path).unwrap(), Duration::from_mins(5)).unwrap();
            let mut samples = Vec::new();
            let mut ingest = Ingest::new(clip.rate);
            ingest.samples(&clip.samples, &mut samples);
            samples
        };
        paths.into_iter().map(read).collect()
    }

    fn power(samples: &[i16]) -> f64 {
        samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64
    }

    /// Windows of clean speech that are voiced beyond doubt: within 20 dB of the clip's loudest.
    fn voiced(clean: &[i16]) -> Vec<bool> {
        let powers: Vec<_> = clean.chunks_exact(WINDOW).map(power).collect();
        let loudest = powers.iter().copied().fold(0.0, f64::max);
        powers.iter().map(|power| *power > loudest / 100.0).collect()
    }

    fn verdicts(samples: &[i16]) -> Vec<bool> {
        let mut gate = Gate::new();
        samples.chunks_exact(WINDOW).map(|window| gate.push(window)).collect()
    }

    /// Adds noise 10 dB below the voiced parts.
    fn noisy(clean: &[i16], noise: &[i16]) -> Vec<i16> {
        let voiced_samples: Vec<i16> = clean
            .chunks_exact(WINDOW)
            .zip(voiced(clean))
            .filter(|(_, voiced)| *voiced)
            .flat_map(|(window, _)| window.iter().copied())
            .collect();
        let gain = (power(&voiced_samples) / power(noise) / 10.0).sqrt();
        let mix = |(&speech, &noise): (&i16, &i16)| (f64::from(speech) + f64::from(noise) * gain) as i16;
        clean.iter().zip(noise.iter().cycle()).map(mix).collect()
    }

    #[test]
    fn voiced_windows_pass_clean_and_with_noise_10_db_below() {
        let folders = [("read_speech", "wav"), ("telephone_speech", "wav"), ("librispeech_other", "flac")];
        let noises = clips("noise", "noise", "wav");
        for (folder, extension) in folders {
            let clips = clips(folder, "", extension);
            for noise in std::iter::once(None).chain(noises.iter().map(Some)) {
                let (mut heard, mut speech, mut passed, mut windows) = (0, 0, 0, 0);
                for clean in &clips {
                    let passes = verdicts(&noise.map_or_else(|| clean.clone(), |noise| noisy(clean, noise)));
                    let voiced = voiced(clean);
                    heard +=
                        voiced.iter().zip(&passes).filter(|(voiced, passes)| **voiced && **passes).count();
                    speech += voiced.iter().filter(|voiced| **voiced).count();
                    passed += passes.iter().filter(|passes| **passes).count();
                    windows += passes.len();
                }
                let (recall, rate) = (heard as f64 / speech as f64, passed as f64 / windows as f64);
                println!("{folder}, noise {}: {recall:.4} of speech, {rate:.3} of all", noise.is_some());
                assert!(recall >= 0.995, "{folder}: {recall}");
            }
        }
    }

    #[test]
    fn silence_and_steady_noise_stay_out() {
        for level in [0, 1, 10, 100, 2_000] {
            let hiss: Vec<i16> =
                noise(320_000).iter().map(|&sample| (i32::from(sample) * level / 8_192) as i16).collect();
            let verdicts = verdicts(&hiss);
            let passed = verdicts.iter().filter(|passed| **passed).count();
            assert!(passed * 20 <= verdicts.len(), "level {level}: {passed} of {}", verdicts.len());
        }
    }

    #[test]
    fn pieces_of_any_size_are_judged_alike() {
        let clips = clips("read_speech", "spk1_snt1", "wav");
        let mut gate = Gate::new();
        for window in clips[0].chunks(WINDOW) {
            gate.push(window);
        }
        let mut pieces = Gate::new();
        for piece in clips[0].chunks(77) {
            pieces.push(piece);
        }
        assert_eq!(gate.hang_over, pieces.hang_over);
        assert_eq!(gate.filled, pieces.filled);
    }
}
