//! A clip: speech stored as Opus packets in 4 to 9 % of the space of 16-bit PCM, and read back a few packets at a time.
//!
//! There is no container, because Ogg's pages alone would be a tenth of a short clause. A clip is a header, with numbers in
//! little-endian order,
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | version of this layout |
//! | 4 | sample rate in Hz |
//! | 4 | number of samples |
//! | 2 | the encoder's delay in samples at 48 kHz, as the pre-skip of RFC 7845, 5.1 |
//!
//! and then packets of 20 ms, each preceded by its length as written in RFC 6716, 3.2.1. The rate at which Opus codes follows
//! from the clip's own rate. Reading gives exactly as many samples, at the same rate, as were written.

use std::sync::Mutex;

use antiphon_core::{AudioChunk, SampleRate, lock};
use opus_pure::{Application, MAX_PACKET_BYTES, OpusDecoder, OpusEncoder};

use crate::resample::Resampler;

/// Version of the layout. Clips of another version are refused.
const VERSION: u8 = 1;
/// Length of the header in bytes.
const HEAD: usize = 11;
/// The rates at which Opus codes (RFC 6716, 2), without 12 kHz, at which no speech comes.
const CODED: [SampleRate; 4] =
    [SampleRate::HZ_8000, SampleRate::HZ_16000, SampleRate::HZ_24000, SampleRate::HZ_48000];
/// Packets of 20 ms, the length at which Opus works best (RFC 6716, 2.1.4).
const PACKETS_PER_SECOND: usize = 50;
/// A packet length below this is written in one byte, a longer one in two (RFC 6716, 3.2.1).
const ONE_BYTE: usize = 252;
/// Packets in the first chunk. Few, so that playback can start at once: some 33 ms, more than one frame of a call.
const FIRST: usize = 2;
/// Packets in each later chunk: 100 ms, so that decoding one does not hold up other work on the thread.
const LATER: usize = 5;
/// Bits a second at the coded rates of [`CODED`], within the sweet spots of RFC 6716, 2.1.1. With packet lengths and header they
/// stay below a tenth of what 16-bit PCM takes. At 24 kHz it is the upper bound: see [`bitrate`].
const BITS_PER_SECOND: [i32; 4] = [11_000, 20_000, 30_000, 32_000];
/// Share of the PCM bit rate, in thousandths, that a clip coded at 24 kHz may take:
/// voices of 22.05 kHz get a little less than [`BITS_PER_SECOND`].
const PER_MILLE_OF_PCM: i64 = 85;

/// A clip that could not be written or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClipError {
    /// The encoder refused the audio. Audio of less than a day at the usual rates of speech is never refused.
    #[error("{samples} samples at {} Hz cannot be kept as a clip: {reason}", .rate.hz())]
    Unwritable {
        /// The audio's sample rate.
        rate: SampleRate,
        /// The audio's length in samples.
        samples: usize,
        /// What the Opus encoder says is wrong.
        reason: String,
    },
    /// The bytes are not a clip, or part of the clip is missing or changed.
    #[error("this is no clip that can be read: {0}")]
    Damaged(String),
}

/// Encodes `samples` as a clip.
pub fn encode_clip(rate: SampleRate, samples: &[i16]) -> Result<Vec<u8>, ClipError> {
    write(rate, samples).map_err(|reason| ClipError::Unwritable { rate, samples: samples.len(), reason })
}

fn write(rate: SampleRate, samples: &[i16]) -> Result<Vec<u8>, String> {
    let coded = coded(rate);
    let mut encoder =
        OpusEncoder::new(coded.hz() as i32, 1, Application::Voip).map_err(|error| error.to_string())?;
    encoder.bitrate_bps = bitrate(rate, coded);
    let mut resampler = Resampler::new(rate, coded);
    let mut pcm = Vec::new();
    resampler.process(samples, &mut pcm);
    resampler.flush(&mut pcm);
    // The encoder's output lags its input by `delay` samples: pad the end so that the last samples come out, too.
    let delay = encoder.lookahead();
    let frame = frame(coded);
    pcm.resize((delay + pcm.len()).next_multiple_of(frame), 0);

    let count = u32::try_from(samples.len()).map_err(|_| "it is too long".to_owned())?;
    let pre_skip = (delay * SampleRate::HZ_48000.hz() as usize / coded.hz() as usize) as u16;
    let mut clip = vec![VERSION];
    clip.extend(rate.hz().to_le_bytes());
    clip.extend(count.to_le_bytes());
    clip.extend(pre_skip.to_le_bytes());
    let mut packet = vec![0; MAX_PACKET_BYTES];
    for samples in pcm.chunks_exact(frame) {
        let bytes = encoder.encode_s16(samples, frame, &mut packet).map_err(|error| error.to_string())?;
        push_length(bytes, &mut clip);
        clip.extend(&packet[..bytes]);
    }
    clip.shrink_to_fit();
    Ok(clip)
}

