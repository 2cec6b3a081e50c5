//! Whether a GGUF file is whole, by its own header: a download that broke off, or a copy to a disk that was full, is refused with a
//! sentence before llama.cpp maps it.
//!
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use antiphon_core::{Error, Result};

/// How a GGUF file begins.
const MAGIC: [u8; 4] = *b"GGUF";
/// The versions of the format that have 64-bit lengths; llama.cpp reads no others.
const VERSIONS: [u32; 2] = [2, 3];
/// The key of the number of bytes at whose multiples data begins.
const ALIGNMENT: &[u8] = b"general.alignment";
/// That number where the file says nothing.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Value types: a text, and a list of values of one type. All others have a fixed size.
const TEXT: u32 = 8;
const LIST: u32 = 9;
/// The most dimensions of a tensor (`GGML_MAX_DIMS`).
const MAX_DIMENSIONS: u32 = 4;

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
enum Damage {
    /// It ends before its header or its data does; the bytes that it must have at least.
    CutShort(u64),
    /// Its header says what no GGUF file says.
    Foreign(&'static str),
    /// It could not be read.
    Unreadable(String),
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Refuses a file that is no GGUF file, or of which the end is missing.
pub fn check(file: &Path) -> Result<()> {
    let name = file.display();
    let opened = || {
        let opened = File::open(file)?;
        let length = opened.metadata()?.len();
        check_header(&mut Header { rest: BufReader::new(opened), at: 0, length })
    };
    opened().map_err(|damage| {
        Error::internal(match damage {
            Damage::CutShort(needed) => format!(
                "{name} is cut short: it has not the {needed} bytes that its header asks for: fetch or copy it anew; \
                 `antiphon models verify` checks the models that Antiphon fetches"
            ),
            Damage::Foreign(what) => format!("{name} is no GGUF file that can be loaded ({what}): fetch or copy it anew"),
            Damage::Unreadable(why) => format!("{name} cannot be read: {why}"),
        })
    })
}

/// The header of a file while it is read.
struct Header<R> {
    rest: R,
    /// How much of it has been read.
    at: u64,
    /// How long the whole file is.
    length: u64,
}

fn check_header(header: &mut Header<impl BufRead>) -> std::result::Result<(), Damage> {
    if header.take::<4>()? != MAGIC {
        return Err(Damage::Foreign("it does not begin with GGUF"));
    }
    if !VERSIONS.contains(&header.u32()?) {
        return Err(Damage::Foreign("it is of an unknown version"));
    }
    let (tensors, values) = (header.u64()?, header.u64()?);
    let mut alignment = DEFAULT_ALIGNMENT;
    for _ in 0..values {
        let is_alignment = header.name_is(ALIGNMENT)?;
        match header.u32()? {
            4 if is_alignment => alignment = u64::from(header.u32()?),
            kind => header.skip_value(kind)?,
        }
    }
    if !alignment.is_power_of_two() {
        return Err(Damage::Foreign("general.alignment is no power of two"));
    }
    let mut data = 0;
    for _ in 0..tensors {
        data = data.max(header.tensor_end()?);
    }
    let begins = header.at.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    // A file without tensors ends with its header.
    let needed = if tensors == 0 { header.at } else { begins.saturating_add(data) };
    if needed > header.length { Err(Damage::CutShort(needed)) } else { Ok(()) }
}

impl<R: BufRead> Header<R> {
    /// Refuses to go on if the file has not `bytes` bytes more.
    fn needs(&self, bytes: u64) -> std::result::Result<u64, Damage> {
        let end = self.at.saturating_add(bytes);
        if end > self.length { Err(Damage::CutShort(end)) } else { Ok(end) }
    }

    fn take<const N: usize>(&mut self) -> std::result::Result<[u8; N], Damage> {
        let end = self.needs(N as u64)?;
        let mut taken = [0; N];
        self.rest.read_exact(&mut taken)?;
        self.at = end;
        Ok(taken)
    }

    /// Passes over bytes; they take no memory, however many they are.
    fn skip(&mut self, bytes: u64) -> std::result::Result<(), Damage> {
        let end = self.needs(bytes)?;
        io::copy(&mut self.rest.by_ref().take(bytes), &mut io::sink())?;
        self.at = end;
        Ok(())
    }

    fn u32(&mut self) -> std::result::Result<u32, Damage> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> std::result::Result<u64, Damage> {
        self.take().map(u64::from_le_bytes)
    }

    /// Reads a name, and tells whether it is this one.
    fn name_is(&mut self, name: &[u8]) -> std::result::Result<bool, Damage> {
        let length = self.u64()?;
        if length != name.len() as u64 {
            self.skip(length)?;
            return Ok(false);
        }
        let mut same = true;
        for byte in name {
            same &= self.take::<1>()? == [*byte];
        }
        Ok(same)
    }

    fn skip_text(&mut self) -> std::result::Result<(), Damage> {
        let length = self.u64()?;
        self.skip(length)
    }

    fn skip_value(&mut self, kind: u32) -> std::result::Result<(), Damage> {
        match kind {
            TEXT => self.skip_text(),
            LIST => self.skip_list(),
            _ => self.skip(value_size(kind)?),
        }
    }

    fn skip_list(&mut self) -> std::result::Result<(), Damage> {
        let (kind, count) = (self.u32()?, self.u64()?);
        if kind != TEXT {
            return self.skip(value_size(kind)?.saturating_mul(count));
        }
        for _ in 0..count {
            self.skip_text()?;
        }
        Ok(())
    }

    /// Reads the description of a tensor; where its data ends, from the place where all data begins.
    fn tensor_end(&mut self) -> std::result::Result<u64, Damage> {
        self.skip_text()?;
        let dimensions = self.u32()?;
        if dimensions > MAX_DIMENSIONS {
            return Err(Damage::Foreign("a tensor has more than four dimensions"));
        }
        let mut values = 1_u64;
        for _ in 0..dimensions {
            values = values.saturating_mul(self.u64()?);
        }
        let (kind, offset) = (self.u32()?, self.u64()?);
        Ok(offset.saturating_add(tensor_bytes(kind, values)))
    }
}

/// The bytes of a value that is neither a text nor a list.
fn value_size(kind: u32) -> std::result::Result<u64, Damage> {
    Ok(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return Err(Damage::Foreign("a value is of an unknown type, or a list of lists")),
    })
}

/// The bytes of so many values in a tensor of this type (`ggml_type`), which are packed in blocks. Of a type that is not known here
/// only the beginning is known.
fn tensor_bytes(kind: u32, values: u64) -> u64 {
    // Values of a block and its bytes, from the `block_*` structures in llama.cpp's `ggml-common.h`.
    let (block, bytes) = match kind {
        0 | 26 => (1, 4),
        1 | 25 | 30 => (1, 2),
        2 | 20 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        10 => (256, 84),
        11 | 21 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        16 | 35 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        22 => (256, 82),
        23 => (256, 136),
        24 => (1, 1),
        27 | 28 => (1, 8),
        29 => (256, 56),
        34 => (256, 54),
        39 => (32, 17),
        _ => return 0,
    };
    (values / block).saturating_mul(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(file: &mut Vec<u8>, text: &str) {
        file.extend((text.len() as u64).to_le_bytes());
        file.extend(text.as_bytes());
    }

    /// A file with a value of every form and one tensor of 64 numbers in the type Q8_0, of 68 bytes.
    fn model(alignment: u32) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend(1_u64.to_le_bytes());
        file.extend(4_u64.to_le_bytes());
        text(&mut file, "general.name");
        file.extend(TEXT.to_le_bytes());
        text(&mut file, "a model");
        text(&mut file, "general.alignment");
        file.extend(4_u32.to_le_bytes());
        file.extend(alignment.to_le_bytes());
        text(&mut file, "tokenizer.ggml.tokens");
        file.extend(LIST.to_le_bytes());
        file.extend(TEXT.to_le_bytes());
        file.extend(2_u64.to_le_bytes());
        text(&mut file, "one");
        text(&mut file, "two");
        text(&mut file, "tokenizer.ggml.scores");
        file.extend(LIST.to_le_bytes());
        file.extend(6_u32.to_le_bytes());
        file.extend(2_u64.to_le_bytes());
        file.extend([0; 8]);
        text(&mut file, "output.weight");
        file.extend(2_u32.to_le_bytes());
        file.extend(32_u64.to_le_bytes());
        file.extend(2_u64.to_le_bytes());
        file.extend(8_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        let begins = file.len().next_multiple_of(alignment as usize);
        file.resize(begins + 68, 7);
        file
    }

    fn damage(bytes: &[u8]) -> std::result::Result<(), Damage> {
        check_header(&mut Header { rest: bytes, at: 0, length: bytes.len() as u64 })
    }

    #[test]
    fn a_whole_file_is_taken() {
        for alignment in [1, 32, 64] {
            assert_eq!(damage(&model(alignment)), Ok(()), "{alignment}");
        }
    }

    #[test]
    fn what_is_no_model_is_told_with_the_file_and_what_to_do() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut whole = model(32);
        for (bytes, says) in
            [(&b"this is no model"[..], "does not begin with GGUF"), (&whole[..40], "is cut short")]
        {
            std::fs::write(file.path(), bytes).expect("written");
            let error = check(file.path()).expect_err("refused").to_string();
            assert!(error.contains(says) && error.contains("copy it anew"), "{error}");
            assert!(error.contains(&file.path().display().to_string()), "{error}");
        }
        whole[4] = 9;
        assert_eq!(damage(&whole), Err(Damage::Foreign("it is of an unknown version")));
        assert_eq!(damage(&model(32)[..0]), Err(Damage::CutShort(4)));
        assert!(check(Path::new("/")).is_err(), "a folder is no file");
    }

    #[test]
    fn a_header_that_promises_more_than_any_memory_holds_takes_none() {
        let mut file = MAGIC.to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend(u64::MAX.to_le_bytes());
        file.extend(u64::MAX.to_le_bytes());
        file.extend(u64::MAX.to_le_bytes());
        assert_eq!(damage(&file), Err(Damage::CutShort(u64::MAX)));
    }

    #[test]
    fn the_default_model_is_whole_and_half_of_it_is_not() {
        let model = antiphon_testkit::models().join("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
        check(&model).expect("whole");
        let bytes = std::fs::read(&model).expect("readable");
        for length in [1_000, bytes.len() / 2, bytes.len() - 64] {
            assert!(matches!(damage(&bytes[..length]), Err(Damage::CutShort(_))), "{length}");
        }
    }

    proptest! {
        #[test]
        fn wherever_a_file_is_cut_it_is_refused(cut: prop::sample::Index) {
            let whole = model(32);
            let cut = cut.index(whole.len());
            prop_assert!(matches!(damage(&whole[..cut]), Err(Damage::CutShort(needed)) if needed > cut as u64));
        }

        #[test]
        fn any_header_is_read_or_refused(header: Vec<u8>) {
            let _ = damage(&[&MAGIC[..], &3_u32.to_le_bytes(), &header].concat());
        }

        #[test]
        fn damage_anywhere_is_read_or_refused(at: prop::sample::Index, byte: u8) {
            let mut file = model(32);
            let at = at.index(file.len());
            file[at] = byte;
            let _ = damage(&file);
        }
    }
}
