//! Reads audio files, from people and programs, as mono samples. The bytes are not trusted.

mod opus;
mod wav_lengths;

use std::io::Cursor;
use std::time::Duration;

use antiphon_core::{AudioChunk, SampleRate};
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as DecoderError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_ISOMP4, FORMAT_ID_MP3};
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::Duration as Samples;
use symphonia::default::{get_codecs, get_probe};

use crate::resample::Resampler;
use opus::OpusPackets;
use wav_lengths::WavLengths;

/// The formats that can be read, for error messages.
const KNOWN: &str = "WAV, FLAC, MP3, Ogg (Vorbis or Opus), M4A (AAC) or WebM";
/// Files of a higher rate are resampled to this one, so that a limit on the duration also limits the memory.
const HIGHEST_RATE: SampleRate = SampleRate::HZ_48000;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    /// The file has no bytes or no samples.
    #[error("the audio file is empty")]
    Empty,
    /// The file has none of the known formats, or its header is broken.
    #[error("this is no audio file that can be read ({0}); send {KNOWN}")]
    Unknown(String),
    /// The container can be read, but its audio cannot be decoded.
    #[error("the {container} file holds no audio that can be decoded: {reason}; send {KNOWN}")]
    Undecodable {
        /// Name of the container, such as "wave" or "ogg".
        container: &'static str,
        /// What the decoder says is wrong.
        reason: String,
    },
    /// The audio is too long. Holds the longest duration allowed.
    #[error("the audio is longer than the {} s allowed; send it in parts", .0.as_secs())]
    TooLong(Duration),
}

/// Reads a whole audio file into mono samples, at its own rate or at 48 kHz if its rate is higher. It is [`FileDecoder`] run
/// to the end. Memory is bounded by the size of the file and by `longest`, whatever the header claims.
pub fn decode_file(bytes: &[u8], longest: Duration) -> Result<AudioChunk, FileError> {
    if bytes.is_empty() {
        return Err(FileError::Empty);
    }
    let mut decoder = FileDecoder::open(Cursor::new(bytes))?;
    let mut samples = Vec::new();
    while let Some(rate) = decoder.read(&mut samples)? {
        if rate.duration_of(samples.len()) > longest {
            return Err(FileError::TooLong(longest));
        }
    }
    decoder.rate().map(|rate| AudioChunk::new(rate, samples)).ok_or(FileError::Empty)
}

