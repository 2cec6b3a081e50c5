//! The names of entries in Redis: `antiphon:cache:{kind}:{key in hex}`.

use crate::{Key, Kind};

const PREFIX: &[u8] = b"antiphon:cache:";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The name of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    pub(super) kind: Kind,
    pub(super) key: Key,
}

impl Name {
    /// The name as a key of Redis.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let kind = self.kind.name().as_bytes();
        let mut name = Vec::with_capacity(PREFIX.len() + kind.len() + 1 + 64);
        name.extend(PREFIX);
        name.extend(kind);
        name.push(b':');
        for byte in self.key.as_bytes() {
            name.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        name
    }

    /// The name of a key of Redis; `None` if it is not one of ours.
    pub(super) fn from_bytes(name: &[u8]) -> Option<Self> {
        let name = name.strip_prefix(PREFIX)?;
        let colon = name.iter().position(|byte| *byte == b':')?;
        let kind = Kind::from_name(std::str::from_utf8(&name[..colon]).ok()?)?;
        let digits: &[u8; 64] = name[colon + 1..].try_into().ok()?;
        let mut key = [0; 32];
        for (byte, digits) in key.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = value(digits[0])? << 4 | value(digits[1])?;
        }
        Some(Self { kind, key: Key::from_bytes(key) })
    }
}

/// The pattern for SCAN: the names of one kind, or of all.
pub(super) fn pattern(kind: Option<Kind>) -> String {
    format!("antiphon:cache:{}:*", kind.map_or("*", Kind::name))
}

fn value(digit: u8) -> Option<u8> {
    HEX.iter().position(|hex| *hex == digit).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(kind in 0_usize..4, key: [u8; 32]) {
            let name = Name { kind: Kind::ALL[kind], key: Key::from_bytes(key) };
            prop_assert_eq!(Name::from_bytes(&name.to_bytes()), Some(name));
        }

        #[test]
        fn any_name_is_taken_and_only_ours_is_read(name: Vec<u8>, at in 0_usize..80, byte: u8) {
            prop_assert_eq!(Name::from_bytes(&name), None);
            let mut ours = Name { kind: Kind::Reply, key: Key::from_bytes([7; 32]) }.to_bytes();
            let at = at % ours.len();
            ours[at] = byte;
            if let Some(read) = Name::from_bytes(&ours) {
                prop_assert_eq!(read.to_bytes(), ours, "one name, one way to write it");
            }
        }
    }

    #[test]
    fn names_say_the_kind_and_the_key() {
        let name = Name { kind: Kind::Speech, key: Key::from_bytes([0xa5; 32]) }.to_bytes();
        assert_eq!(String::from_utf8_lossy(&name), format!("antiphon:cache:speech:{}", "a5".repeat(32)));
        assert_eq!(pattern(Some(Kind::Speech)), "antiphon:cache:speech:*");
        assert_eq!(pattern(None), "antiphon:cache:*:*");
    }
}
