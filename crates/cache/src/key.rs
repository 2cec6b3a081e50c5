//! The keys that entries are found by.

use std::fmt;

use crate::Kind;

/// The BLAKE3 hash of all that a value depends on: 256 bits, so that two different questions never share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, which are evenly distributed.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight bytes, for tables that need no more.
    pub fn short(&self) -> u64 {
        let (first, _) = self.0.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        u64::from_le_bytes(*first)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.short())
    }
}

/// Builds a key. Each part is hashed with its length, so that "ab", "c" is not "a", "bc".
#[derive(Clone)]
pub struct KeyBuilder(blake3::Hasher);

impl KeyBuilder {
    /// Begins the key of a value of `tenant`; the keys of two tenants are never equal.
    pub fn new(kind: Kind, tenant: &str) -> Self {
        let mut builder = Self(blake3::Hasher::new());
        builder.add(kind.name()).add(tenant);
        builder
    }

    /// Adds something that the value depends on.
    pub fn add(&mut self, part: impl AsRef<[u8]>) -> &mut Self {
        let part = part.as_ref();
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// The key of everything that was added.
    pub fn build(&self) -> Key {
        Key(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind, tenant: &str, parts: &[&str]) -> Key {
        let mut builder = KeyBuilder::new(kind, tenant);
        for part in parts {
            builder.add(part);
        }
        builder.build()
    }

    #[test]
    fn kind_tenant_and_where_parts_end_make_a_difference() {
        let one = key(Kind::Reply, "a", &["ab", "c"]);
        assert_eq!(one, key(Kind::Reply, "a", &["ab", "c"]));
        assert_ne!(one, key(Kind::Reply, "a", &["a", "bc"]));
        assert_ne!(one, key(Kind::Reply, "a", &["abc"]));
        assert_ne!(one, key(Kind::Reply, "b", &["ab", "c"]));
        assert_ne!(one, key(Kind::Speech, "a", &["ab", "c"]));
        assert_ne!(one, key(Kind::Reply, "aab", &["c"]));
    }
}