/// Whether the file is longer than `longest`, as far as its packets tell. They are counted without being decoded, so that it takes
/// a moment where decoding would take minutes. Containers that do not tell how long their packets are (WebM) tell when they are played.
pub fn is_longer(source: impl MediaSource, longest: Duration) -> Result<bool, FileError> {
    let mut file = FileDecoder::open(source)?;
    let longest = i128::try_from(longest.as_nanos()).unwrap_or(i128::MAX);
    let (mut length, mut first) = (0_i128, None);
    while let Some(packet) = file.next_packet() {
        let tracks = file.reader.tracks().iter();
        let time_base = tracks.filter(|track| track.id == packet.track_id).find_map(|track| track.time_base);
        let Some(base) = time_base else { continue };
        length = length.saturating_add(base.calc_duration_saturating(packet.dur).as_nanos());
        let played = base.calc_time_saturating(packet.pts).as_nanos();
        let since = played.saturating_sub(*first.get_or_insert(played));
        if length.max(since) > longest {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads an audio file packet by packet, so that memory does not grow with it.
///
/// WAV (PCM, float, G.711, ADPCM, with a streaming header too), FLAC, MP3, Ogg (Vorbis, Opus), M4A (AAC-LC) and
/// WebM or Matroska. Channels are averaged. A file that breaks off gives the audio up to there, and broken packets are left
/// out. It is an error only if nothing at all could be decoded.
pub struct FileDecoder<'s> {
    reader: Box<dyn FormatReader + 's>,
    container: &'static str,
    decoder: Decoder,
    mono: Mono,
    /// The last fault that was skipped; it becomes the error if the file gives no samples.
    broken: Option<String>,
}

impl<'s> FileDecoder<'s> {
    /// Finds out the file's format and opens its first audio track.
    pub fn open(source: impl MediaSource + 's) -> Result<Self, FileError> {
        let source = WavLengths::new(source).map_err(|error| FileError::Unknown(error.to_string()))?;
        let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
        let reader = get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| FileError::Unknown(unknown(&error)))?;
        let container = reader.format_info().short_name;
        let decoder =
            Decoder::open(reader.as_ref()).map_err(|reason| FileError::Undecodable { container, reason })?;
        Ok(Self { container, decoder, mono: Mono::default(), broken: None, reader })
    }

    /// The sample rate; known once the first samples have been read.
    pub fn rate(&self) -> Option<SampleRate> {
        self.mono.rate()
    }

    /// Appends the next samples and returns their rate, which stays the same for the whole file; `None` at the end.
    pub fn read(&mut self, samples: &mut Vec<i16>) -> Result<Option<SampleRate>, FileError> {
        while let Some(packet) = self.next_packet() {
            match self.decoder.decode(&packet) {
                Ok(block) => self.mono.add(&block, samples),
                Err(reason) => self.broken = Some(reason),
            }
            if self.rate().is_some() {
                return Ok(self.rate());
            }
        }
        self.mono.finish(samples);
        if self.mono.any {
            return Ok(None);
        }
        let reason = self.broken.take().unwrap_or_else(|| "it has no samples".to_owned());
        Err(FileError::Undecodable { container: self.container, reason })
    }

    /// The track's next packet; `None` at the end, and at the first fault, which is noted in `broken`.
    fn next_packet(&mut self) -> Option<Packet> {
        loop {
            let result = match self.reader.next_packet() {
                Ok(Some(mut packet)) if packet.track_id == self.decoder.track => {
                    if self.decoder.guessed_length {
                        packet.trim_end = Samples::ZERO;
                    }
                    return Some(packet);
                }
                Ok(Some(_)) => Ok(()),
                Ok(None) => return None,
                // A chained Ogg stream continues with a new set of tracks.
                Err(DecoderError::ResetRequired) => {
                    Decoder::open(self.reader.as_ref()).map(|decoder| self.decoder = decoder)
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = result {
                self.broken = Some(reason);
                return None;
            }
        }
    }
}

/// The reason why no reader accepts the file.
fn unknown(error: &DecoderError) -> String {
    match error {
        // This is how the probe says that no format matched.
        DecoderError::Unsupported(text) if text.starts_with("core (probe)") => {
            "it begins like none of them".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Decoded, interleaved samples from -1 to 1.
struct Block<'a> {
    rate: u32,
    channels: usize,
    samples: &'a [f32],
}

/// The decoder of one track.
struct Decoder {
    track: u32,
    /// Whether the reader has only guessed the length, and would leave out what comes after it. It does so for MP3 without LAME's tag,
    /// from the size of the first frames: of a file whose bit rate falls, or which has 22,050 samples a second, the end would be missing.
    guessed_length: bool,
    codec: Codec,
    samples: Vec<f32>,
}

enum Codec {
    Known(Box<dyn AudioDecoder>),
    Opus(Box<OpusPackets>),
}

impl Decoder {
    fn open(reader: &dyn FormatReader) -> Result<Self, String> {
        let track = reader.default_track(TrackType::Audio);
        let track = track.ok_or_else(|| "it has no audio track".to_owned())?;
        let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
        let parameters = parameters.ok_or_else(|| "its audio track has no codec".to_owned())?;
        let codec = if parameters.codec == CODEC_ID_OPUS {
            let head = parameters.extra_data.as_deref().unwrap_or_default();
            let big_endian = reader.format_info().format == FORMAT_ID_ISOMP4;
            Codec::Opus(Box::new(OpusPackets::new(head, big_endian)?))
        } else {
            let options = AudioDecoderOptions::default();
            Codec::Known(get_codecs().make_audio_decoder(parameters, &options).map_err(|e| e.to_string())?)
        };
        let guessed_length = reader.format_info().format == FORMAT_ID_MP3 && track.delay.is_none();
        Ok(Self { track: track.id, guessed_length, codec, samples: Vec::new() })
    }

    fn decode(&mut self, packet: &Packet) -> Result<Block<'_>, String> {
        self.samples.clear();
        let (rate, channels) = match &mut self.codec {
            Codec::Opus(opus) => {
                opus.decode(packet, &mut self.samples)?;
                (OpusPackets::RATE, 1)
            }
            Codec::Known(decoder) => {
                let buffer = decoder.decode(packet).map_err(|error| error.to_string())?;
                buffer.copy_to_vec_interleaved(&mut self.samples);
                (buffer.spec().rate(), buffer.spec().channels().count())
            }
        };
        Ok(Block { rate, channels, samples: &self.samples })
    }
}

/// Averages all channels into one.
#[derive(Default)]
struct Mono {
    /// The rate of the first block, and the resampler down to [`HIGHEST_RATE`]. Blocks of another rate are left out.
    input: Option<(SampleRate, Resampler)>,
    mixed: Vec<i16>,
    /// Whether there were any samples.
    any: bool,
}

impl Mono {
    fn rate(&self) -> Option<SampleRate> {
        self.input.as_ref().map(|(rate, _)| (*rate).min(HIGHEST_RATE))
    }

    fn add(&mut self, block: &Block, samples: &mut Vec<i16>) {
        let Some(rate) = SampleRate::new(block.rate) else { return };
        let (input, resampler) =
            self.input.get_or_insert_with(|| (rate, Resampler::new(rate, rate.min(HIGHEST_RATE))));
        if *input != rate || block.channels == 0 {
            return;
        }
        let gain = 32_768.0 / block.channels as f32;
        let mix = |frame: &[f32]| (frame.iter().sum::<f32>() * gain).round_ties_even() as i16;
        self.mixed.clear();
        self.mixed.extend(block.samples.chunks_exact(block.channels).map(mix));
        self.any |= !self.mixed.is_empty();
        resampler.process(&self.mixed, samples);
    }

    fn finish(&mut self, samples: &mut Vec<i16>) {
        if let Some((_, resampler)) = &mut self.input {
            resampler.flush(samples);
        }
    }
}

#[cfg(test)]
mod tests;
