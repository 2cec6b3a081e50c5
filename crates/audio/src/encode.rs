//! Writes audio files while the audio is being made: first the header, then whatever each push completes.

mod flac;
mod mp3;
mod opus;
mod wav;

use antiphon_core::{AudioChunk, SampleRate};

use flac::FlacEncoder;
use mp3::Mp3Encoder;
use opus::OggOpusEncoder;

/// The formats that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// MP3: MPEG-1 and MPEG-2 Audio Layer III (ISO 11172-3, 13818-3).
    Mp3,
    /// Opus in Ogg (RFC 7845), tuned for speech.
    Opus,
    /// FLAC (RFC 9639), without loss.
    Flac,
    /// RIFF WAVE, 16-bit PCM.
    Wav,
    /// Little-endian 16-bit PCM without a header.
    Pcm,
}

impl FileFormat {
    /// All formats, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Mp3, Self::Opus, Self::Flac, Self::Wav, Self::Pcm];

    /// The format's name in OpenAI's speech API, which is also the usual file name extension.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Flac => "flac",
            Self::Wav => "wav",
            Self::Pcm => "pcm",
        }
    }

    /// The format with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The media type, for `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Opus => "audio/ogg; codecs=opus",
            Self::Flac => "audio/flac",
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
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
    Mp3(Box<Mp3Encoder>),
    Opus(Box<OggOpusEncoder>),
    Flac(Box<FlacEncoder>),
}

impl FileEncoder {
    /// Starts a file and appends its header to `output`, if the format has one. `samples` is the exact length if it is known. Without
    /// it, the header holds the value that streams use for "unknown", and Opus keeps its pages short so that they leave early.
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
            FileFormat::Mp3 => Codec::Mp3(Box::new(Mp3Encoder::start(rate).map_err(error)?)),
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
            Codec::Mp3(encoder) => encoder.push(samples, output),
            Codec::Opus(encoder) => encoder.push(samples, output),
            Codec::Flac(encoder) => encoder.push(samples, output),
        };
        result.map_err(|reason| self.error(reason))
    }

    /// Ends the file, and appends its last bytes to `output`.
    pub fn finish(mut self, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        let result = match &mut self.codec {
            Codec::Plain => Ok(()),
            Codec::Mp3(encoder) => encoder.finish(output),
            Codec::Opus(encoder) => encoder.finish(output),
            Codec::Flac(encoder) => encoder.finish(output),
        };
        result.map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> EncodeError {
        EncodeError { format: self.format.name(), rate: self.rate, reason }
    }
}

