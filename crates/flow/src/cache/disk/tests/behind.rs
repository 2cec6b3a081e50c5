//! Behind a cache in memory.

use antiphon_core::Priority;

use super::*;
use crate::cache::{Cache, CacheOptions, Draft};

impl Place {
    /// One with room for everything.
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
