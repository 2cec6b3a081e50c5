//! The audio of one stream: stretches whose text is final, and the open stretch that is still growing.

use std::sync::Arc;

use antiphon_core::Segment;

use crate::loudness::{Loudness, is_digital_silence, quietest};

/// The longest stretch transcribed at once, 12 s. The model was trained on up to 30 s, but beyond about 12 s it adds
/// words that were not said, and its memory grows fast.
const LONGEST: usize = 12 * 16_000;
/// A stretch is cut at the quietest place within its last 4 s.
const CUT_WITHIN: usize = 4 * 16_000;
/// The shortest stretch transcribed, 0.2 s: the model invents words for shorter ones.
const SHORTEST: usize = 3_200;
/// Silence kept after the last sound, 0.1 s: it belongs to the sound.
const TAIL: usize = 1_600;
/// Silence kept before the first sound, 0.5 s: words begin softly.
const HEAD: usize = 8_000;
/// A stretch ends with a pause of 2 s: nothing is invented for the silence, and hardly a sentence has one.
const PAUSE: usize = 2 * 16_000;
/// Loudness is judged over 20 ms.
const JUDGED: usize = 320;

/// The stretches of one stream of audio.
#[derive(Default)]
pub(super) struct Segments {
    /// Stretches whose text is final.
    settled: Vec<Segment>,
    /// How many samples the settled stretches have together.
    settled_samples: usize,
    /// The open stretch; never longer than [`LONGEST`] and what came at once.
    open: Vec<i16>,
    /// Samples of the open stretch that are being cut off.
    cutting: usize,
    /// The latest text of the open stretch, and the number of samples it covers.
    text: String,
    read: usize,
    loudness: Loudness,
    /// How much of the open stretch was judged. Pieces are judged when they are whole, and none behind a cut before it, so that the
    /// text does not depend on the portions in which the audio comes.
    judged: usize,
    /// Where the last piece of the open stretch that is louder than silence ends.
    loud: usize,
    /// Where the last piece of the open stretch ends that is no digital silence: quiet speech may be in it.
    sound: usize,
}

impl Segments {
    pub(super) fn push(&mut self, samples: &[i16]) {
        self.open.extend_from_slice(samples);
        self.judge();
    }

    /// Judges the pieces that are whole, until the stretch must be cut.
    fn judge(&mut self) {
        while !self.is_full()
            && let Some(piece) = self.open.get(self.judged..self.judged + JUDGED)
        {
            let before = self.judged;
            self.judged += JUDGED;
            if self.loudness.is_loud(piece) {
                self.loud = self.judged;
            }
            if !is_digital_silence(piece) {
                if self.sound == 0 {
                    self.leave_out_silence(before);
                }
                self.sound = self.judged;
            }
        }
        if self.sound == 0 {
            self.leave_out_silence(self.judged);
        }
    }

    /// Leaves out what is silent long before the first sound: the model invents words for it.
    fn leave_out_silence(&mut self, silent: usize) {
        self.leave_out(silent.saturating_sub(HEAD));
    }

    /// Takes samples from the front of the open stretch.
    fn leave_out(&mut self, samples: usize) {
        self.settled_samples += samples;
        self.open.drain(..samples);
        for place in [&mut self.judged, &mut self.loud, &mut self.sound] {
            *place = place.saturating_sub(samples);
        }
    }

    /// Whether the open stretch must be cut before more audio is taken.
    pub(super) fn is_full(&self) -> bool {
        self.sound > 0 && (self.judged >= LONGEST || self.has_paused())
    }

    /// Whether a sound has ended with a long pause. Without a sound so far, silence beyond [`HEAD`] is left out before that.
    fn has_paused(&self) -> bool {
        self.judged >= self.sound + PAUSE
    }

    /// The part of the open stretch to be cut off: up to a long pause, or up to the quietest place.
    pub(super) fn cut(&mut self) -> Arc<[i16]> {
        self.cutting = if self.has_paused() {
            self.sound + TAIL
        } else {
            quietest(&self.open, LONGEST - CUT_WITHIN..LONGEST)
        };
        clip(&self.open[..self.cutting])
    }

