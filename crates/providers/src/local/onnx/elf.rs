//! Whether a shared library is whole, by its own headers. The loader maps a file and touches what its headers promise: in half a
//! library that kills the process with SIGBUS, before anybody can say why.
//!
//! The format: <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use antiphon_core::{Error, Result};

/// Bytes of the head of a 64-bit file.
const HEAD: usize = 64;
/// Bytes of an entry of the program table.
const ENTRY: usize = 56;
/// How an ELF file with 64 bits and little-endian numbers begins. The loader refuses all others by itself.
const MAGIC: [u8; 6] = [0x7F, b'E', b'L', b'F', 2, 1];

/// Refuses a library of which the end is missing.
pub(super) fn check(library: &Path) -> Result<()> {
    let unreadable = |e: io::Error| Error::internal(format!("{} cannot be read: {e}", library.display()));
    let mut file = File::open(library).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let promised = match promised_length(&mut file) {
        Ok(promised) => promised.unwrap_or_default(),
        // The headers themselves are cut off.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => length.saturating_add(1),
        Err(e) => return Err(unreadable(e)),
    };
    if promised <= length {
        return Ok(());
    }
    Err(Error::internal(format!(
        "{} is cut short: it has {length} bytes of at least {promised}: fetch it anew with `antiphon models pull onnxruntime --force`",
        library.display()
    )))
}

/// How long the file must be, by its own headers; `None` if it is of another format, which the loader refuses. `UnexpectedEof` if
/// the headers are not all there.
fn promised_length(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let mut magic = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    if magic != MAGIC {
        return Ok(None);
    }
    let mut head = [0; HEAD];
    head[..MAGIC.len()].copy_from_slice(&magic);
    file.read_exact(&mut head[MAGIC.len()..])?;
    let (segments, sections) = (number::<8>(&head, 32), number::<8>(&head, 40));
    let (segment_size, segment_count) = (number::<2>(&head, 54), number::<2>(&head, 56));
    let (section_size, section_count) = (number::<2>(&head, 58), number::<2>(&head, 60));
    let end = |at: u64, size: u64, count: u64| at.saturating_add(size * count);
    let mut promised =
        end(segments, segment_size, segment_count).max(end(sections, section_size, section_count));
    for n in 0..segment_count {
        file.seek(SeekFrom::Start(segments.saturating_add(n * segment_size)))?;
        let mut entry = [0; ENTRY];
        file.read_exact(&mut entry)?;
        promised = promised.max(end(number::<8>(&entry, 8), number::<8>(&entry, 32), 1));
    }
    Ok(Some(promised))
}

/// The little-endian number of `N` bytes, at most eight, at this place of a header.
fn number<const N: usize>(header: &[u8], at: usize) -> u64 {
    header[at..at + N].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// A file with one segment of `bytes` bytes behind its headers, and a table of two sections behind that.
    fn library(bytes: usize) -> Vec<u8> {
        let mut file = vec![0; HEAD + ENTRY];
        file[..MAGIC.len()].copy_from_slice(&MAGIC);
        let mut put = |at: usize, number: usize, size: usize| {
            file[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
        };
        put(32, HEAD, 8);
        put(40, HEAD + ENTRY + bytes, 8);
        put(54, ENTRY, 2);
        put(56, 1, 2);
        put(58, 64, 2);
        put(60, 2, 2);
        put(HEAD + 8, HEAD + ENTRY, 8);
        put(HEAD + 32, bytes, 8);
        file.resize(HEAD + ENTRY + bytes + 128, 7);
        file
    }

    fn checked(bytes: &[u8]) -> Result<()> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        check(file.path())
    }

    #[test]
    fn a_whole_library_is_left_to_the_loader_and_so_is_what_is_none() {
        checked(&library(1_000)).expect("whole");
        for other in
            [&b""[..], b"\x7FEL", b"no library at all, but some text that is longer than a header of one"]
        {
            checked(other).expect("the loader refuses it");
        }
    }

    proptest! {
        #[test]
        fn wherever_a_library_is_cut_it_is_refused(bytes in 0_usize..2_000, cut: prop::sample::Index) {
            let whole = library(bytes);
            let length = MAGIC.len() + cut.index(whole.len() - MAGIC.len());
            let refused = checked(&whole[..length]).expect_err("cut short").to_string();
            prop_assert!(refused.contains("is cut short") && refused.contains("antiphon models pull onnxruntime"));
        }

        #[test]
        fn any_headers_are_read_or_refused(headers: Vec<u8>) {
            let file = [&MAGIC[..], &headers].concat();
            let _ = promised_length(&mut Cursor::new(file));
        }
    }
}
