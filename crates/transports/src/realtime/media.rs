//! The audio of a session: its formats, and its conversion from and to base64.

use antiphon_audio::{Ingest, Law};
use antiphon_core::SampleRate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// An audio format of the Realtime protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Format {
    /// PCM with 16 bits, little-endian, mono.
    #[serde(rename = "audio/pcm")]
    Pcm {
        #[serde(default)]
        rate: PcmRate,
    },
    /// G.711 mu-law at 8 kHz.
    #[serde(rename = "audio/pcmu")]
    Pcmu,
    /// G.711 A-law at 8 kHz.
    #[serde(rename = "audio/pcma")]
    Pcma,
}

impl Default for Format {
    fn default() -> Self {
        Self::Pcm { rate: PcmRate }
    }
}

/// The sample rate of PCM in Hz, which is always 24000: the protocol knows no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub(super) struct PcmRate;

impl TryFrom<u32> for PcmRate {
    type Error = &'static str;

    fn try_from(rate: u32) -> Result<Self, Self::Error> {
        if rate == 24_000 { Ok(Self) } else { Err("audio/pcm has a rate of 24000") }
    }
}

impl From<PcmRate> for u32 {
    fn from(_: PcmRate) -> Self {
        24_000
    }
}

impl Format {
    /// The sample rate of the audio once it is decoded.
    pub(super) fn rate(self) -> SampleRate {
        match self {
            Self::Pcm { .. } => SampleRate::HZ_24000,
            Self::Pcmu | Self::Pcma => SampleRate::HZ_8000,
        }
    }

    /// Appends `samples` in this format as base64 to `text`. `bytes` is a buffer that is reused, so that nothing
    /// is allocated.
    pub(super) fn encode(self, samples: &[i16], bytes: &mut Vec<u8>, text: &mut String) {
        bytes.clear();
        match self {
            Self::Pcm { .. } => bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            Self::Pcmu => Law::Mu.encode_into(samples, bytes),
            Self::Pcma => Law::A.encode_into(samples, bytes),
        }
        STANDARD.encode_string(bytes, text);
    }
}

/// Converts the audio that a client appends to samples at 16 kHz.
pub(super) struct Decoder {
    format: Format,
    ingest: Ingest,
    bytes: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(format: Format) -> Self {
        Self { format, ingest: Ingest::new(format.rate()), bytes: Vec::new() }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Decodes base64 audio and appends it to `samples`. Returns false if it is not valid base64.
    pub(super) fn decode(&mut self, base64: &str, samples: &mut Vec<i16>) -> bool {
        /// Most bytes of buffer kept between messages. No client that sends in real time needs more.
        const KEPT: usize = 64 << 10;
        self.bytes.clear();
        if STANDARD.decode_vec(base64, &mut self.bytes).is_err() {
            return false;
        }
        match self.format {
            Format::Pcm { .. } => self.ingest.s16le(&self.bytes, samples),
            Format::Pcmu => self.ingest.g711(Law::Mu, &self.bytes, samples),
            Format::Pcma => self.ingest.g711(Law::A, &self.bytes, samples),
        }
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        true
    }
}

/// Decodes a whole recording from base64 to samples at 16 kHz. `None` if it is not valid base64.
pub(super) fn decode_recording(format: Format, base64: &str) -> Option<Vec<i16>> {
    let (mut decoder, mut samples) = (Decoder::new(format), Vec::new());
    decoder.decode(base64, &mut samples).then(|| {
        decoder.ingest.flush(&mut samples);
        samples
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pcm_survives(samples in prop::collection::vec(any::<i16>(), 0..500)) {
            let mut text = String::new();
            Format::default().encode(&samples, &mut Vec::new(), &mut text);
            let bytes = STANDARD.decode(text).expect("base64");
            let back: Vec<i16> = bytes.as_chunks::<2>().0.iter().map(|&b| i16::from_le_bytes(b)).collect();
            prop_assert_eq!(back, samples);
        }
    }

    #[test]
    fn what_is_appended_is_brought_to_16_khz() {
        for (format, bytes) in [(Format::default(), 4_800), (Format::Pcmu, 800), (Format::Pcma, 800)] {
            let samples = decode_recording(format, &STANDARD.encode(vec![0xD5; bytes])).expect("base64");
            assert_eq!(samples.len(), 1_600, "{format:?}: 100 ms");
        }
        assert_eq!(decode_recording(Format::Pcmu, "#"), None);
    }
}
