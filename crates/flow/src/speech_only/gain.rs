//! Makes audio as loud as the detector was trained on, so that quiet speech is noticed.

/// The root mean square that the loudest part of the last seconds gets: 20 dB below full scale, as loud as read speech.
const LOUDNESS: f32 = 3_277.0;
/// The most that audio is amplified: 30 dB. What is fainter drowns in the noise of 16-bit audio.
const MOST: f32 = 31.6;
/// By how much the loudest is forgotten in a window of 32 ms: to a half in 3 s, so that a quiet person after a loud one is noticed.
const FORGETS: f32 = 0.992_6;

/// The gain of one stream.
#[derive(Default)]
pub(super) struct Gain {
    loudest: f32,
}

impl Gain {
    /// Amplifies a window; gives the root mean square that it had.
    pub(super) fn apply(&mut self, window: &mut [i16]) -> f32 {
        let power = window.iter().map(|s| f32::from(*s) * f32::from(*s)).sum::<f32>() / window.len() as f32;
        let level = power.sqrt();
        self.loudest = level.max(self.loudest * FORGETS);
        let gain = (LOUDNESS / self.loudest.max(1.0)).clamp(1.0, MOST);
        for sample in window {
            *sample = (f32::from(*sample) * gain) as i16;
        }
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of so many windows of this loudness, the last one after it was amplified.
    fn amplified(gain: &mut Gain, loudness: i16, windows: usize) -> i16 {
        let mut window = [0; 512];
        for _ in 0..windows {
            window.fill(loudness);
            assert!((gain.apply(&mut window) - f32::from(loudness)).abs() < 1.0, "what it was");
        }
        window[0]
    }

    #[test]
    fn quiet_audio_is_amplified_and_loud_audio_is_left_alone() {
        assert!((3_200..3_300).contains(&amplified(&mut Gain::default(), 200, 30)));
        assert_eq!(amplified(&mut Gain::default(), 8_000, 30), 8_000);
        assert_eq!(amplified(&mut Gain::default(), 10, 30), 316, "30 dB at most");
        assert_eq!(amplified(&mut Gain::default(), 0, 30), 0);
    }

    #[test]
    fn somebody_quiet_after_somebody_loud_is_amplified_again_after_some_seconds() {
        let mut gain = Gain::default();
        amplified(&mut gain, 8_000, 30);
        assert_eq!(amplified(&mut gain, 200, 1), 200, "beside somebody loud it is left alone");
        assert!(amplified(&mut gain, 200, 600) > 3_000);
    }
}
