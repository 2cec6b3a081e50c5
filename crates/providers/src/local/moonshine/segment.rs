//! The audio of one utterance: what is settled, and the stretch still open.

use std::sync::Arc;

use antiphon_core::Segment;

use crate::loudness::{is_loud, quietest};

/// The longest stretch read at once. The model was trained on up to 30 s, but beyond about 12 s it adds words that
/// were not said and its memory grows fast.
const LONGEST: usize = 12 * 16_000;
/// A stretch is cut at the quietest place of its last seconds.
const CUT_WITHIN: usize = 4 * 16_000;
/// The model answers stretches shorter than this with invented words.
const SHORTEST: usize = 3_200;

/// The stretches of one utterance.
#[derive(Default)]
pub(super) struct Segments {
    settled: Vec<Segment>,
    /// Samples settled.
    settled_samples: usize,
    /// The open stretch; never longer than [`LONGEST`] and one piece.
    open: Vec<i16>,
    /// Where the stretch is being cut.
    cutting: usize,
    /// What the open stretch was last read as, and how much of it.
    text: String,
    read: usize,
    /// The last sample louder than silence in the open stretch, plus one.
    loud: usize,
}

impl Segments {
    pub(super) fn push(&mut self, samples: &[i16]) {
        for piece in samples.chunks(320) {
            self.open.extend_from_slice(piece);
            if is_loud(piece) {
                self.loud = self.open.len();
            }
        }
    }

    /// The open stretch must be cut before more comes.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= LONGEST
    }

    /// The stretch up to the quietest place.
    pub(super) fn cut(&mut self) -> Arc<[i16]> {
        self.cutting = quietest(&self.open, LONGEST - CUT_WITHIN..LONGEST);
        clip(&self.open[..self.cutting])
    }

    /// What was cut off has been read.
    pub(super) fn settle_cut(&mut self, text: String) {
        self.settle(self.cutting, text);
    }

    fn settle(&mut self, samples: usize, text: String) {
        let start_s = self.settled_samples as f32 / 16_000.0;
        self.settled_samples += samples;
        if !text.is_empty() {
            self.settled.push(Segment { start_s, end_s: self.settled_samples as f32 / 16_000.0, text });
        }
        self.open.drain(..samples);
        self.loud = self.loud.saturating_sub(samples);
        self.text.clear();
        self.read = 0;
    }

    /// The open stretch, without the silence at its end.
    pub(super) fn rest(&self) -> Arc<[i16]> {
        clip(&self.open[..self.spoken()])
    }

    /// The open stretch was read up to `samples`.
    pub(super) fn read(&mut self, samples: usize, text: String) {
        self.read = samples;
        self.text = text;
    }

    /// A run of this length covers all that was said.
    pub(super) fn is_read(&self, samples: usize) -> bool {
        samples >= self.spoken()
    }

    /// All that was said has been read.
    pub(super) fn is_settled(&self) -> bool {
        self.is_read(self.read) || self.spoken() < SHORTEST
    }

    /// Speech that came since the stretch was last read.
    pub(super) fn unread(&self) -> usize {
        self.spoken().saturating_sub(self.read)
    }

    /// No partial transcript of what there is now.
    pub(super) fn skip_partial(&mut self) {
        self.read = self.read.max(1);
    }

    /// The open stretch cannot be read: it is left out.
    pub(super) fn give_up(&mut self) {
        self.settle(self.open.len(), String::new());
    }

    /// A little silence belongs to the last sound.
    fn spoken(&self) -> usize {
        const TAIL: usize = 1_600;
        if self.loud == 0 { 0 } else { (self.loud + TAIL).min(self.open.len()) }
    }

    pub(super) fn total_ms(&self) -> u64 {
        (self.settled_samples + self.open.len()) as u64 / 16
    }

    /// All text so far.
    pub(super) fn text(&self) -> String {
        let settled = self.settled.iter().map(|s| s.text.as_str());
        let texts: Vec<&str> = settled.chain([self.text.as_str()]).filter(|t| !t.is_empty()).collect();
        texts.join(" ")
    }

    /// All stretches so far.
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