    /// Settles a stretch that a long pause has ended, if its text is known or it is too short to have one. Gives whether there was one.
    pub(super) fn settle_known(&mut self) -> bool {
        let is_known = self.has_paused() && self.is_settled();
        if is_known {
            let text = std::mem::take(&mut self.text);
            self.settle(self.sound + TAIL, text);
        }
        is_known
    }

    /// Takes the text of what was cut off.
    pub(super) fn settle_cut(&mut self, text: String) {
        self.settle(self.cutting, text);
    }

    fn settle(&mut self, samples: usize, text: String) {
        let start_s = self.settled_samples as f32 / 16_000.0;
        self.leave_out(samples);
        if !text.is_empty() {
            self.settled.push(Segment { start_s, end_s: self.settled_samples as f32 / 16_000.0, text });
        }
        self.text.clear();
        self.read = 0;
        let judged = &self.open[..self.judged];
        let silent = judged.chunks(JUDGED).take_while(|piece| is_digital_silence(piece)).count() * JUDGED;
        self.leave_out_silence(silent.min(self.judged));
        self.judge();
    }

    /// The open stretch, without the silence at its end.
    pub(super) fn rest(&self) -> Arc<[i16]> {
        clip(&self.open[..self.spoken()])
    }

    /// Takes the text of the first `samples` samples of the open stretch.
    pub(super) fn read(&mut self, samples: usize, text: String) {
        self.read = samples;
        self.text = text;
    }

    /// Whether a clip of this length holds all speech of the open stretch.
    pub(super) fn is_read(&self, samples: usize) -> bool {
        samples >= self.spoken()
    }

    /// Whether the text covers all speech so far.
    pub(super) fn is_settled(&self) -> bool {
        self.is_read(self.read) || self.spoken() < SHORTEST
    }

    /// Samples of speech that the latest text of the open stretch does not cover.
    pub(super) fn unread(&self) -> usize {
        self.spoken().saturating_sub(self.read)
    }

    /// A partial transcript failed: the samples so far get none.
    pub(super) fn skip_partial(&mut self) {
        self.read = self.read.max(1);
    }

    /// The open stretch cannot be transcribed: it is left out.
    pub(super) fn give_up(&mut self) {
        self.settle(self.open.len(), String::new());
    }

    /// Samples of the open stretch up to the end of its speech.
    fn spoken(&self) -> usize {
        if self.loud == 0 { 0 } else { (self.loud + TAIL).min(self.open.len()) }
    }

    /// Milliseconds of all audio so far.
    pub(super) fn total_ms(&self) -> u64 {
        (self.settled_samples + self.open.len()) as u64 / 16
    }

    /// All text so far.
    pub(super) fn text(&self) -> String {
        let settled = self.settled.iter().map(|s| s.text.as_str());
        let texts: Vec<&str> = settled.chain([self.text.as_str()]).filter(|t| !t.is_empty()).collect();
        texts.join(" ")
    }

    /// All stretches with text so far.
    pub(super) fn list(&self) -> Vec<Segment> {
        let mut list = self.settled.clone();
        if !self.text.is_empty() {
            let start_s = self.settled_samples as f32 / 16_000.0;
            let end_s = start_s + self.spoken() as f32 / 16_000.0;
            list.push(Segment { start_s, end_s, text: self.text.clone() });
        }
        list
    }
}

