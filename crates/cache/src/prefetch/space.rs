//! How much of the caches prefetched answers may fill.

use std::sync::Arc;

use crate::Cache;

/// A cache that is less full than this has room for prefetched answers without pushing anything out.
const NEARLY_FULL: f64 = 0.9;
/// The share of a full cache that prefetched answers may hold while nobody has asked for them: the share that S3-FIFO gives to
/// entries that were not asked for twice (Yang et al., SOSP 2023), so that they push out each other and not what is used.
const SHARE: f64 = 0.1;

/// The caches in which prefetched answers are kept.
pub(super) struct Space {
    replies: Arc<Cache>,
    speech: Arc<Cache>,
}

/// What was prefetched lately and nobody has asked for, which may still be in the caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unused {
    pub(super) replies: usize,
    pub(super) clauses: usize,
}

impl Space {
    pub(super) fn new(replies: Arc<Cache>, speech: Arc<Cache>) -> Self {
        Self { replies, speech }
    }

    /// Whether another prefetched answer would be kept, and would push out nothing that is used.
    pub(super) fn has_room(&self, unused: Unused) -> bool {
        self.replies.is_on()
            && has_room(&self.replies, unused.replies)
            && (!self.speech.is_on() || has_room(&self.speech, unused.clauses))
    }
}

fn has_room(cache: &Cache, unused: usize) -> bool {
    let (usage, limit) = (cache.usage(), cache.max_bytes() as f64);
    let mean = usage.bytes as f64 / usage.entries.max(1) as f64;
    (usage.bytes as f64) < NEARLY_FULL * limit || unused as f64 * mean <= SHARE * limit
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use antiphon_core::Priority;

    use super::*;
    use crate::entry::OVERHEAD;
    use crate::{CacheOptions, Draft, KeyBuilder, Kind};

    const MAX_BYTES: usize = 100_000;

    fn cache(kind: Kind, entries: usize) -> Arc<Cache> {
        let options = CacheOptions { kind, max_bytes: MAX_BYTES, ttl: Duration::from_hours(1) };
        let cache = Cache::new(options, Vec::new(), Arc::new(|| 0));
        for n in 0..entries {
            cache.put(Draft {
                key: KeyBuilder::new(kind, "a").add(n.to_le_bytes()).build(),
                tenant: "a".into(),
                label: String::new(),
                value: vec![0; 1_000 - OVERHEAD].into(),
                cost: Duration::ZERO,
                priority: Priority::LiveTurn,
            });
        }
        Arc::new(cache)
    }

    fn unused(replies: usize, clauses: usize) -> Unused {
        Unused { replies, clauses }
    }

    #[test]
    fn there_is_room_for_predictions_while_the_caches_are_not_full() {
        let space = Space::new(cache(Kind::Reply, 80), cache(Kind::Speech, 80));
        assert!(space.has_room(unused(1_000, 1_000)));
    }

    #[test]
    fn in_a_full_cache_they_may_hold_a_tenth() {
        let (full, empty) = (95, 0);
        let space = Space::new(cache(Kind::Reply, empty), cache(Kind::Speech, full));
        assert!(space.has_room(unused(1_000, 9)) && !space.has_room(unused(0, 11)));
        let space = Space::new(cache(Kind::Reply, full), cache(Kind::Speech, empty));
        assert!(space.has_room(unused(9, 1_000)) && !space.has_room(unused(11, 0)));
    }

    #[test]
    fn what_would_not_be_kept_is_not_prefetched() {
        let (replies, speech) = (cache(Kind::Reply, 0), cache(Kind::Speech, 95));
        speech.set_on(false);
        let space = Space::new(replies.clone(), speech);
        assert!(space.has_room(unused(0, 1_000)), "only the words are kept");
        replies.set_on(false);
        assert!(!space.has_room(Unused::default()));
    }
}
