//! An entry of the caches, and the bytes it is written as.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Key, Kind, written};

/// Bytes that an entry takes beside its value and its label in a full cache, with its share of the tables and ghosts: 400 to
/// 450 if it was put, 50 more if it was read from a layer, because then it does not share its tenant's name (of 20 bytes) with
/// others (`cargo bench -p antiphon-cache --bench cache`, the first table).
pub(super) const OVERHEAD: usize = 450;
/// The most bytes of a label; longer ones are cut.
pub(super) const MAX_LABEL: usize = 200;
/// How far ahead the clock may be with which an entry was made, in milliseconds. Servers that share a Redis differ by less than a
/// second where their clocks are kept right.
pub(super) const AHEAD_MS: u64 = 60_000;
/// The version of the format; entries of another version are not read.
const VERSION: u8 = 1;

/// An entry of a cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The kind of its value.
    pub kind: Kind,
    /// The key it is found by.
    pub key: Key,
    /// The tenant it belongs to.
    pub tenant: Arc<str>,
    /// A description for people, such as the question or the words spoken; at most 200 bytes. Empty if it was made for a person who
    /// is known.
    pub label: Arc<str>,
    /// What is cached, in the form that the cache of its kind writes.
    pub value: Bytes,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: u64,
    /// How long it took to make, which is what a hit saves.
    pub cost: Duration,
    /// Whether it was made before anybody asked, and nobody has asked for it since.
    pub prefetched: bool,
}

impl Entry {
    /// The bytes it takes in memory, roughly: the value, the label, and [`OVERHEAD`].
    pub fn size(&self) -> usize {
        self.value.len() + self.label.len() + OVERHEAD
    }

    /// Whether it may still be used. An entry that lies in the future was made while a clock was wrong: nobody knows how old it
    /// is, and it would be used until that future is over.
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        self.made_ms <= now_ms.saturating_add(AHEAD_MS) && now_ms < self.expires_ms
    }

    /// The format for disk and Redis: a checksum, then version, kind, key, times, texts and value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = written::begin();
        out.reserve(96 + self.tenant.len() + self.label.len() + self.value.len());
        out.extend([VERSION, self.kind as u8, u8::from(self.prefetched)]);
        out.extend(self.key.as_bytes());
        let cost = u64::try_from(self.cost.as_micros()).unwrap_or(u64::MAX);
        for number in [self.made_ms, self.expires_ms, cost] {
            out.extend(number.to_le_bytes());
        }
        for text in [&self.tenant, &self.label] {
            written::put(&mut out, text.as_bytes());
        }
        out.extend(&self.value[..]);
        written::seal(out)
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` if it is damaged, cut short or of another version.
    pub fn from_bytes(bytes: &Bytes) -> Option<Self> {
        let mut rest = written::open(bytes)?;
        let [version, kind, prefetched] = written::take::<3>(&mut rest)?;
        if version != VERSION {
            return None;
        }
        let kind = *Kind::ALL.get(usize::from(kind))?;
        let key = Key::from_bytes(written::take(&mut rest)?);
        let mut number = || Some(u64::from_le_bytes(written::take(&mut rest)?));
        let (made_ms, expires_ms, cost) = (number()?, number()?, Duration::from_micros(number()?));
        let (tenant, label) = (written::text(&mut rest)?.into(), written::text(&mut rest)?.into());
        // Copied, because a slice would keep all of the bytes alive.
        let value = Bytes::copy_from_slice(rest);
        Some(Self { kind, key, tenant, label, value, made_ms, expires_ms, cost, prefetched: prefetched != 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KeyBuilder;

    fn entry(tenant: &str, label: &str, value: Vec<u8>) -> Entry {
        Entry {
            kind: Kind::Speech,
            key: KeyBuilder::new(Kind::Speech, tenant).build(),
            tenant: tenant.into(),
            label: label.into(),
            value: value.into(),
            made_ms: 1,
            expires_ms: 2,
            cost: Duration::from_millis(3),
            prefetched: true,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tenant in ".{0,20}", label in ".{0,50}", value: Vec<u8>) {
            let entry = entry(&tenant, &label, value);
            prop_assert_eq!(Entry::from_bytes(&entry.to_bytes().into()), Some(entry));
        }

        #[test]
        fn damage_is_noticed(at in 0_usize..200, bit in 0_u8..8, cut in 0_usize..200) {
            let mut bytes = entry("tenant", "what it says", vec![7; 100]).to_bytes();
            let at = at % bytes.len();
            let whole = Bytes::from(bytes.clone());
            prop_assert_eq!(Entry::from_bytes(&whole.slice(..cut % whole.len())), None);
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Entry::from_bytes(&bytes.into()), None);
        }

        #[test]
        fn what_is_read_keeps_none_of_the_bytes_it_was_read_from(value: Vec<u8>) {
            let bytes = Bytes::from(entry("tenant", "what it says", value).to_bytes());
            let read = Entry::from_bytes(&bytes);
            prop_assert!(read.is_some() && bytes.is_unique());
        }

        #[test]
        fn an_entry_from_a_clock_that_was_ahead_is_never_fresh(now in 0_u64..4_000_000_000_000, made: u64, ttl: u64) {
            let times =
                Entry { made_ms: made, expires_ms: made.saturating_add(ttl), ..entry("", "", Vec::new()) };
            let is_ahead = made > now.saturating_add(AHEAD_MS);
            let is_over = now >= made.saturating_add(ttl);
            prop_assert_eq!(times.is_fresh(now), !is_ahead && !is_over);
            let ahead = Entry { made_ms: now + AHEAD_MS + 1 + made / 2, expires_ms: u64::MAX, ..times };
            prop_assert!(!ahead.is_fresh(now));
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            prop_assert_eq!(Entry::from_bytes(&bytes.into()), None);
        }
    }
}
