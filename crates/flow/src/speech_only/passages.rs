//! The passages of a stream that are speech.

use std::collections::VecDeque;
use std::ops::Range;

/// Samples that are judged together: 32 ms.
const WINDOW: u64 = 512;
/// From this probability on a window may begin speech: the threshold that Silero VAD's authors recommend.
const BEGINS: f32 = 0.5;
/// Down to this probability a window goes on with it: 0.15 less, as they do.
const GOES_ON: f32 = 0.35;
/// Speech has so many windows in a row, 96 ms: a click has fewer, the shortest words more.
const LEAST: u64 = 3;
/// What is kept round speech, 1 s on either side, because words begin and end softly and quiet ones are missed. With 300 ms more words
/// were lost: 22.0 instead of 19.3 % wrong in read speech.
const ROUND: u64 = 16_000;

/// What is speech, as far as it is known.
#[derive(Default)]
pub(super) struct Passages {
    /// Up to which sample windows were judged.
    judged: u64,
    /// How many windows in a row up to now may be speech.
    row: u64,
    /// What is speech and has not passed, in order, without overlaps.
    speech: VecDeque<Range<u64>>,
}

impl Passages {
    /// The window that ends at this sample is speech with this probability.
    pub(super) fn judged(&mut self, at: u64, probability: f32) {
        self.judged = at;
        let least = if self.row > 0 { GOES_ON } else { BEGINS };
        self.row = if probability >= least { self.row + 1 } else { 0 };
        if self.row >= LEAST {
            let from = at.saturating_sub(self.row * WINDOW + ROUND);
            self.add(from..at + ROUND);
        }
    }

    fn add(&mut self, passage: Range<u64>) {
        match self.speech.back_mut() {
            Some(last) if last.end >= passage.start => last.end = last.end.max(passage.end),
            _ => self.speech.push_back(passage),
        }
    }

    /// Up to which sample windows were judged.
    pub(super) fn judged_until(&self) -> u64 {
        self.judged
    }

    /// Whether all whole windows of so many samples were judged.
    pub(super) fn has_judged_all(&self, received: u64) -> bool {
        self.judged + WINDOW > received
    }

    /// Up to which sample nothing can change any more.
    pub(super) fn decided(&self) -> u64 {
        // A window to come may be the last one of a row that makes speech of what is round it.
        self.judged.saturating_sub(ROUND + LEAST * WINDOW)
    }

    /// Whether this sample is speech. To be asked in order.
    pub(super) fn holds(&mut self, at: u64) -> bool {
        while self.speech.front().is_some_and(|passage| passage.end <= at) {
            self.speech.pop_front();
        }
        self.speech.front().is_some_and(|passage| passage.start <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The passages after windows with these probabilities.
    fn passages(probabilities: &[f32]) -> Passages {
        let mut passages = Passages::default();
        for (at, probability) in (1..).zip(probabilities) {
            passages.judged(at * WINDOW, *probability);
        }
        passages
    }

    fn held(passages: &mut Passages, upto: u64) -> Vec<u64> {
        (0..upto).filter(|at| passages.holds(*at)).collect()
    }

    #[test]
    fn speech_keeps_what_is_round_it() {
        let mut probabilities = vec![0.0; 100];
        probabilities[40..43].fill(0.9);
        let held = held(&mut passages(&probabilities), 100 * WINDOW);
        assert_eq!(held.first().copied(), Some(40 * WINDOW - ROUND));
        assert_eq!(held.last().copied(), Some(43 * WINDOW + ROUND - 1));
        assert_eq!(held.len() as u64, 3 * WINDOW + 2 * ROUND, "without a gap");
    }

    #[test]
    fn a_click_is_no_speech_and_a_soft_end_is() {
        let mut probabilities = vec![0.0; 100];
        probabilities[40..42].fill(0.9);
        assert_eq!(held(&mut passages(&probabilities), 100 * WINDOW), [] as [u64; 0]);
        probabilities[42..50].fill(0.4);
        let held = held(&mut passages(&probabilities), 100 * WINDOW);
        assert_eq!(held.last().copied(), Some(50 * WINDOW + ROUND - 1));
    }

    #[test]
    fn what_is_decided_does_not_change() {
        let mut probabilities = vec![0.0; 100];
        probabilities[60..70].fill(0.9);
        for windows in 0..100 {
            let mut early = passages(&probabilities[..windows]);
            let decided = early.decided();
            let mut late = passages(&probabilities);
            assert_eq!(held(&mut early, decided), held(&mut late, decided), "{windows}");
        }
    }
}