fn clip(samples: &[i16]) -> Arc<[i16]> {
    samples.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_speech_is_cut_where_it_is_quiet_and_none_is_lost() {
        let mut segments = Segments::default();
        let loud = |n: usize| vec![3_000_i16; n];
        segments.push(&loud(10 * 16_000));
        segments.push(&vec![0; 4_000]);
        segments.push(&loud(3 * 16_000));
        assert!(segments.is_full());
        let cut = segments.cut().len();
        assert!((160_000..164_000).contains(&cut), "{cut}");
        segments.settle_cut("first".to_owned());
        assert!(!segments.is_full());
        let rest = segments.rest().len();
        assert_eq!(cut + rest, 13 * 16_000 + 4_000);
        segments.read(rest, "second".to_owned());
        assert_eq!(segments.text(), "first second");
        assert_eq!(segments.list().len(), 2);
        assert!(segments.is_settled());
    }

    #[test]
    fn silence_is_neither_kept_nor_read() {
        let mut segments = Segments::default();
        segments.push(&vec![0; 60 * 16_000]);
        assert!(!segments.is_full() && segments.is_settled());
        segments.push(&vec![3_000; 16_000]);
        assert_eq!(segments.rest().len(), HEAD + 16_000);
        segments.push(&vec![0; PAUSE]);
        assert!(segments.is_full(), "it is over");
        assert_eq!(segments.cut().len(), HEAD + 16_000 + TAIL);
        segments.settle_cut("word".to_owned());
        segments.push(&vec![0; 60 * 16_000]);
        segments.push(&vec![3_000; 16_000]);
        segments.push(&vec![0; TAIL]);
        assert_eq!(segments.rest().len(), HEAD + 16_000 + TAIL);
        let rest = segments.rest().len();
        segments.read(rest, "another".to_owned());
        segments.push(&vec![0; PAUSE - TAIL]);
        assert!(segments.settle_known() && !segments.is_full(), "it was read already");
        let times: Vec<_> = segments.list().iter().map(|segment| (segment.start_s, segment.end_s)).collect();
        assert_eq!(times, [(59.5, 61.1), (122.5, 124.1)]);
        assert_eq!((segments.text(), segments.total_ms()), ("word another".to_owned(), 126_000));
    }

    #[test]
    fn silence_behind_a_cut_is_left_out() {
        let mut segments = Segments::default();
        segments.push(&vec![3_000; 9 * 16_000]);
        segments.push(&vec![0; 30_400]);
        segments.push(&vec![3_000; 2 * 16_000]);
        let cut = segments.cut().len();
        assert!((144_000..150_000).contains(&cut), "{cut}");
        segments.settle_cut("before".to_owned());
        assert!(segments.rest().len() <= HEAD + JUDGED + 2 * 16_000, "{}", segments.rest().len());
        assert_eq!(segments.total_ms(), 12_900);
    }

    /// The lengths of the clips that audio is cut into when it comes in such portions.
    fn clips(audio: &[i16], portion: usize) -> Vec<usize> {
        let mut segments = Segments::default();
        let mut clips = Vec::new();
        for portion in audio.chunks(portion) {
            segments.push(portion);
            while segments.is_full() {
                clips.push(segments.cut().len());
                segments.settle_cut("text".to_owned());
            }
        }
        clips.push(segments.rest().len());
        clips
    }

    #[test]
    fn the_portions_in_which_audio_comes_do_not_matter() {
        let speech = |samples: usize| (0..samples).map(|at| (at % 641 * 9) as i16);
        let silence = |samples: usize| std::iter::repeat_n(0, samples);
        let audio: Vec<i16> = silence(50_123)
            .chain(speech(31_007))
            .chain(silence(33_333))
            .chain(speech(300_100))
            .chain(silence(70_001))
            .chain(speech(12_345))
            .collect();
        let expected = clips(&audio, audio.len());
        assert_eq!(expected.len(), 4, "{expected:?}");
        for portion in [1, 160, 512, 999, 1_600, 32_000, 200_000] {
            assert_eq!(clips(&audio, portion), expected, "in portions of {portion} samples");
        }
    }

    #[test]
    fn noise_of_the_line_after_a_cut_is_no_speech() {
        let mut segments = Segments::default();
        segments.push(&vec![3_000; LONGEST]);
        segments.cut();
        segments.settle_cut("long".to_owned());
        segments.push(&vec![20; TAIL]);
        let read = segments.rest().len();
        segments.read(read, "end".to_owned());
        segments.push(&vec![20; 16_000]);
        assert!(segments.is_settled(), "{} samples are to be read", segments.unread());
    }

    #[test]
    fn silence_after_speech_needs_no_second_reading() {
        let mut segments = Segments::default();
        segments.push(&vec![3_000; 16_000]);
        segments.push(&vec![0; 1_600]);
        let read = segments.rest().len();
        segments.read(read, "word".to_owned());
        segments.push(&vec![0; 16_000]);
        assert!(segments.is_settled());
        segments.push(&vec![3_000; 1_600]);
        assert!(!segments.is_settled());
    }
}