/// The rate at which Opus codes audio of `rate`: the next higher one.
fn coded(rate: SampleRate) -> SampleRate {
    CODED.into_iter().find(|coded| *coded >= rate).unwrap_or(SampleRate::HZ_48000)
}

/// Samples in one packet.
fn frame(coded: SampleRate) -> usize {
    coded.hz() as usize / PACKETS_PER_SECOND
}

/// Bits a second for audio of `rate` that is coded at `coded`.
fn bitrate(rate: SampleRate, coded: SampleRate) -> i32 {
    let [at_8k, at_16k, at_24k, at_48k] = BITS_PER_SECOND;
    match coded {
        SampleRate::HZ_8000 => at_8k,
        SampleRate::HZ_16000 => at_16k,
        SampleRate::HZ_24000 => {
            let share_of_pcm = i64::from(rate.hz()) * 16 * PER_MILLE_OF_PCM / 1_000;
            share_of_pcm.min(i64::from(at_24k)) as i32
        }
        _ => at_48k,
    }
}

/// A resampler from the rate at which Opus codes back to `rate`.
///
/// The latest resampler is kept in a static, because resamplers of the same rates share one filter table while any of them
/// lives. Computing that table takes longer than everything else up to the first chunk, and clips read one after another
/// mostly have the rate of the same voice.
fn back_to(rate: SampleRate) -> Resampler {
    static LATEST: Mutex<Option<Resampler>> = Mutex::new(None);

    let resampler = Resampler::new(coded(rate), rate);
    if coded(rate) != rate {
        *lock(&LATEST) = Some(resampler.clone());
    }
    resampler
}

fn push_length(length: usize, clip: &mut Vec<u8>) {
    if length < ONE_BYTE {
        clip.push(length as u8);
    } else {
        let low = ONE_BYTE + length % 4;
        clip.extend([low as u8, ((length - low) / 4) as u8]);
    }
}

/// Splits off the packet at the start of `bytes`; `None` if there is no whole packet.
fn split_packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let first = usize::from(first);
    let (length, rest) = if first < ONE_BYTE {
        (first, rest)
    } else {
        let (&second, rest) = rest.split_first()?;
        (first + 4 * usize::from(second), rest)
    };
    // The decoder takes an empty packet for one that was lost, so it is refused here.
    if length == 0 { None } else { rest.split_at_checked(length) }
}

/// Reads a clip chunk by chunk. The first chunk is short, the others last 100 ms. The iterator ends after an error.
///
/// The bytes are not trusted: memory does not grow with what the header claims.
pub struct ClipReader<B> {
    bytes: B,
    /// Index of the next packet's first byte.
    at: usize,
    rate: SampleRate,
    /// Samples not yet given out.
    left: usize,
    /// Samples of the encoder's delay still to be dropped, at the coded rate.
    skip: usize,
    decoder: OpusDecoder,
    resampler: Resampler,
    /// The samples of one packet, at the coded rate.
    decoded: Vec<i16>,
    /// The samples of one chunk, at the clip's rate.
    samples: Vec<i16>,
    /// Packets to decode for the next chunk.
    packets: usize,
}

impl<B: AsRef<[u8]>> ClipReader<B> {
    /// Checks, without decoding, that `bytes` are a whole clip.
    pub fn new(bytes: B) -> Result<Self, ClipError> {
        let damaged = |what: &str| ClipError::Damaged(what.to_owned());
        let head: &[u8; HEAD] =
            bytes.as_ref().first_chunk().ok_or_else(|| damaged("its header is cut short"))?;
        let &[version, r0, r1, r2, r3, s0, s1, s2, s3, p0, p1] = head;
        if version != VERSION {
            return Err(ClipError::Damaged(format!("it is of version {version}, not {VERSION}")));
        }
        let rate = SampleRate::new(u32::from_le_bytes([r0, r1, r2, r3]))
            .ok_or_else(|| damaged("its sample rate is absurd"))?;
        let left = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        let coded = coded(rate);
        let at_48k = usize::from(u16::from_le_bytes([p0, p1]));
        let skip = at_48k * coded.hz() as usize / SampleRate::HZ_48000.hz() as usize;

        let frame = frame(coded);
        if skip >= frame {
            return Err(damaged("no encoder's delay is as long"));
        }
        let length = (left as u64 * u64::from(coded.hz())).div_ceil(u64::from(rate.hz()));
        let needed = (skip as u64 + length).div_ceil(frame as u64);
        if count_packets(&bytes.as_ref()[HEAD..]) != Some(needed) {
            return Err(damaged("its packets are not those its header tells of"));
        }
        let decoder =
            OpusDecoder::new(coded.hz() as i32, 1).map_err(|e| ClipError::Damaged(e.to_string()))?;
        let resampler = back_to(rate);
        let (decoded, samples) = (vec![0; frame], Vec::new());
        Ok(Self { bytes, at: HEAD, rate, left, skip, decoder, resampler, decoded, samples, packets: FIRST })
    }

