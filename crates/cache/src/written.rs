//! What all formats on disk have in common: a checksum in front, numbers in little-endian, texts preceded by their length.

/// The length of the checksum, a hash of everything behind it, in bytes.
const CHECKSUM: usize = 8;

/// A buffer to append to, with room for the checksum.
pub(super) fn begin() -> Vec<u8> {
    vec![0; CHECKSUM]
}

/// The buffer that was begun, with the checksum of what was appended.
pub(super) fn seal(mut form: Vec<u8>) -> Vec<u8> {
    if let Some((sum, content)) = form.split_first_chunk_mut() {
        *sum = checksum(content);
    }
    form
}

/// What was appended to a buffer; `None` if it is damaged.
pub(super) fn open(form: &[u8]) -> Option<&[u8]> {
    let (sum, content) = form.split_first_chunk()?;
    (*sum == checksum(content)).then_some(content)
}

/// Appends bytes with their length.
pub(super) fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend((part.len() as u32).to_le_bytes());
    out.extend(part);
}

/// The bytes that come next, as [`put`] appended them; `None` if the rest is shorter.
pub(super) fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    rest.split_off(..length)
}

/// As [`part`], of a text; `None` also if the bytes are not UTF-8.
pub(super) fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(part(rest)?).ok()
}

/// The next `N` bytes.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    let hash = blake3::hash(content);
    let mut first = [0; CHECKSUM];
    first.copy_from_slice(&hash.as_bytes()[..CHECKSUM]);
    first
}
