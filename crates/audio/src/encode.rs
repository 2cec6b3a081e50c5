//! Writes audio files while the audio is being made: first the header, then whatever each push completes.

mod flac;
mod opus;
mod wav;

use antiphon_core::{AudioChunk, SampleRate};

use flac::FlacEncoder;
use opus::OggOpusEncoder;

/// The formats that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// RIFF WAVE, 16-bit PCM.
    Wav,
    /// Little-endian 16-bit PCM without a header.
    Pcm,
    /// Opus in Ogg (RFC 7845), tuned for speech.
    Opus,
    /// FLAC (RFC 9639), without loss.
    Flac,
}

impl FileFormat {
    /// All formats, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Wav, Self::Pcm, Self::Opus, Self::Flac];

    /// The format's name in OpenAI's speech API, which is also the usual file name extension.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Pcm => "pcm",
            Self::Opus => "opus",
            Self::Flac => "flac",
        }
    }

    /// The format with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The media type, for `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
            Self::Opus => "audio/ogg; codecs=opus",
            Self::Flac => "audio/flac",
        }
    }
}

/// An encoder refused its input. That does not happen at the usual rates of speech.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {format} at {} Hz: {reason}", .rate.hz())]
pub struct EncodeError {
    format: &'static str,
    rate: SampleRate,
    reason: String,
}

/// Writes one file, piece by piece.
pub struct FileEncoder {
    format: FileFormat,
    rate: SampleRate,
    codec: Codec,
}

enum Codec {
    Plain,
    Opus(Box<OggOpusEncoder>),
    Flac(Box<FlacEncoder>),
}

impl FileEncoder {
    /// Starts a file and appends its header to `output`. `samples` is the exact length if it is known. Without it, the
    /// header holds the value that streams use for "unknown", and Opus keeps its pages short so that they leave early.
    pub fn start(
        format: FileFormat,
        rate: SampleRate,
        samples: Option<u64>,
        output: &mut Vec<u8>,
    ) -> Result<Self, EncodeError> {
        let error = |reason| EncodeError { format: format.name(), rate, reason };
        let codec = match format {
            FileFormat::Pcm => Codec::Plain,
            FileFormat::Wav => {
                output.extend_from_slice(&wav::header(rate, samples));
                Codec::Plain
            }
            FileFormat::Opus => {
                let streaming = samples.is_none();
                Codec::Opus(Box::new(OggOpusEncoder::start(rate, streaming, output).map_err(error)?))
            }
            FileFormat::Flac => {
                Codec::Flac(Box::new(FlacEncoder::start(rate, samples, output).map_err(error)?))
            }
        };
        Ok(Self { format, rate, codec })
    }

    /// Adds samples, and appends the bytes that they complete to `output`.
    pub fn push(&mut self, samples: &[i16], output: &mut Vec<u8>) -> Result<(), EncodeError> {
        let result = match &mut self.codec {
            Codec::Plain => {
                output.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
                Ok(())
            }
            Codec::Opus(encoder) => encoder.push(samples, output),
            Codec::Flac(encoder) => encoder.push(samples, output),
        };
        result.map_err(|reason| self.error(reason))
    }