    /// Sample rate of the chunks.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Decodes the next packet, if there is one.
    fn decode(&mut self) -> Result<(), ClipError> {
        let rest = self.bytes.as_ref().get(self.at..).unwrap_or_default();
        let Some((packet, after)) = split_packet(rest) else { return Ok(()) };
        let frame = self.decoded.len();
        let decoded = self.decoder.decode_s16(packet, frame, &mut self.decoded);
        self.at += rest.len() - after.len();
        match decoded {
            Ok(count) if count == frame => {}
            Ok(_) => return Err(ClipError::Damaged("a packet does not last 20 ms".to_owned())),
            Err(error) => return Err(ClipError::Damaged(error.to_string())),
        }
        let skipped = self.skip.min(frame);
        self.skip -= skipped;
        self.resampler.process(&self.decoded[skipped..], &mut self.samples);
        if after.is_empty() {
            self.resampler.flush(&mut self.samples);
        }
        Ok(())
    }
}

/// The number of packets; `None` if the bytes do not consist of whole packets.
fn count_packets(mut bytes: &[u8]) -> Option<u64> {
    let mut count = 0;
    while !bytes.is_empty() {
        bytes = split_packet(bytes)?.1;
        count += 1;
    }
    Some(count)
}

impl<B: AsRef<[u8]>> Iterator for ClipReader<B> {
    type Item = Result<AudioChunk, ClipError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.samples.clear();
        for _ in 0..std::mem::replace(&mut self.packets, LATER) {
            if let Err(error) = self.decode() {
                self.left = 0;
                return Some(Err(error));
            }
        }
        self.samples.truncate(self.left);
        self.left -= self.samples.len();
        Some(Ok(AudioChunk::new(self.rate, &self.samples[..])))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{correlation, noise, speech};

    const SPEECH_RATES: [u32; 5] = [8_000, 16_000, 22_050, 24_000, 48_000];

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    fn read(clip: &[u8]) -> Result<Vec<AudioChunk>, ClipError> {
        ClipReader::new(clip)?.collect()
    }

    fn samples(chunks: &[AudioChunk]) -> Vec<i16> {
        chunks.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect()
    }

    #[test]
    fn length_rate_alignment_and_likeness_are_kept() {
        for hz in SPEECH_RATES {
            for length in [0, 1, 319, 30_001] {
                let said = speech(length);
                let chunks = read(&encode_clip(rate(hz), &said).unwrap()).unwrap();
                assert!(chunks.iter().all(|chunk| chunk.rate == rate(hz)), "at {hz}");
                let heard = samples(&chunks);
                assert_eq!(heard.len(), length, "at {hz}");
                if length > 10_000 {
                    let alike = correlation(&said, &heard);
                    assert!(alike > 0.85, "at {hz}: {alike}");
                    let late = correlation(&said[3..], &heard);
                    let early = correlation(&said, &heard[3..]);
                    assert!(late.max(early) < alike, "at {hz}: {early}, {alike}, {late}");
                }
            }
        }
    }

    #[test]
    fn the_first_chunk_is_short_and_none_is_long_or_empty() {
        for hz in SPEECH_RATES {
            let chunks = read(&encode_clip(rate(hz), &speech(30_001)).unwrap()).unwrap();
            let ms = |chunk: &AudioChunk| chunk.duration().as_secs_f64() * 1e3;
            assert!((20.0..41.0).contains(&ms(&chunks[0])), "{} ms at {hz}", ms(&chunks[0]));
            assert!(chunks.iter().all(|chunk| (0.01..111.0).contains(&ms(chunk))), "at {hz}");
        }
    }

