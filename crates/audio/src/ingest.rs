//! Converts the audio of any transport to what the pipeline works with: 16 kHz mono.

use antiphon_core::SampleRate;

use crate::g711::Law;
use crate::resample::Resampler;

/// Turns one call's incoming audio into 16 kHz mono samples. After the first frames it allocates nothing.
#[derive(Clone, Debug)]
pub struct Ingest {
    resampler: Resampler,
    /// Decoded samples at the transport's rate.
    decoded: Vec<i16>,
    /// The first byte of a sample whose second byte is still to come.
    odd_byte: Option<u8>,
}

impl Ingest {
    /// For audio that arrives at `rate`.
    pub fn new(rate: SampleRate) -> Self {
        let resampler = Resampler::new(rate, SampleRate::HZ_16000);
        Self { resampler, decoded: Vec::new(), odd_byte: None }
    }

    /// Converts `samples` and appends them to `output`.
    pub fn samples(&mut self, samples: &[i16], output: &mut Vec<i16>) {
        self.resampler.process(samples, output);
    }

    /// Decodes and converts G.711 and appends it to `output`.
    pub fn g711(&mut self, law: Law, bytes: &[u8], output: &mut Vec<i16>) {
        self.decoded.clear();
        law.decode_into(bytes, &mut self.decoded);
        self.resampler.process(&self.decoded, output);
    }

    /// Converts little-endian 16-bit PCM and appends it to `output`. A sample may be split between two calls.
    pub fn s16le(&mut self, mut bytes: &[u8], output: &mut Vec<i16>) {
        self.decoded.clear();
        if let (Some(low), [high, rest @ ..]) = (self.odd_byte, bytes) {
            self.decoded.push(i16::from_le_bytes([low, *high]));
            self.odd_byte = None;
            bytes = rest;
        }
        let (pairs, odd) = bytes.as_chunks::<2>();
        self.decoded.extend(pairs.iter().map(|&pair| i16::from_le_bytes(pair)));
        if let [byte] = odd {
            self.odd_byte = Some(*byte);
        }
        self.resampler.process(&self.decoded, output);
    }

    /// Appends what the resampler still holds, and resets it for a new stream.
    pub fn flush(&mut self, output: &mut Vec<i16>) {
        self.odd_byte = None;
        self.resampler.flush(output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn g711_of_a_call_doubles_to_16_khz() {
        let mut ingest = Ingest::new(SampleRate::HZ_8000);
        let mut heard = Vec::new();
        for _ in 0..50 {
            ingest.g711(Law::Mu, &[0xFF; 160], &mut heard);
        }
        ingest.flush(&mut heard);
        assert_eq!(heard, vec![0; 16_000]);
    }

    #[test]
    fn a_warm_ingest_keeps_its_buffers() {
        let mut ingest = Ingest::new(SampleRate::HZ_24000);
        let mut heard = Vec::with_capacity(1_000);
        let frame = [0; 960];
        ingest.s16le(&frame, &mut heard);
        let before = (ingest.decoded.capacity(), ingest.decoded.as_ptr(), heard.as_ptr());
        for _ in 0..100 {
            heard.clear();
            ingest.s16le(&frame, &mut heard);
        }
        assert_eq!(before, (ingest.decoded.capacity(), ingest.decoded.as_ptr(), heard.as_ptr()));
    }

    proptest! {
        #[test]
        fn bytes_may_be_cut_anywhere(
            samples in prop::collection::vec(any::<i16>(), 0..200),
            cuts in prop::collection::vec(0usize..50, 0..20),
        ) {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let mut ingest = Ingest::new(SampleRate::HZ_16000);
            let mut heard = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                ingest.s16le(chunk, &mut heard);
                rest = after;
            }
            ingest.s16le(rest, &mut heard);
            prop_assert_eq!(heard, samples);
        }
    }
}
