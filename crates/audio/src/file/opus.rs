//! Decodes Opus packets from Ogg, WebM, Matroska or MP4.

use opus_pure::OpusDecoder;
use symphonia::core::packet::Packet;

/// Samples in the longest packet (RFC 6716, 2.1.4): 120 ms at 48 kHz.
const LONGEST_PACKET: usize = 5_760;
/// Length in bytes of an `OpusHead` (RFC 7845, 5.1) that describes one stream.
const HEAD_BYTES: usize = 19;

/// Decodes packets to mono.
pub(super) struct OpusPackets {
    decoder: OpusDecoder,
    /// Samples of the encoder's delay that are still to be dropped.
    pre_skip: usize,
    decoded: Vec<f32>,
}

impl OpusPackets {
    /// Sample rate of the decoded audio.
    pub(super) const RATE: u32 = 48_000;

    /// `head` is the track's private codec data, an `OpusHead`. In MP4 its numbers are big-endian ("Encapsulation of Opus in
    /// ISO Base Media File Format", 4.3.2), elsewhere little-endian.
    pub(super) fn new(head: &[u8], big_endian: bool) -> Result<Self, String> {
        let head: &[u8; HEAD_BYTES] =
            head.first_chunk().ok_or_else(|| "the header of its Opus track is too short".to_owned())?;
        if head[18] != 0 {
            return Err("its Opus track has more than two channels".to_owned());
        }
        let mut decoder = OpusDecoder::new(Self::RATE as i32, 1).map_err(|error| error.to_string())?;
        let number = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        decoder.gain_q8 = i32::from(number([head[16], head[17]]).cast_signed());
        let pre_skip = usize::from(number([head[10], head[11]]));
        Ok(Self { decoder, pre_skip, decoded: vec![0.0; LONGEST_PACKET] })
    }

    /// Appends the packet's samples to `output`.
    pub(super) fn decode(&mut self, packet: &Packet, output: &mut Vec<f32>) -> Result<(), String> {
        let count = self
            .decoder
            .decode(&packet.data, LONGEST_PACKET, &mut self.decoded)
            .map_err(|error| error.to_string())?;
        let end = count.saturating_sub(packet.trim_end.get() as usize);
        let start = self.pre_skip.min(count);
        self.pre_skip -= start;
        output.extend_from_slice(self.decoded.get(start..end).unwrap_or_default());
        Ok(())
    }
}