    #[test]
    fn a_clip_is_at_most_a_tenth_of_a_wav() {
        const WAV_HEADER: usize = 44;
        for hz in SPEECH_RATES {
            for (name, said) in [("speech", speech(2 * hz as usize)), ("noise", noise(2 * hz as usize))] {
                let clip = encode_clip(rate(hz), &said).unwrap().len();
                let wav = WAV_HEADER + 2 * said.len();
                assert!(clip * 10 <= wav, "{name} at {hz}: {clip} of {wav}");
            }
        }
    }

    #[test]
    fn lengths_are_written_as_opus_does() {
        for (length, written) in [(1, &[1][..]), (251, &[251]), (252, &[252, 0]), (1_275, &[255, 255])] {
            let mut clip = Vec::new();
            push_length(length, &mut clip);
            assert_eq!(clip, written);
        }
        for length in 1..=1_275 {
            let mut clip = Vec::new();
            push_length(length, &mut clip);
            clip.resize(clip.len() + length, 7);
            assert_eq!(split_packet(&clip), Some((&[7; 1_275][..length], &[][..])));
        }
    }

    #[test]
    fn a_clip_sounds_the_same_whatever_is_read_before_it_and_meanwhile() {
        let first = encode_clip(SampleRate::HZ_22050, &speech(5_000)).unwrap();
        let second = encode_clip(SampleRate::HZ_22050, &noise(5_000)).unwrap();
        let other = encode_clip(rate(32_000), &speech(5_000)).unwrap();
        let alone = [&first, &second].map(|clip| {
            // Reading a clip of another rate replaces the filter that is kept.
            read(&other).unwrap();
            samples(&read(clip).unwrap())
        });
        assert_eq!(samples(&read(&second).unwrap()), alone[1], "after itself");
        let [mut one, mut two] = [&first, &second].map(|clip| ClipReader::new(clip).unwrap());
        let mut heard = [Vec::new(), Vec::new()];
        while let (Some(a), Some(b)) = (one.next(), two.next()) {
            heard[0].extend_from_slice(&a.unwrap().samples);
            heard[1].extend_from_slice(&b.unwrap().samples);
            // A third reader is dropped in the middle of its clip.
            ClipReader::new(&first).unwrap().next();
        }
        assert_eq!(heard, alone, "turn by turn");
    }

    #[test]
    fn what_is_cut_short_or_of_another_version_is_refused() {
        let clip = encode_clip(SampleRate::HZ_22050, &speech(5_000)).unwrap();
        for length in 0..clip.len() {
            assert!(ClipReader::new(&clip[..length]).is_err(), "{length} bytes");
        }
        let mut longer = clip.clone();
        longer.extend([1, 0]);
        assert!(ClipReader::new(&longer).is_err());
        let mut other = clip;
        other[0] = 2;
        let error = ClipReader::new(&other).err().unwrap().to_string();
        assert!(error.contains("version 2"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(read(&bytes).is_err());
        }

        /// A header that fits whatever packets follow.
        #[test]
        fn any_packets_end(
            hz in 4_000_u32..50_000,
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..12),
        ) {
            let count = ((packets.len() - 1) * hz as usize / PACKETS_PER_SECOND) as u32;
            let mut clip = vec![VERSION];
            clip.extend(hz.to_le_bytes());
            clip.extend(count.to_le_bytes());
            clip.extend(312_u16.to_le_bytes());
            for packet in packets {
                push_length(packet.len(), &mut clip);
                clip.extend(packet);
            }
            if let Ok(chunks) = read(&clip) {
                prop_assert_eq!(samples(&chunks).len(), count as usize);
            }
        }

        #[test]
        fn damage_is_an_error_or_as_much_audio(at in 0_usize..2_000, bit in 0_u8..8, hz in 0_usize..5) {
            let mut clip = encode_clip(rate(SPEECH_RATES[hz]), &speech(4_000)).unwrap();
            let at = at % clip.len();
            clip[at] ^= 1 << bit;
            let Ok(reader) = ClipReader::new(&clip) else { return Ok(()) };
            let claimed = reader.left;
            if let Ok(chunks) = reader.collect::<Result<Vec<_>, _>>() {
                prop_assert_eq!(samples(&chunks).len(), claimed);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_audio_comes_back_at_its_length(
            hz in 4_000_u32..100_000,
            said in prop::collection::vec(any::<i16>(), 0..6_000),
        ) {
            let clip = encode_clip(rate(hz), &said).unwrap();
            prop_assert_eq!(samples(&read(&clip).unwrap()).len(), said.len());
        }
    }
}
