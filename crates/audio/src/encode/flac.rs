//! Writes FLAC, frame by frame.

use antiphon_core::SampleRate;
use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, Stream, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Fill, FrameBuf};

/// Samples in a frame: 85 ms at 24 kHz, short enough for a stream. Twice as many would save 1 % of the size.
const BLOCK: usize = 2_048;
/// Bits in a sample.
const BITS: usize = 16;

pub(super) struct FlacEncoder {
    config: Verified<config::Encoder>,
    info: StreamInfo,
    frame: FrameBuf,
    /// Samples of the frame that is not full yet, in the type that the library expects.
    pending: Vec<i32>,
    frames: usize,
}

impl FlacEncoder {
    /// Appends the header. Its checksum of the audio stays empty, because the header is sent before the audio is known.
    pub(super) fn start(
        rate: SampleRate,
        samples: Option<u64>,
        output: &mut Vec<u8>,
    ) -> Result<Self, String> {
        let config = config::Encoder::default().into_verified().map_err(|(_, error)| error.to_string())?;
        let mut info = StreamInfo::new(rate.hz() as usize, 1, BITS).map_err(|error| error.to_string())?;
        info.set_block_sizes(BLOCK, BLOCK).map_err(|error| error.to_string())?;
        info.set_total_samples(samples.map_or(0, |samples| samples as usize));
        write(&Stream::with_stream_info(info.clone()), output)?;
        let frame = FrameBuf::with_size(1, BLOCK).map_err(|error| error.to_string())?;
        Ok(Self { config, info, frame, pending: Vec::with_capacity(BLOCK), frames: 0 })
    }

    pub(super) fn push(&mut self, mut samples: &[i16], output: &mut Vec<u8>) -> Result<(), String> {
        while !samples.is_empty() {
            let taken = samples.len().min(BLOCK - self.pending.len());
            self.pending.extend(samples[..taken].iter().map(|&sample| i32::from(sample)));
            samples = &samples[taken..];
            if self.pending.len() == BLOCK {
                self.encode(output)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), String> {
        if self.pending.is_empty() { Ok(()) } else { self.encode(output) }
    }

    fn encode(&mut self, output: &mut Vec<u8>) -> Result<(), String> {
        self.frame.fill_interleaved(&self.pending).map_err(|error| error.to_string())?;
        self.pending.clear();
        let frame = flacenc::encode_fixed_size_frame(&self.config, &self.frame, self.frames, &self.info)
            .map_err(|error| error.to_string())?;
        self.frames += 1;
        write(&frame, output)
    }
}

fn write(component: &impl BitRepr, output: &mut Vec<u8>) -> Result<(), String> {
    let mut sink = ByteSink::with_capacity(component.count_bits());
    component.write(&mut sink).map_err(|error| error.to_string())?;
    output.extend_from_slice(sink.as_slice());
    Ok(())
}
