//! Outgoing audio, cut into messages of a size that the vendor takes.

use std::ops::RangeInclusive;
use std::sync::Arc;

/// Cuts audio into pieces. At most one piece is copied at a time.
#[derive(Default)]
pub(super) struct Pieces {
    /// The bytes of the next message: 16 bits a sample, the low byte first.
    bytes: Vec<u8>,
    /// The latest audio, and the number of its samples that were taken.
    input: Arc<[i16]>,
    taken: usize,
    /// How many samples of audio came in, without the silence that was added.
    received: u64,
    /// Samples of silence that were added between pieces of audio.
    padding: u64,
    /// Samples of silence that were added after the latest audio; they become `padding` when more audio comes.
    padded: u64,
}

impl Pieces {
    /// Takes more audio. Only to be called when no whole piece is left.
    pub(super) fn push(&mut self, input: Arc<[i16]>, size: &RangeInclusive<usize>) {
        self.received += input.len() as u64;
        self.padding += std::mem::take(&mut self.padded);
        (self.input, self.taken) = (input, 0);
        self.fill(size);
    }

    /// Whether there is a whole piece.
    pub(super) fn is_ready(&self, size: &RangeInclusive<usize>) -> bool {
        self.bytes.len() >= 2 * size.start()
    }

    /// The bytes of the next piece, shorter than `size` says if no more has come.
    pub(super) fn take(&mut self, size: &RangeInclusive<usize>) -> Vec<u8> {
        let piece = std::mem::take(&mut self.bytes);
        self.fill(size);
        piece
    }

    /// The remaining audio, filled with silence to a whole piece; `None` if there is none.
    pub(super) fn rest(&mut self, size: &RangeInclusive<usize>) -> Option<Vec<u8>> {
        let mut rest = self.take(size);
        let missing = (2 * size.start()).saturating_sub(rest.len());
        if rest.is_empty() {
            return None;
        }
        self.padded += missing as u64 / 2;
        rest.resize(rest.len() + missing, 0);
        Some(rest)
    }

    /// Milliseconds of audio received.
    pub(super) fn received_ms(&self) -> u64 {
        self.received / 16
    }

    /// How many samples of audio came in, without the silence that was added.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Converts a time from the server's clock, which counts the added silence, to ours.
    pub(super) fn ours(&self, theirs_ms: u64) -> u64 {
        theirs_ms.saturating_sub(self.padding / 16).min(self.received_ms())
    }

    fn fill(&mut self, size: &RangeInclusive<usize>) {
        let left = self.input.len() - self.taken;
        let room = size.end().saturating_sub(self.bytes.len() / 2).min(left);
        let samples = &self.input[self.taken..self.taken + room];
        self.bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.taken += room;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the pieces of audio, no message is too short or too long, and no sample is lost.
        #[test]
        fn messages_have_the_size_that_is_taken(
            lengths in prop::collection::vec(0_usize..5_000, 0..12), least in 1_usize..900, more in 0_usize..2_000,
        ) {
            let size = least..=least + more;
            let mut pieces = Pieces::default();
            let (mut sent, mut all) = (Vec::new(), Vec::new());
            for (n, length) in lengths.iter().enumerate() {
                let input: Vec<i16> = (0..*length).map(|at| (at + n) as i16 | 1).collect();
                all.extend_from_slice(&input);
                pieces.push(input.into(), &size);
                while pieces.is_ready(&size) {
                    sent.push(pieces.take(&size));
                }
            }
            sent.extend(pieces.rest(&size));
            prop_assert!(sent.iter().all(|piece| size.contains(&(piece.len() / 2))));
            let samples = sent.concat().chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect::<Vec<_>>();
            prop_assert_eq!(&samples[..all.len()], &all[..]);
            prop_assert!(samples[all.len()..].iter().all(|sample| *sample == 0));
            let theirs = samples.len() as u64 / 16;
            prop_assert!(pieces.ours(theirs).abs_diff(all.len() as u64 / 16) <= 1);
        }
    }
}
