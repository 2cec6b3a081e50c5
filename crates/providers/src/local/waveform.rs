//! From the output of a voice's model to samples that can be played.

/// Samples below this (of 1) are silence: 46 dB below full scale.
const SILENCE: f32 = 0.005;
/// Silence kept before the first sound. More would be latency, and without any the sound begins with a click.
const LEAD_IN_S: f32 = 0.02;
/// Silence kept after the last sound, as a pause before the next clause.
const LEAD_OUT_S: f32 = 0.15;
/// The largest sample (of 1), with room for the overshoot of resampling.
const PEAK: f32 = 0.9;

/// Cuts silence at both ends and converts samples from -1..1 to 16 bits. Audio that would clip is made quieter.
pub(crate) fn finish(audio: &[f32], rate: f32) -> Vec<i16> {
    let loud = |sample: &f32| sample.abs() > SILENCE;
    let (Some(first), Some(last)) = (audio.iter().position(loud), audio.iter().rposition(loud)) else {
        return Vec::new();
    };
    let from = first.saturating_sub((LEAD_IN_S * rate) as usize);
    let to = (last + 1 + (LEAD_OUT_S * rate) as usize).min(audio.len());
    let peak = audio.iter().fold(PEAK, |peak, sample| peak.max(sample.abs()));
    let scale = PEAK / peak * f32::from(i16::MAX);
    audio[from..to].iter().map(|sample| (sample * scale) as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_cut_and_nothing_clips() {
        let mut audio = vec![0.0; 22_050];
        audio.extend([1.5_f32, -1.5].repeat(500));
        audio.extend(vec![0.0; 22_050]);
        let samples = finish(&audio, 22_050.0);
        assert!(samples.len() < 1_000 + 22_050 / 5);
        assert!(samples.iter().all(|s| s.unsigned_abs() < 30_000));
    }
}
