//! Writes Opus in Ogg, packet by packet.

use antiphon_core::SampleRate;
use opus_pure::{Application, MAX_PACKET_BYTES, OggOpusWriter, OpusEncoder, OpusHead};

use super::coded_rate;
use crate::resample::Resampler;

/// The rates at which Opus codes (RFC 6716, 2), without 12 kHz, at which no speech comes.
const CODED: [SampleRate; 4] =
    [SampleRate::HZ_8000, SampleRate::HZ_16000, SampleRate::HZ_24000, SampleRate::HZ_48000];
/// Packets of 20 ms: the length at which Opus works best (RFC 6716, 2.1.4), and the one that most players expect.
const PACKETS_PER_SECOND: usize = 50;
/// Ogg counts the time of Opus at 48 kHz, whatever the rate of the audio (RFC 7845, 4).
const GRANULE_RATE: u64 = 48_000;
/// Bytes of audio in a page of a stream: about five packets, 100 ms, at a cost of 28 bytes of framing.
const STREAM_PAGE_BYTES: usize = 256;
/// Bits a second at the rates of [`CODED`] for speech without audible loss: the sweet spots of RFC 6716, 2.1.1.
const BITS_PER_SECOND: [i32; 4] = [12_000, 20_000, 24_000, 32_000];

pub(super) struct OggOpusEncoder {
    resampler: Resampler,
    rate: SampleRate,
    encoder: OpusEncoder,
    /// `None` once the stream has ended.
    writer: Option<OggOpusWriter<Vec<u8>>>,
    /// Samples at 48 kHz that the decoder drops: the encoder's delay.
    pre_skip: u64,
    /// Samples at the coded rate that do not fill a packet yet.
    pending: Vec<i16>,
    packet: Vec<u8>,
    /// Samples in one packet, at the coded rate.
    frame: usize,
    /// Samples pushed so far, at the caller's rate.
    pushed: u64,
}

impl OggOpusEncoder {
    /// Makes an encoder and appends the stream's header to `output`.
    pub(super) fn start(rate: SampleRate, streaming: bool, output: &mut Vec<u8>) -> Result<Self, String> {
        let coded = coded_rate(&CODED, rate);
        let mut encoder =
            OpusEncoder::new(coded.hz() as i32, 1, Application::Voip).map_err(|error| error.to_string())?;
        encoder.bitrate_bps = bitrate(coded);
        let head = OpusHead::for_encoder(&encoder, rate.hz());
        let pre_skip = u64::from(head.pre_skip);
        let mut writer = OggOpusWriter::new(Vec::new(), head).map_err(|error| error.to_string())?;
        if streaming {
            writer.set_page_target(STREAM_PAGE_BYTES);
        }
        let mut started = Self {
            resampler: Resampler::new(rate, coded),
            rate,
            encoder,
            writer: Some(writer),
            pre_skip,
            pending: Vec::new(),
            packet: vec![0; MAX_PACKET_BYTES],
            frame: coded.hz() as usize / PACKETS_PER_SECOND,
            pushed: 0,
        };
        started.hand_over(output);
        Ok(started)
    }

    pub(super) fn push(&mut self, samples: &[i16], output: &mut Vec<u8>) -> Result<(), String> {
        self.pushed += samples.len() as u64;
        self.resampler.process(samples, &mut self.pending);
        // The last packet must end the stream exactly where the audio ends, so one packet is always kept back.
        let mut start = 0;
        while self.pending.len() - start > self.frame {
            self.encode(start, None)?;
            start += self.frame;
        }
        self.pending.drain(..start);
        self.hand_over(output);
        Ok(())
    }

    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), String> {
        self.resampler.flush(&mut self.pending);
        // The decoder drops the first `pre_skip` samples, so the stream must be longer by as many (RFC 7845, 4.2).
        let end = self.pre_skip + self.pushed * GRANULE_RATE / u64::from(self.rate.hz());
        let mut start = 0;
        while let Some(left) = end.checked_sub(self.written()).filter(|left| *left > 0) {
            self.pending.resize(self.pending.len().max(start + self.frame), 0);
            self.encode(start, Some(left))?;
            start += self.frame;
        }
        self.hand_over(output);
        if let Some(writer) = self.writer.take() {
            output.extend(writer.finish().map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// Encodes the packet that begins at `start`. `left` is how many samples at 48 kHz the stream still lasts, once that is
    /// known: the last packet counts only as long as that.
    fn encode(&mut self, start: usize, left: Option<u64>) -> Result<(), String> {
        let samples = &self.pending[start..start + self.frame];
        let bytes = self
            .encoder
            .encode_s16(samples, self.frame, &mut self.packet)
            .map_err(|error| error.to_string())?;
        let whole = GRANULE_RATE / PACKETS_PER_SECOND as u64;
        let duration = left.map_or(whole, |left| left.min(whole)) as u32;
        match &mut self.writer {
            Some(writer) => writer
                .write_packet_with_duration(&self.packet[..bytes], duration)
                .map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn written(&self) -> u64 {
        self.writer.as_ref().map_or(u64::MAX, |writer| writer.granule() as u64)
    }

    /// Moves the finished pages to `output`.
    fn hand_over(&mut self, output: &mut Vec<u8>) {
        if let Some(pages) = self.writer.as_mut().and_then(OggOpusWriter::get_mut) {
            output.append(pages);
        }
    }
}

fn bitrate(coded: SampleRate) -> i32 {
    let [at_8k, at_16k, at_24k, at_48k] = BITS_PER_SECOND;
    match coded {
        SampleRate::HZ_8000 => at_8k,
        SampleRate::HZ_16000 => at_16k,
        SampleRate::HZ_24000 => at_24k,
        _ => at_48k,
    }
}
