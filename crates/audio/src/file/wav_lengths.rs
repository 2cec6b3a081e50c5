//! WAV files whose header does not know how long they are.
//!
//! A program that writes WAV into a pipe learns the lengths when the header has long gone out. It leaves 0, 0x7FFF_FFFF or
//! 0xFFFF_FFFF there. The reader understands only the last, so the others are shown to it as that. ffmpeg reads them alike
//! (`libavformat/wavdec.c`: the length of the file is not used, and a data chunk of length 0 goes on to the end).

use std::io::{Read, Result, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

/// The data chunk is looked for in so many bytes from the start of the file.
const HEAD_BYTES: u64 = 4096;
/// The length that stands for "until the end of the stream".
const UNKNOWN: [u8; 4] = [0xFF; 4];

/// A file in which the WAV lengths that nobody can rely on read as unknown. A file of another format is passed on as it is.
pub(super) struct WavLengths<S> {
    source: S,
    position: u64,
    /// Where in the file an unknown length stands.
    unknown: Vec<u64>,
}

impl<S: MediaSource> WavLengths<S> {
    /// Reads the start of `source`, which stands at its beginning and can seek back there.
    pub(super) fn new(mut source: S) -> Result<Self> {
        let mut head = Vec::new();
        source.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
        source.rewind()?;
        Ok(Self { source, position: 0, unknown: unknown_lengths(&head) })
    }
}

/// Where the lengths stand that are to be read as unknown.
fn unknown_lengths(head: &[u8]) -> Vec<u64> {
    let [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] = head else { return Vec::new() };
    let mut unknown = vec![4];
    let mut at = 12;
    while let Some([tag @ .., a, b, c, d]) = head.get(at..at + 8) {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        if tag == b"data" {
            if length == 0 && head.len() > at + 8 {
                unknown.push(at as u64 + 4);
            }
            break;
        }
        // Chunks begin at even places.
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    }
    unknown
}

impl<S: Read> Read for WavLengths<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.source.read(buffer)?;
        let read = self.position..self.position + count as u64;
        for at in &self.unknown {
            for (place, byte) in (*at..).zip(UNKNOWN) {
                if read.contains(&place) {
                    buffer[(place - read.start) as usize] = byte;
                }
            }
        }
        self.position = read.end;
        Ok(count)
    }
}

impl<S: Seek> Seek for WavLengths<S> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.position = self.source.seek(to)?;
        Ok(self.position)
    }
}

impl<S: MediaSource> MediaSource for WavLengths<S> {
    fn is_seekable(&self) -> bool {
        self.source.is_seekable()
    }

    fn byte_len(&self) -> Option<u64> {
        self.source.byte_len()
    }
}
