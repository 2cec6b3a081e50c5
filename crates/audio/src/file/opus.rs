//! Opus packets out of Ogg, WebM or Matroska.

use opus_pure::OpusDecoder;
use symphonia::core::packet::Packet;

/// Samples in the longest packet, 120 ms.
const LONGEST_PACKET: usize = 5_760;
/// Bytes of an `OpusHead` (RFC 7845, 5.1) of one stream.
const HEAD_BYTES: usize = 19;

/// Decodes packets to mono.
pub(super) struct OpusPackets {
    decoder: OpusDecoder,
    /// Samples still to be dropped: the encoder's delay.
    pre_skip: usize,
    decoded: Vec<f32>,
}

impl OpusPackets {
    /// Samples a second of what comes out.
    pub(super) const RATE: u32 = 48_000;

    /// `head` is the codec's private data, an `OpusHead`; its numbers are big-endian in MP4 ("Encapsulation of Opus
    /// in ISO Base Media File Format", 4.3.2).
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
