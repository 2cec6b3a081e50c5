//! ITU-T G.711, the codec of telephony: eight bits for each sample at 8 kHz.

/// Shifts the eight segments of mu-law so that each begins at a power of two: 33 on the standard's 14-bit scale.
const MU_BIAS: u16 = 33 << 2;
/// The largest magnitude that mu-law can express: 8158 on the standard's 14-bit scale, and the fraction below it.
const MU_CLIP: u16 = 8159 * 4 - 1;
/// A-law inverts every second bit on the line.
const A_INVERTED: u8 = 0x55;
/// The sample of every mu-law byte.
const MU_DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = decode_mu(byte as u8);
        byte += 1;
    }
    table
};
/// The sample of every A-law byte.
const A_DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = decode_a(byte as u8);
        byte += 1;
    }
    table
};

/// The two companding laws of G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// mu-law, "PCMU": used in North America and Japan, and by every media stream of Twilio.
    Mu,
    /// A-law, "PCMA": used everywhere else.
    A,
}

impl Law {
    /// The sample that a byte stands for.
    pub const fn decode(self, byte: u8) -> i16 {
        match self {
            Self::Mu => MU_DECODED[byte as usize],
            Self::A => A_DECODED[byte as usize],
        }
    }

    /// The byte whose decision interval (G.711, tables 1 and 2) holds `sample`.
    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => encode_mu(sample),
            Self::A => encode_a(sample),
        }
    }

    /// Appends one sample for each byte.
    pub fn decode_into(self, bytes: &[u8], samples: &mut Vec<i16>) {
        match self {
            Self::Mu => samples.extend(bytes.iter().map(|&byte| MU_DECODED[byte as usize])),
            Self::A => samples.extend(bytes.iter().map(|&byte| A_DECODED[byte as usize])),
        }
    }

    /// Appends one byte for each sample.
    pub fn encode_into(self, samples: &[i16], bytes: &mut Vec<u8>) {
        match self {
            Self::Mu => bytes.extend(samples.iter().map(|&sample| encode_mu(sample))),
            Self::A => bytes.extend(samples.iter().map(|&sample| encode_a(sample))),
        }
    }
}

const fn encode_mu(sample: i16) -> u8 {
    let magnitude = sample.unsigned_abs();
    let biased = if magnitude > MU_CLIP { MU_CLIP } else { magnitude } + MU_BIAS;
    // Between 2^7 and 2^15, so the segment is 0 to 7.
    let segment = biased.ilog2() - 7;
    let step = (biased >> (segment + 3)) & 0x0F;
    let sign = if sample < 0 { 0x80 } else { 0 };
    // mu-law inverts all bits on the line.
    !(sign | (segment as u8) << 4 | step as u8)
}

const fn decode_mu(byte: u8) -> i16 {
    let code = !byte;
    let segment = (code >> 4) & 0x07;
    let step = (code & 0x0F) as i16;
    let magnitude = (((step << 3) + MU_BIAS as i16) << segment) - MU_BIAS as i16;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

const fn encode_a(sample: i16) -> u8 {
    // 11 bits of magnitude, of which the first two segments take 0 to 31. A-law has no zero: the ones' complement makes the
    // negative half a mirror image of the positive one.
    let magnitude = (if sample < 0 { !sample } else { sample }) as u16 >> 4;
    let code = if magnitude < 32 {
        magnitude as u8
    } else {
        let segment = magnitude.ilog2() - 3;
        (segment as u8) << 4 | ((magnitude >> (segment - 1)) & 0x0F) as u8
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (code | sign) ^ A_INVERTED
}

const fn decode_a(byte: u8) -> i16 {
    let code = byte ^ A_INVERTED;
    let segment = (code >> 4) & 0x07;
    let step = (code & 0x0F) as i16;
    // A byte stands for the middle of its decision interval.
    let magnitude = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_vectors_of_both_laws_hold() {
        // From CPython's audioop (ulaw2lin, alaw2lin, lin2ulaw, lin2alaw).
        for (byte, mu, a) in [
            (0x00, -32124, -5504),
            (0x01, -31100, -5248),
            (0x2A, -5372, -32256),
            (0x55, -716, -8),
            (0x7F, 0, -848),
            (0x80, 32124, 5504),
            (0xAA, 5372, 32256),
            (0xD5, 716, 8),
            (0xFF, 0, 848),
        ] {
            assert_eq!(Law::Mu.decode(byte), mu, "mu-law {byte:#04x}");
            assert_eq!(Law::A.decode(byte), a, "A-law {byte:#04x}");
        }
        for (sample, mu, a) in [
            (0, 0xFF, 0xD5),
            (1_000, 0xCE, 0xFA),
            (-1_000, 0x4E, 0x7A),
            (12_345, 0x97, 0xBD),
            (32_767, 0x80, 0xAA),
            (-32_768, 0x00, 0x2A),
        ] {
            assert_eq!(Law::Mu.encode(sample), mu, "mu-law {sample}");
            assert_eq!(Law::A.encode(sample), a, "A-law {sample}");
        }
    }

    #[test]
    fn every_byte_survives_decoding_and_encoding() {
        for byte in 0..=255 {
            assert_eq!(Law::A.encode(Law::A.decode(byte)), byte);
            // mu-law has two zeros; the negative one comes back as the positive one.
            let expected = if byte == 0x7F { 0xFF } else { byte };
            assert_eq!(Law::Mu.encode(Law::Mu.decode(byte)), expected);
        }
    }

    #[test]
    fn both_laws_are_monotonic() {
        for law in [Law::Mu, Law::A] {
            let decoded: Vec<_> =
                (i16::MIN..=i16::MAX).map(|sample| law.decode(law.encode(sample))).collect();
            assert!(decoded.is_sorted(), "{law:?}");
        }
    }

    proptest! {
        #[test]
        fn the_error_is_at_most_half_a_step(sample: i16) {
            for law in [Law::Mu, Law::A] {
                let error = i32::from(law.decode(law.encode(sample))) - i32::from(sample);
                // A segment is an octave with sixteen steps, so that the error is up to 1/32 of the biased magnitude.
                // Clipping adds to it.
                let allowed = (i32::from(sample).abs() + 132) / 32 + 4 + (i32::from(sample).abs() - 32_635).max(0);
                prop_assert!(error.abs() <= allowed, "{law:?}: {sample} is off by {error}");
            }
        }

        #[test]
        fn slices_are_coded_sample_by_sample(samples: Vec<i16>) {
            for law in [Law::Mu, Law::A] {
                let mut bytes = Vec::new();
                law.encode_into(&samples, &mut bytes);
                let mut decoded = Vec::new();
                law.decode_into(&bytes, &mut decoded);
                let expected: Vec<_> = samples.iter().map(|&sample| law.decode(law.encode(sample))).collect();
                prop_assert_eq!(decoded, expected);
            }
        }
    }
}