    /// Ends the file, and appends its last bytes to `output`.
    pub fn finish(mut self, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        let result = match &mut self.codec {
            Codec::Plain => Ok(()),
            Codec::Opus(encoder) => encoder.finish(output),
            Codec::Flac(encoder) => encoder.finish(output),
        };
        result.map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> EncodeError {
        EncodeError { format: self.format.name(), rate: self.rate, reason }
    }
}

/// Encodes a whole file at once.
pub fn encode_file(format: FileFormat, audio: &AudioChunk) -> Result<Vec<u8>, EncodeError> {
    let mut output = Vec::new();
    let length = audio.samples.len() as u64;
    let mut encoder = FileEncoder::start(format, audio.rate, Some(length), &mut output)?;
    encoder.push(&audio.samples, &mut output)?;
    encoder.finish(&mut output)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decode_file;
    use crate::testing::{correlation, speech};
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn chunk(rate: SampleRate, samples: &[i16]) -> AudioChunk {
        AudioChunk::new(rate, samples)
    }

    #[test]
    fn lossless_files_come_back_bit_for_bit() {
        for rate in [8_000, 16_000, 22_050, 24_000, 48_000] {
            let audio = chunk(SampleRate::new(rate).unwrap(), &speech(30_001));
            for format in [FileFormat::Wav, FileFormat::Flac] {
                let file = encode_file(format, &audio).unwrap();
                assert_eq!(decode_file(&file, MINUTE).unwrap(), audio, "{} at {rate}", format.name());
            }
        }
    }

    #[test]
    fn opus_keeps_length_alignment_and_likeness() {
        for rate in [8_000, 16_000, 22_050, 24_000, 48_000] {
            for length in [1, 319, 30_001] {
                let audio = chunk(SampleRate::new(rate).unwrap(), &speech(length));
                let file = encode_file(FileFormat::Opus, &audio).unwrap();
                let decoded = decode_file(&file, MINUTE).unwrap();
                assert_eq!(decoded.rate, SampleRate::HZ_48000);
                assert_eq!(decoded.samples.len(), length * 48_000 / rate as usize, "{length} at {rate}");
                if length > 10_000 {
                    let mut reference = Vec::new();
                    let mut resampler = crate::Resampler::new(audio.rate, decoded.rate);
                    resampler.process(&audio.samples, &mut reference);
                    resampler.flush(&mut reference);
                    let alike = correlation(&reference, &decoded.samples);
                    assert!(alike > 0.85, "at {rate}: {alike}");
                }
            }
        }
    }

    #[test]
    fn a_streamed_file_has_its_header_at_once_and_decodes_at_any_point() {
        let samples = speech(32_000);
        for format in [FileFormat::Wav, FileFormat::Opus, FileFormat::Flac] {
            let mut file = Vec::new();
            let mut encoder = FileEncoder::start(format, SampleRate::HZ_16000, None, &mut file).unwrap();
            assert!(!file.is_empty());
            for frame in samples.chunks(320) {
                encoder.push(frame, &mut file).unwrap();
            }
            // Before the end is written, a listener can already hear all but the last quarter of a second.
            let so_far = decode_file(&file, MINUTE).unwrap().duration();
            assert!(so_far >= Duration::from_millis(1_750), "{}: {so_far:?}", format.name());
            encoder.finish(&mut file).unwrap();
            assert_eq!(decode_file(&file, MINUTE).unwrap().duration(), Duration::from_secs(2));
        }
    }

    #[test]
    fn speech_in_opus_is_a_tenth_of_wav() {
        for rate in [SampleRate::HZ_16000, SampleRate::HZ_24000, SampleRate::HZ_48000] {
            let audio = chunk(rate, &speech(10 * rate.hz() as usize));
            let wav = encode_file(FileFormat::Wav, &audio).unwrap().len();
            let opus = encode_file(FileFormat::Opus, &audio).unwrap().len();
            assert!(opus * 10 <= wav, "{opus} of {wav} at {}", rate.hz());
        }
    }

    #[test]
    fn names_are_found_again() {
        for format in FileFormat::ALL {
            assert_eq!(FileFormat::from_name(format.name()), Some(format));
        }
        assert_eq!(FileFormat::from_name("mp3"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_make_the_same_file_as_the_whole(
            samples in prop::collection::vec(any::<i16>(), 0..6_000),
            piece in 1usize..2_000,
        ) {
            for format in FileFormat::ALL {
                let audio = chunk(SampleRate::HZ_24000, &samples);
                let mut file = Vec::new();
                let length = Some(samples.len() as u64);
                let mut encoder = FileEncoder::start(format, audio.rate, length, &mut file).unwrap();
                for piece in samples.chunks(piece) {
                    encoder.push(piece, &mut file).unwrap();
                }
                encoder.finish(&mut file).unwrap();
                prop_assert_eq!(file, encode_file(format, &audio).unwrap());
            }
        }
    }
}
