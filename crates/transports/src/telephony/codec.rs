//! The encodings of audio that telephone companies use.

use antiphon_audio::{Ingest, Law};
use antiphon_core::SampleRate;

/// How audio is encoded on a media socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// G.711 at 8 kHz, one byte for each sample.
    G711(Law),
    /// Signed 16-bit little-endian samples.
    Pcm(SampleRate),
}

impl Codec {
    /// mu-law at 8 kHz, which every vendor uses unless told otherwise.
    pub(crate) const MU_LAW: Self = Self::G711(Law::Mu);

    /// The codec that a vendor calls `encoding` at `hz`; `None` if this server does not support it.
    pub(super) fn named(encoding: &str, hz: u64) -> Option<Self> {
        let name = encoding.strip_prefix("audio/").unwrap_or(encoding).trim_start_matches("x-");
        match (name.to_ascii_lowercase().as_str(), hz) {
            ("pcmu" | "mulaw", 8_000) => Some(Self::G711(Law::Mu)),
            ("pcma" | "alaw", 8_000) => Some(Self::G711(Law::A)),
            ("l16", 8_000) => Some(Self::Pcm(SampleRate::HZ_8000)),
            ("l16", 16_000) => Some(Self::Pcm(SampleRate::HZ_16000)),
            ("l16", 24_000) => Some(Self::Pcm(SampleRate::HZ_24000)),
            _ => None,
        }
    }

    /// The sample rate of the audio once it is decoded.
    pub(super) fn rate(self) -> SampleRate {
        match self {
            Self::G711(_) => SampleRate::HZ_8000,
            Self::Pcm(rate) => rate,
        }
    }

    /// How many bytes one second of audio takes.
    pub(super) fn bytes_per_second(self) -> usize {
        match self {
            Self::G711(_) => 8_000,
            Self::Pcm(rate) => 2 * rate.hz() as usize,
        }
    }

    /// Decodes `bytes` and appends the audio at 16 kHz to `samples`.
    pub(super) fn decode(self, bytes: &[u8], ingest: &mut Ingest, samples: &mut Vec<i16>) {
        match self {
            Self::G711(law) => ingest.g711(law, bytes, samples),
            Self::Pcm(_) => ingest.s16le(bytes, samples),
        }
    }

    /// Encodes samples at the rate of [`Codec::rate`] and appends them to `bytes`.
    pub(super) fn encode(self, samples: &[i16], bytes: &mut Vec<u8>) {
        match self {
            Self::G711(law) => law.encode_into(samples, bytes),
            Self::Pcm(_) => bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_names_for_a_codec_mean_the_same() {
        for (name, hz, codec) in [
            ("audio/x-mulaw", 8_000, Some(Codec::MU_LAW)),
            ("PCMU", 8_000, Some(Codec::MU_LAW)),
            ("PCMA", 8_000, Some(Codec::G711(Law::A))),
            ("L16", 16_000, Some(Codec::Pcm(SampleRate::HZ_16000))),
            ("audio/x-l16", 8_000, Some(Codec::Pcm(SampleRate::HZ_8000))),
            ("PCMU", 16_000, None),
            ("OPUS", 16_000, None),
            ("G722", 8_000, None),
        ] {
            assert_eq!(Codec::named(name, hz), codec, "{name} at {hz}");
        }
    }

    #[test]
    fn what_is_encoded_is_heard_again() {
        let tone: Vec<i16> = (0..160).map(|n| if n / 20 % 2 == 0 { 8_000 } else { -8_000 }).collect();
        for codec in [Codec::MU_LAW, Codec::G711(Law::A), Codec::Pcm(SampleRate::HZ_8000)] {
            let (mut bytes, mut samples) = (Vec::new(), Vec::new());
            let mut ingest = Ingest::new(codec.rate());
            for _ in 0..50 {
                bytes.clear();
                codec.encode(&tone, &mut bytes);
                codec.decode(&bytes, &mut ingest, &mut samples);
            }
            assert_eq!(bytes.len(), codec.bytes_per_second() / 50, "20 ms");
            let loud = samples.iter().filter(|sample| sample.unsigned_abs() > 4_000).count();
            assert!(samples.len() > 15_000 && loud > samples.len() / 2, "{loud} of {}", samples.len());
        }
    }
}