/// The lowest of a codec's rates, which ascend, that keeps everything in audio of `rate`; the highest if none does.
fn coded_rate(rates: &[SampleRate], rate: SampleRate) -> SampleRate {
    rates.iter().find(|coded| **coded >= rate).copied().unwrap_or(SampleRate::HZ_48000)
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
    use crate::testing::{correlation, noise, signal_to_noise, speech};
    use crate::{Resampler, decode_file};
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);
    /// How many samples later than it was pushed the audio of an MP3 is heard.
    const MP3_DELAY: usize = 481;
    /// Samples in the longest frame of MP3.
    const MP3_FRAME: usize = 1_152;

    fn chunk(rate: SampleRate, samples: &[i16]) -> AudioChunk {
        AudioChunk::new(rate, samples)
    }

    fn resampled(audio: &AudioChunk, rate: SampleRate) -> Vec<i16> {
        let mut samples = Vec::new();
        let mut resampler = Resampler::new(audio.rate, rate);
        resampler.process(&audio.samples, &mut samples);
        resampler.flush(&mut samples);
        samples
    }

    /// A sentence that a person read.
    fn sentence() -> AudioChunk {
        let file = std::fs::read(antiphon_testkit::testdata("read_speech/spk1_snt1.wav")).unwrap();
        decode_file(&file, MINUTE).unwrap()
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
                    let alike = correlation(&resampled(&audio, decoded.rate), &decoded.samples);
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
    fn speech_in_mp3_comes_back_as_it_was() {
        let sentence = sentence();
        for rate in [8_000, 16_000, 22_050, 24_000, 44_100, 48_000].map(|hz| SampleRate::new(hz).unwrap()) {
            let audio = chunk(rate, &resampled(&sentence, rate));
            let decoded = decode_file(&encode_file(FileFormat::Mp3, &audio).unwrap(), MINUTE).unwrap();
            assert_eq!(decoded.rate, coded_rate(&mp3::CODED, rate), "{rate:?}");
            let reference = resampled(&audio, decoded.rate);
            let more = decoded.samples.len() - reference.len();
            assert!((MP3_DELAY..MP3_DELAY + MP3_FRAME).contains(&more), "{more} at {rate:?}");
            let snr = signal_to_noise(&reference, &decoded.samples[MP3_DELAY..]);
            // This sentence has 41.6 to 43.8 dB in the decoders of ffmpeg, mpg123 and dr_mp3.
            assert!(snr > 41.0, "{snr:.1} dB at {rate:?}");
        }
    }

    #[test]
    fn an_mp3_begins_with_its_second_frame_of_audio() {
        for rate in mp3::CODED {
            let mut file = Vec::new();
            let mut encoder = FileEncoder::start(FileFormat::Mp3, rate, None, &mut file).unwrap();
            encoder.push(&speech(2 * MP3_FRAME), &mut file).unwrap();
            assert!(file[0] == 0xFF && file[1] & 0xE0 == 0xE0, "{:x?} at {rate:?}", &file[..2]);
        }
    }

    #[test]
    fn a_streamed_mp3_decodes_at_any_point() {
        let mut file = Vec::new();
        let mut encoder = FileEncoder::start(FileFormat::Mp3, SampleRate::HZ_16000, None, &mut file).unwrap();
        for frame in speech(32_000).chunks(320) {
            encoder.push(frame, &mut file).unwrap();
        }
        let so_far = decode_file(&file, MINUTE).unwrap().duration();
        assert!(so_far >= Duration::from_millis(1_900), "{so_far:?}");
        encoder.finish(&mut file).unwrap();
        let whole = decode_file(&file, MINUTE).unwrap().duration();
        assert!((Duration::from_secs(2)..Duration::from_millis(2_070)).contains(&whole), "{whole:?}");
    }

    #[test]
    fn the_length_of_an_mp3_follows_from_its_bit_rate() {
        for rate in mp3::CODED {
            let file = encode_file(FileFormat::Mp3, &chunk(rate, &speech(10 * rate.hz() as usize))).unwrap();
            let heard = decode_file(&file, MINUTE).unwrap().duration().as_secs_f64();
            let reckoned = file.len() as f64 / f64::from(mp3::KBIT_PER_SECOND * 125);
            assert!((heard - reckoned).abs() < 0.001, "{heard} s, not {reckoned}, at {rate:?}");
        }
    }

    #[test]
    fn the_shortest_mp3_is_a_file_too() {
        for length in [0, 1] {
            let file = encode_file(FileFormat::Mp3, &chunk(SampleRate::HZ_24000, &speech(length))).unwrap();
            let frames = decode_file(&file, MINUTE).unwrap().samples.len() / (MP3_FRAME / 2);
            assert_eq!(frames, 2, "of {length}");
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
        assert_eq!(FileFormat::from_name("wma"), None);
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

        #[test]
        fn whatever_is_heard_becomes_an_mp3_of_its_length(
            levels in prop::collection::vec((any::<i16>(), 1usize..3_000), 0..8),
            signal in 0usize..4,
            rate in prop::sample::select(&mp3::CODED[..]),
        ) {
            let noise = noise(levels.iter().map(|(_, length)| length).sum());
            let levels = levels.iter().flat_map(|&(level, length)| std::iter::repeat_n(level, length));
            let samples: Vec<i16> = levels
                .zip(noise)
                .map(|(level, noise)| match signal {
                    0 => level,
                    1 if noise > 0 => i16::MAX,
                    1 => i16::MIN,
                    2 if noise % 64 == 0 => level,
                    2 => 0,
                    _ => noise.wrapping_mul(level),
                })
                .collect();
            let file = encode_file(FileFormat::Mp3, &chunk(rate, &samples)).unwrap();
            let decoded = decode_file(&file, MINUTE).unwrap().samples.len();
            prop_assert!(decoded >= samples.len() + MP3_DELAY);
            prop_assert!(decoded < samples.len() + MP3_DELAY + 2 * MP3_FRAME);
        }
    }
}
