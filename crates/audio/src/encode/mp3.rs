//! Writes MP3 (MPEG Audio Layer III), frame by frame.
//!
//! The library's own stream encoder is not used: at 48 kHz it keeps all frames back until the end, and it begins each file with an
//! Info frame whose lengths are still 0 when it has to be sent. Here every frame stands for itself and leaves as soon as its
//! samples are there. Players reckon the length from the bit rate, which is constant.

use antiphon_core::SampleRate;
use rusty_mp3::encode::lametag::{DECODER_DELAY, ENCODER_DELAY, MIN_AUDIO_FRAMES};
use rusty_mp3::frame::GRANULE_LINES;
use rusty_mp3::header::FrameHeader;
use rusty_mp3::{Mp3Encode, encoder_header};

use super::coded_rate;
use crate::resample::Resampler;

/// The rates at which files are written. MP3 knows 32 and 44.1 kHz, too, but voices are rarely made at them. Rates below 16 kHz are an
/// addition to the standards (ISO 13818-3, 2.4.2.3, has none), which not every player knows.
pub(super) const CODED: [SampleRate; 4] =
    [SampleRate::HZ_16000, SampleRate::HZ_22050, SampleRate::HZ_24000, SampleRate::HZ_48000];
/// Enough for speech without audible loss. Four sentences of `read_speech` and `librispeech_other`, as ffmpeg 9 decodes them, are 40 to 42 dB
/// above the noise (the worst 35 dB), and wide-band PESQ (ITU-T P.862.2) rates them 4.5 of 4.64 at 16 to 24 kHz and 4.6 at 48 kHz. At
/// 64 kbit/s it is 4.2 to 4.4. LAME at 96 kbit/s has 3.8, 4.5, 4.5 and 4.6 at the four rates.
pub(super) const KBIT_PER_SECOND: u32 = 96;
/// The size of a sample that the library takes for 1.
const FULL_SCALE: f32 = 32_768.0;
/// Frames at the beginning that are not sent, because they hold nothing but the silence with which the filters start. Without them
/// what is heard begins 481 samples late, which are 20 ms at 24 kHz, instead of 1,057.
const LEFT_OUT: usize = 1;

pub(super) struct Mp3Encoder {
    resampler: Resampler,
    encoder: Mp3Encode,
    header: FrameHeader,
    /// Samples at the coded rate that do not fill a frame yet.
    pending: Vec<i16>,
    /// The samples of one frame, as the library takes them.
    samples: Vec<f32>,
    /// Frames made so far, those that were left out included.
    frames: usize,
    /// By how much the frames so far are too short for the bit rate, in bytes divided by the coded rate; always less than a byte.
    owed: u32,
}

impl Mp3Encoder {
    pub(super) fn start(rate: SampleRate) -> Result<Self, String> {
        let coded = coded_rate(&CODED, rate);
        let header = encoder_header(coded.hz(), 1, KBIT_PER_SECOND).map_err(|error| error.to_string())?;
        // The first granule is all silence. A frame of MPEG-1 has two of them; it is filled up so that a whole one can be left out.
        let silence = header.version.samples_per_frame() - GRANULE_LINES;
        Ok(Self {
            resampler: Resampler::new(rate, coded),
            encoder: Mp3Encode::new(),
            header,
            pending: vec![0; silence],
            samples: Vec::new(),
            frames: 0,
            owed: 0,
        })
    }

    pub(super) fn push(&mut self, samples: &[i16], output: &mut Vec<u8>) -> Result<(), String> {
        self.resampler.process(samples, &mut self.pending);
        self.encode(output)
    }

    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), String> {
        self.resampler.flush(&mut self.pending);
        // The last samples come out of the decoder when as much silence follows as both sides are late.
        let end = self.pending.len() + ENCODER_DELAY + DECODER_DELAY;
        let frame = self.frame();
        // One frame alone is no file for ffmpeg, so the shortest one has two.
        let least = (LEFT_OUT + MIN_AUDIO_FRAMES).saturating_sub(self.frames) * frame;
        self.pending.resize(end.next_multiple_of(frame).max(least), 0);
        self.encode(output)
    }

    /// Encodes all frames that are full.
    fn encode(&mut self, output: &mut Vec<u8>) -> Result<(), String> {
        let frame = self.frame();
        let whole = self.pending.len() / frame * frame;
        for samples in self.pending[..whole].chunks_exact(frame) {
            self.samples.clear();
            self.samples.extend(samples.iter().map(|&sample| f32::from(sample) / FULL_SCALE));
            pad(&mut self.header, &mut self.owed);
            let bytes = self
                .encoder
                .encode_frame(&self.header, &[&self.samples], None)
                .map_err(|error| error.to_string())?;
            self.frames += 1;
            if self.frames > LEFT_OUT {
                output.extend_from_slice(&bytes);
            }
        }
        self.pending.drain(..whole);
        Ok(())
    }

    /// Samples in a frame.
    fn frame(&self) -> usize {
        self.header.version.samples_per_frame()
    }
}

/// Makes the next frame a byte longer if the bit rate asks for it (`padding_bit` in ISO 11172-3, 2.4.2.3). At 22.05 kHz frames would
/// have to have 313.5 bytes each, so that every other one has one more.
fn pad(header: &mut FrameHeader, owed: &mut u32) {
    let bytes_times_rate = header.version.samples_per_frame() as u32 / 8 * header.bitrate_kbps * 1_000;
    *owed += bytes_times_rate % header.sample_rate;
    header.padding = *owed >= header.sample_rate;
    if header.padding {
        *owed -= header.sample_rate;
    }
}
