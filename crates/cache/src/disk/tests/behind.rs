//! The disk layer behind a cache in memory.

use antiphon_core::Priority;

use super::*;
use crate::{Cache, CacheOptions, Draft};

impl Place {
    /// A cache with room for everything.
    fn cache(&self, kind: Kind) -> Cache {
        let options = CacheOptions { kind, max_bytes: 64 << 20, ttl: Duration::from_hours(1) };
        Cache::new(options, vec![self.layer.clone()], self.time.clock())
    }
}

fn key(n: u64) -> Key {
    KeyBuilder::new(Kind::Reply, "somebody").add(n.to_le_bytes()).build()
}

fn draft(n: u64) -> Draft {
    Draft {
        key: key(n),
        tenant: "somebody".into(),
        label: String::new(),
        value: Bytes::from(vec![0; 10_000]),
        cost: Duration::ZERO,
        priority: Priority::LiveTurn,
    }
}

#[tokio::test]
async fn results_are_kept_in_memory_alone() {
    let place = Place::new(PLENTY).await;
    for kind in Kind::ALL {
        let cache = place.cache(kind);
        cache.put(draft(1));
        assert!(cache.get_now("somebody", &key(1)).is_some());
        place.layer.flush().await;
        let below = u64::from(kind != Kind::Result);
        assert_eq!(place.layer.usage(kind).await.unwrap().entries, below, "{kind:?}");
        let emptied = place.cache(kind);
        emptied.admit(Arc::new(Entry { kind, ..entry(1, 10, place.time.now()) }));
        assert_eq!(emptied.usage().entries, below, "{kind:?}");
    }
}

/// Puts some, reads the oldest of them from memory alone, and puts more than there is room for on disk. Gives which of
/// those that were read are still there.
async fn left_on_disk(tell: bool) -> Vec<u64> {
    let place = Place::new(4 << 20).await;
    let cache = place.cache(Kind::Reply);
    let put = async |numbers: std::ops::Range<u64>| {
        for n in numbers {
            place.time.pass(1);
            cache.put(draft(n));
            place.layer.flush().await;
        }
    };
    put(0..200).await;
    place.time.pass(HOUR / 4);
    for n in 0..20 {
        assert!(cache.get_now("somebody", &key(n)).is_some());
    }
    if tell {
        cache.sweep();
    }
    put(200..500).await;
    assert!(place.count("evicted") >= 128);
    let mut left = Vec::new();
    for n in 0..20 {
        if place.layer.get(Kind::Reply, key(n)).await.unwrap().is_some() {
            left.push(n);
        }
    }
    left
}

#[tokio::test]
async fn what_memory_serves_is_not_the_first_to_go() {
    assert_eq!(left_on_disk(true).await, (0..20).collect::<Vec<_>>());
    assert_eq!(left_on_disk(false).await, [] as [u64; 0], "nobody told the disk");
}
