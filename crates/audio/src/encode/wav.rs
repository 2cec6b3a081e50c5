//! The header of a 16-bit mono WAV file.

use antiphon_core::SampleRate;

/// A RIFF header, a format chunk of 16 bytes and the header of the data chunk.
const HEADER_BYTES: usize = 44;
const BYTES_PER_SAMPLE: u32 = 2;
/// The length that ffmpeg and OpenAI write while it is not known. It claims 4 GB only to whoever does not know its meaning: ffmpeg,
/// libsndfile, Symphonia, SciPy and pydub read it as "to the end", and Python's `wave` reads to the end, too. Of a length of 0, which
/// would claim nothing, all but ffmpeg read nothing; 0x7FFF_FFFF and what sox writes are lengths like any other, of half a day.
const UNKNOWN: u32 = u32::MAX;

/// The header of a file of `samples` samples; `None` if the length is not known yet.
pub(super) fn header(rate: SampleRate, samples: Option<u64>) -> [u8; HEADER_BYTES] {
    let data = samples
        .and_then(|samples| u32::try_from(samples.saturating_mul(u64::from(BYTES_PER_SAMPLE))).ok())
        .unwrap_or(UNKNOWN);
    let riff = data.checked_add(HEADER_BYTES as u32 - 8).unwrap_or(UNKNOWN);
    let mut header = [0; HEADER_BYTES];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &riff.to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16u32.to_le_bytes(),
        // Format 1 is PCM, with one channel.
        &1u16.to_le_bytes(),
        &1u16.to_le_bytes(),
        &rate.hz().to_le_bytes(),
        &(rate.hz() * BYTES_PER_SAMPLE).to_le_bytes(),
        &(BYTES_PER_SAMPLE as u16).to_le_bytes(),
        &16u16.to_le_bytes(),
        b"data",
        &data.to_le_bytes(),
    ];
    let mut at = 0;
    for field in fields {
        header[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_length_is_exact_and_an_unknown_one_is_the_largest() {
        let known = header(SampleRate::HZ_8000, Some(10));
        assert_eq!(known[4..8], 56u32.to_le_bytes());
        assert_eq!(known[40..], 20u32.to_le_bytes());
        let unknown = header(SampleRate::HZ_8000, None);
        assert_eq!((&unknown[4..8], &unknown[40..]), (&[0xFF; 4][..], &[0xFF; 4][..]));
    }
}
