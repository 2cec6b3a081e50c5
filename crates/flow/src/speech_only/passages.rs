//! The passages of a stream that are speech.

use std::collections::VecDeque;
use std::ops::Range;

use super::WINDOW;

/// From this probability on a window may begin speech. Of 90 single digits at 8 kHz one is missed at 0.5, which Silero's authors
/// recommend, and none at 0.4; below 0.35 noise of a car counts as well.
const BEGINS: f32 = 0.4;
/// Down to this probability a window goes on with it: 0.15 less, as Silero's authors do.
const GOES_ON: f32 = 0.25;
/// Speech has so many windows in a row, 96 ms: a click has fewer, the shortest words more.
const LEAST: u64 = 3;
/// Of a row that is equally loud for longer, half a second, only the end becomes speech when it changes: nothing waits longer.
const LONGEST: u64 = 16;
/// Within a row speech is louder and softer by this factor, 1 dB. The hum of mains, which the detector takes for a vowel at first, is not.
const VARIES: f32 = 1.12;
/// What is kept round speech, 1 s on either side, because words begin and end softly and quiet ones are missed.
const ROUND: u64 = 16_000;

/// What is speech, as far as it is known.
#[derive(Default)]
pub(super) struct Passages {
    /// Up to which sample windows were judged.
    judged: u64,
    /// How many windows in a row up to now may be speech.
    row: u64,
    /// The lowest and the highest level in it.
    levels: (f32, f32),
    /// What is speech and has not passed, in order, without overlaps.
    speech: VecDeque<Range<u64>>,
}

impl Passages {
    /// The window that ends at this sample is speech with this probability, and has this root mean square.
    pub(super) fn judged(&mut self, at: u64, probability: f32, level: f32) {
        self.judged = at;
        let (least, levels) = if self.row > 0 { (GOES_ON, self.levels) } else { (BEGINS, (f32::MAX, 0.0)) };
        self.row = if probability >= least { self.row + 1 } else { 0 };
        self.levels = (levels.0.min(level), levels.1.max(level));
        if self.row >= LEAST && self.levels.1 >= VARIES * self.levels.0 {
            let from = at.saturating_sub(self.row.min(LONGEST) * WINDOW as u64 + ROUND);
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

    /// Up to which sample nothing can change any more.
    pub(super) fn decided(&self) -> u64 {
        // A window to come may make speech of the row that it ends, and of what is round it.
        self.judged.saturating_sub(ROUND + LONGEST * WINDOW as u64)
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

    const STEP: u64 = WINDOW as u64;

    /// The passages after windows with these probabilities, each of another level.
    fn passages(probabilities: &[f32]) -> Passages {
        let mut passages = Passages::default();
        for (at, probability) in (1..).zip(probabilities) {
            passages.judged(at * STEP, *probability, if at % 2 == 0 { 100.0 } else { 200.0 });
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
        let held = held(&mut passages(&probabilities), 100 * STEP);
        assert_eq!(held.first().copied(), Some(40 * STEP - ROUND));
        assert_eq!(held.last().copied(), Some(43 * STEP + ROUND - 1));
        assert_eq!(held.len() as u64, 3 * STEP + 2 * ROUND, "without a gap");
    }

    #[test]
    fn a_click_is_no_speech_and_a_soft_end_is() {
        let mut probabilities = vec![0.0; 100];
        probabilities[40..42].fill(0.9);
        assert_eq!(held(&mut passages(&probabilities), 100 * STEP), [] as [u64; 0]);
        probabilities[42..50].fill(0.3);
        let held = held(&mut passages(&probabilities), 100 * STEP);
        assert_eq!(held.last().copied(), Some(50 * STEP + ROUND - 1));
    }

    #[test]
    fn what_is_equally_loud_is_no_speech_until_it_changes() {
        let mut passages = Passages::default();
        (1..=200).for_each(|at| passages.judged(at * STEP, 0.9, 100.0));
        assert!(!passages.holds(100 * STEP));
        passages.judged(201 * STEP, 0.9, 150.0);
        let begins = 201 * STEP - LONGEST * STEP - ROUND;
        assert_eq!((passages.holds(begins - 1), passages.holds(begins)), (false, true));
        assert!(passages.decided() <= begins + STEP, "it had not passed");
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
