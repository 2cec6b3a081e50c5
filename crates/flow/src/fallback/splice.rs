//! Joins the speech of one voice to another's in the middle of a clause.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_core::SampleRate;

/// How far from the calculated position a pause is looked for: less than a syllable, which lasts some 200 ms
/// (Greenberg 1999), to either side.
const REACH: Duration = Duration::from_millis(150);
/// The window over which energy is computed: two periods of a deep voice of 100 Hz.
const WINDOW: Duration = Duration::from_millis(20);
/// The step between windows.
const HOP: Duration = Duration::from_millis(5);
/// The length of the fade between the voices: long enough not to click, too short to be heard.
const FADE: Duration = Duration::from_millis(10);

/// Withholds the new voice's audio until the place to go on has been found: the quietest near the position.
pub(super) struct Splice {
    rate: SampleRate,
    /// Where to go on, in samples from the start of the clause.
    position: usize,
    /// Samples from the start of the clause that were thrown away.
    dropped: usize,
    audio: VecDeque<i16>,
    /// The last sample heard of the other voice.
    last: i16,
}

impl Splice {
    /// A splice that goes on at `position` in the clause as the new voice says it.
    pub(super) fn new(rate: SampleRate, position: Duration, last: i16) -> Self {
        Self { rate, position: rate.samples_in(position), dropped: 0, audio: VecDeque::new(), last }
    }

    /// More of the clause; gives what follows the place, once that is known.
    pub(super) fn push(&mut self, samples: &[i16]) -> Option<Vec<i16>> {
        self.audio.extend(samples);
        let reach = self.rate.samples_in(REACH);
        let early = self.position.saturating_sub(reach + self.dropped).min(self.audio.len());
        self.audio.drain(..early);
        self.dropped += early;
        (self.dropped + self.audio.len() >= self.position + reach).then(|| self.finish())
    }

    /// What follows the place when the clause has ended.
    pub(super) fn finish(&mut self) -> Vec<i16> {
        let place = quietest(
            self.audio.make_contiguous(),
            self.position - self.dropped.min(self.position),
            self.rate,
        );
        let mut audio: Vec<i16> = self.audio.drain(..).skip(place).collect();
        let fade = self.rate.samples_in(FADE);
        for (n, sample) in audio.iter_mut().take(fade).enumerate() {
            let share = n as f32 / fade as f32;
            *sample = (f32::from(self.last) * (1.0 - share) + f32::from(*sample) * share) as i16;
        }
        audio
    }

    /// The rate of the audio that it gives.
    pub(super) fn rate(&self) -> SampleRate {
        self.rate
    }
}

/// The middle of the quietest window, of several the one nearest to `position`.
fn quietest(audio: &[i16], position: usize, rate: SampleRate) -> usize {
    let (window, hop) = (rate.samples_in(WINDOW), rate.samples_in(HOP));
    let energy = |at: usize| -> u64 {
        audio[at..at + window].iter().map(|x| u64::from(x.unsigned_abs()).pow(2)).sum()
    };
    let middle = |at: usize| at + window / 2;
    (0..=audio.len().saturating_sub(window))
        .step_by(hop)
        .filter(|at| at + window <= audio.len())
        .min_by_key(|at| (energy(*at), middle(*at).abs_diff(position)))
        .map_or(position.min(audio.len()), middle)
}

/// Resamples a voice to the rate of the one before by linear interpolation. Its artefacts, images above 4 kHz, are quiet in
/// speech, and they are heard for the rest of one clause only.
pub(super) struct Linear {
    /// Input samples per output sample.
    step: f64,
    /// The place of the next output sample, in input samples after `previous`.
    at: f64,
    previous: Option<i16>,
}

impl Linear {
    pub(super) fn new(from: SampleRate, to: SampleRate) -> Self {
        Self { step: f64::from(from.hz()) / f64::from(to.hz()), at: 0.0, previous: None }
    }

    pub(super) fn push(&mut self, samples: &[i16]) -> Vec<i16> {
        let mut output = Vec::with_capacity((samples.len() as f64 / self.step) as usize + 1);
        for &sample in samples {
            if let Some(previous) = self.previous.replace(sample) {
                while self.at < 1.0 {
                    let (a, b) = (f64::from(previous), f64::from(sample));
                    output.push((a + (b - a) * self.at) as i16);
                    self.at += self.step;
                }
                self.at -= 1.0;
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_16000;

    #[test]
    fn it_goes_on_in_the_nearest_pause() {
        // The clause is loud for 400 ms, silent for 60 ms, and loud again.
        let clause: Vec<i16> =
            (0..16_000).map(|n| if (6_400..7_360).contains(&n) { 0 } else { 1_000 }).collect();
        for position in [300, 400, 430, 500] {
            let mut splice = Splice::new(RATE, Duration::from_millis(position), 0);
            let heard: Vec<i16> = clause
                .chunks(333)
                .scan((), |(), chunk| Some(splice.push(chunk)))
                .flatten()
                .next()
                .expect("found");
            let silent = heard.iter().take_while(|x| **x == 0).count();
            assert!((100..900).contains(&silent), "{position}: {silent}");
        }
    }

    #[test]
    fn it_begins_where_the_other_voice_stopped_without_a_click() {
        let mut splice = Splice::new(RATE, Duration::from_millis(200), 8_000);
        let heard = splice.push(&vec![-8_000; 16_000]).expect("found");
        let steepest = heard.windows(2).map(|x| x[0].abs_diff(x[1])).max();
        assert_eq!(heard[0], 8_000);
        assert!(steepest < Some(150), "{steepest:?}");
    }

    #[test]
    fn a_clause_that_is_over_gives_nothing() {
        let mut splice = Splice::new(RATE, Duration::from_secs(3), 0);
        assert_eq!(splice.push(&vec![1_000; 16_000]), None);
        assert!(splice.finish().is_empty());
    }

    #[test]
    fn a_ramp_stays_a_ramp_at_another_rate() {
        let mut up = Linear::new(RATE, SampleRate::HZ_24000);
        let ramp: Vec<i16> = (0..3_200).collect();
        let output: Vec<i16> = ramp.chunks(77).flat_map(|chunk| up.push(chunk)).collect();
        assert!(output.len().abs_diff(4_800) <= 2, "{}", output.len());
        assert!(output.iter().enumerate().all(|(n, x)| (*x - (n * 2 / 3) as i16).abs() <= 1));
    }
}
