//! Audio files of people and programs, as mono samples. Nothing about the bytes is trusted.

mod opus;

use std::io::Cursor;
use std::time::Duration;

use antiphon_core::{AudioChunk, SampleRate};
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::default::{get_codecs, get_probe};

use crate::Resampler;
use opus::OpusPackets;

/// What can be read, for messages.
const KNOWN: &str = "WAV, FLAC, MP3, Ogg (Vorbis or Opus), M4A (AAC) or WebM";
/// Files of a higher rate are brought down to this, so that a limit on the duration limits the memory.
const HIGHEST_RATE: SampleRate = SampleRate::HZ_48000;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    /// There is nothing in it.
    #[error("the audio file is empty")]
    Empty,
    /// It is none of the formats known, or its header is broken.
    #[error("this is no audio file that can be read ({0}); send {KNOWN}")]
    Unknown(String),
    /// The container is fine, but what it holds cannot be decoded.
    #[error("the {container} file holds no audio that can be decoded: {reason}; send {KNOWN}")]
    Undecodable {
        /// Such as "wave" or "ogg".
        container: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// It is longer than allowed.
    #[error("the audio is longer than the {} s allowed; send it in parts", .0.as_secs())]
    TooLong(Duration),
}

/// Reads an audio file into mono samples, at its own rate or at 48 kHz if that is higher.
///
/// WAV (PCM, float, G.711, ADPCM, with a streaming header too), FLAC, MP3, Ogg (Vorbis, Opus), M4A (AAC-LC) and
/// WebM or Matroska. Channels are averaged. A file that breaks off gives what was whole, and broken packets within
/// it are left out; only if nothing at all could be decoded is that an error. Memory is bounded by the file and
/// by `longest`, whatever its header claims.
pub fn decode_file(bytes: &[u8], longest: Duration) -> Result<AudioChunk, FileError> {
    if bytes.is_empty() {
        return Err(FileError::Empty);
    }
    let source = Cursor::new(whole_ogg_pages(bytes));
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
    let mut reader = get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| FileError::Unknown(error.to_string()))?;
    let container = reader.format_info().short_name;
    let undecodable = |reason: String| FileError::Undecodable { container, reason };

    let track = reader.default_track(TrackType::Audio);
    let track = track.ok_or_else(|| undecodable("it has no audio track".to_owned()))?;
    let id = track.id;
    let mut decoder = Decoder::new(track).map_err(undecodable)?;
    let mut mono = Mono::new(longest);
    let mut broken = None;
    while let Some(packet) = next_packet(reader.as_mut(), &mut broken) {
        if packet.track_id != id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(block) => mono.add(&block)?,
            Err(reason) => broken = Some(reason),
        }
    }
    mono.finish().ok_or_else(|| undecodable(broken.unwrap_or_else(|| "it has no samples".to_owned())))
}

/// Leaves out an Ogg page that breaks off: the reader demands that what it opens ends with a whole one.
fn whole_ogg_pages(bytes: &[u8]) -> &[u8] {
    const HEADER: usize = 27;
    let mut end = 0;
    while let Some(header) = bytes.get(end..end + HEADER).filter(|header| header.starts_with(b"OggS")) {
        let segments = usize::from(header[HEADER - 1]);
        let lengths = bytes.get(end + HEADER..end + HEADER + segments).unwrap_or_default();
        let page = HEADER + segments + lengths.iter().map(|&length| usize::from(length)).sum::<usize>();
        if end + page > bytes.len() {
            return &bytes[..end];
        }
        end += page;
    }
    bytes
}

/// The next packet; at the end or at the first fault `None`, a fault noted in `broken`.
fn next_packet(reader: &mut dyn FormatReader, broken: &mut Option<String>) -> Option<Packet> {
    reader.next_packet().unwrap_or_else(|error| {
        *broken = Some(error.to_string());
        None
    })
}

/// Decoded, interleaved samples from -1 to 1.
struct Block<'a> {
    rate: u32,
    channels: usize,
    samples: &'a [f32],
}

/// The decoder of one track.
struct Decoder {
    codec: Codec,
    samples: Vec<f32>,
}

enum Codec {
    Known(Box<dyn AudioDecoder>),
    Opus(Box<OpusPackets>),
}

impl Decoder {
    fn new(track: &Track) -> Result<Self, String> {
        let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
        let parameters = parameters.ok_or_else(|| "its audio track has no codec".to_owned())?;
        let codec = if parameters.codec == CODEC_ID_OPUS {
            let head = parameters.extra_data.as_deref().unwrap_or_default();
            Codec::Opus(Box::new(OpusPackets::new(head)?))
        } else {
            let options = AudioDecoderOptions::default();
            Codec::Known(get_codecs().make_audio_decoder(parameters, &options).map_err(|e| e.to_string())?)
        };
        Ok(Self { codec, samples: Vec::new() })
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

/// Collects mono samples up to a limit.
struct Mono {
    longest: Duration,
    /// Of the first block, and what brings it down to [`HIGHEST_RATE`]. Blocks of another rate are left out.
    input: Option<(SampleRate, Resampler)>,
    mixed: Vec<i16>,
    samples: Vec<i16>,
}

impl Mono {
    fn new(longest: Duration) -> Self {
        Self { longest, input: None, mixed: Vec::new(), samples: Vec::new() }
    }

    fn add(&mut self, block: &Block) -> Result<(), FileError> {
        let Some(rate) = SampleRate::new(block.rate) else { return Ok(()) };
        let (input, resampler) =
            self.input.get_or_insert_with(|| (rate, Resampler::new(rate, rate.min(HIGHEST_RATE))));
        if *input != rate || block.channels == 0 {
            return Ok(());
        }
        let gain = 32_768.0 / block.channels as f32;
        let mix = |frame: &[f32]| (frame.iter().sum::<f32>() * gain).round_ties_even() as i16;
        self.mixed.clear();
        self.mixed.extend(block.samples.chunks_exact(block.channels).map(mix));
        resampler.process(&self.mixed, &mut self.samples);
        if rate.min(HIGHEST_RATE).duration_of(self.samples.len()) > self.longest {
            return Err(FileError::TooLong(self.longest));
        }
        Ok(())
    }

    fn finish(mut self) -> Option<AudioChunk> {
        let (rate, mut resampler) = self.input?;
        resampler.flush(&mut self.samples);
        (!self.samples.is_empty()).then(|| AudioChunk::new(rate.min(HIGHEST_RATE), self.samples))
    }
}

#[cfg(test)]
mod tests;
