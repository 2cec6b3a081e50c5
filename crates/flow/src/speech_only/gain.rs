//! Makes audio as loud as the detector was trained on, so that quiet speech is noticed.

/// The root mean square that the loudest part of the last seconds gets: 20 dB below full scale, as loud as read speech.
const LOUDNESS: f32 = 3_277.0;
/// The most that audio is amplified: 30 dB. What is fainter drowns in the noise of 16-bit audio.
const MOST: f32 = 31.6;
/// Samples whose loudness is taken together: 32 ms.
const WINDOW: usize = 512;
/// By how much the loudest is forgotten in a window: to a half in 3 s, so that a quiet person after a loud one is noticed.
const FORGETS: f32 = 0.992_6;

/// The gain of one stream.
#[derive(Default)]
pub(super) struct Gain {
    loudest: f32,
}

impl Gain {
    /// The samples, amplified.
    pub(super) fn applied_to(&mut self, samples: &[i16]) -> Vec<i16> {
        let mut out = Vec::with_capacity(samples.len());
        for window in samples.chunks(WINDOW) {
            let power =
                window.iter().map(|s| f32::from(*s) * f32::from(*s)).sum::<f32>() / window.len() as f32;
            self.loudest = power.sqrt().max(self.loudest * FORGETS);
            let gain = (LOUDNESS / self.loudest.max(1.0)).clamp(1.0, MOST);
            out.extend(window.iter().map(|sample| (f32::from(*sample) * gain) as i16));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(samples: &[i16]) -> f32 {
        (samples.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn quiet_audio_is_amplified_and_loud_audio_is_left_alone() {
        let quiet = Gain::default().applied_to(&vec![200; 16_000]);
        assert!((3_200.0..3_300.0).contains(&level(&quiet)), "{}", level(&quiet));
        let loud = vec![8_000; 16_000];
        assert_eq!(Gain::default().applied_to(&loud), loud);
        let faint = Gain::default().applied_to(&vec![10; 16_000]);
        assert!(level(&faint) < 320.0, "30 dB at most: {}", level(&faint));
        assert_eq!(Gain::default().applied_to(&[0; 100]), vec![0; 100]);
    }

    #[test]
    fn somebody_quiet_after_somebody_loud_is_amplified_again_after_some_seconds() {
        let mut gain = Gain::default();
        gain.applied_to(&vec![8_000; 16_000]);
        assert_eq!(gain.applied_to(&[200; 512])[0], 200);
        let later = gain.applied_to(&vec![200; 20 * 16_000]);
        assert!(later.last().is_some_and(|last| *last > 3_000), "{:?}", later.last());
    }
}
