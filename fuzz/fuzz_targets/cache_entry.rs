//! Bytes that a cache finds on disk or in Redis, once with a correct checksum and once without. They are read as an entry, which
//! is written exactly as it was read, or are refused.
#![no_main]

use antiphon_cache::Entry;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// The hash that an entry begins with.
const CHECKSUM: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let checksum = blake3::hash(bytes);
    let whole = [&checksum.as_bytes()[..CHECKSUM], bytes].concat();
    for bytes in [Bytes::copy_from_slice(bytes), whole.into()] {
        if let Some(entry) = Entry::from_bytes(&bytes) {
            assert_eq!(Entry::from_bytes(&entry.to_bytes().into()), Some(entry));
        }
    }
});
