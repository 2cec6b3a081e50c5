mod behind;
mod crash;
mod damage;
mod outages;
mod private;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::*;
use crate::KeyBuilder;

const HOUR: u64 = 3_600_000;
const PLENTY: u64 = 1 << 30;

/// A clock that is moved by hand.
#[derive(Clone)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_795_262_400_000)))
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    fn put_back(&self, ms: u64) {
        self.0.fetch_sub(ms, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let time = self.clone();
        Arc::new(move || time.now())
    }
}

/// A folder, a clock and a layer.
struct Place {
    folder: TempDir,
    time: Time,
    layer: Arc<DiskLayer>,
}

impl Place {
    async fn new(max_bytes: u64) -> Self {
        let (folder, time) = (tempfile::tempdir().unwrap(), Time::new());
        let layer = DiskLayer::open(folder.path(), max_bytes, time.clock()).await.unwrap();
        Self { folder, time, layer }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("cache.db")
    }

    /// A number that identifies an entry; always the same one for a number.
    fn entry(&self, n: u64, bytes: usize) -> Arc<Entry> {
        Arc::new(entry(n, bytes, self.time.now()))
    }

    async fn put(&self, numbers: impl IntoIterator<Item = u64>, bytes: usize) {
        for n in numbers {
            self.layer.put(self.entry(n, bytes));
            if n % 200 == 0 {
                self.layer.flush().await;
            }
        }
        self.layer.flush().await;
    }

    async fn has(&self, n: u64) -> bool {
        let (kind, key) = name(n);
        self.layer.get(kind, key).await.unwrap().is_some()
    }

    async fn entries(&self) -> u64 {
        let mut entries = 0;
        for kind in Kind::ALL {
            entries += self.layer.usage(kind).await.unwrap().entries;
        }
        entries
    }

    fn count(&self, name: &str) -> u64 {
        self.layer.counters().iter().find(|counter| counter.name == name).unwrap().value
    }
}

fn kind(n: u64) -> Kind {
    Kind::ALL[(n % 4) as usize]
}

fn name(n: u64) -> (Kind, Key) {
    (kind(n), KeyBuilder::new(kind(n), "somebody").add(n.to_le_bytes()).build())
}

/// The entry of this number, size and time. Its bytes depend on nothing else.
fn entry(n: u64, bytes: usize, made_ms: u64) -> Entry {
    let mut value = vec![0; bytes];
    SmallRng::seed_from_u64(n ^ made_ms).fill_bytes(&mut value);
    let (kind, key) = name(n);
    Entry {
        kind,
        key,
        tenant: ["somebody", "somebody else"][(n % 2) as usize].into(),
        label: format!("number {n}").into(),
        value: value.into(),
        made_ms,
        expires_ms: made_ms + HOUR,
        cost: Duration::from_millis(n),
        prefetched: false,
    }
}

/// Waits, in real time, for what happens in the background.
async fn eventually<F: Future<Output = bool>>(what: &str, happened: impl Fn() -> F) {
    let until = Instant::now() + Duration::from_mins(1);
    while !happened().await {
        assert!(Instant::now() < until, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_written_is_found_also_after_a_restart() {
    let place = Place::new(PLENTY).await;
    place.put(0..40, 3_000).await;
    for _ in 0..2 {
        let layer = DiskLayer::open(place.folder.path(), PLENTY, place.time.clock()).await.unwrap();
        for n in 0..40 {
            let (kind, key) = name(n);
            assert_eq!(layer.get(kind, key).await, Ok(Some(place.entry(n, 3_000))), "{n}");
        }
        let (kind, key) = name(40);
        assert_eq!(layer.get(kind, key).await, Ok(None));
        // The same key is unknown in another kind.
        assert_eq!(layer.get(Kind::ALL[1], name(0).1).await, Ok(None));
    }
    assert_eq!((place.count("written"), place.count("dropped"), place.count("failures")), (40, 0, 0));
}

#[tokio::test]
async fn the_last_put_counts() {
    let place = Place::new(PLENTY).await;
    for bytes in [100, 20_000, 10] {
        place.put([1, 1, 1], bytes).await;
        let (kind, key) = name(1);
        assert_eq!(place.layer.get(kind, key).await, Ok(Some(place.entry(1, bytes))));
        let taken = place.entry(1, bytes).to_bytes().len() as u64;
        assert_eq!(place.layer.usage(kind).await, Ok(Usage { entries: 1, bytes: taken }));
    }
}

#[tokio::test]
async fn what_is_removed_or_cleared_is_gone_and_nothing_else() {
    let place = Place::new(PLENTY).await;
    place.put(0..400, 100).await;
    // An entry that still waits to be written is removed as well.
    place.layer.put(place.entry(400, 100));
    place.layer.remove(kind(400), vec![name(400).1, name(0).1, name(1_000).1]).await.unwrap();
    assert!(!place.has(400).await && !place.has(0).await && place.has(4).await);

    let selection = Selection { kind: Some(Kind::Speech), ..Selection::default() };
    assert_eq!(place.layer.clear(selection).await, Ok(100));
    assert_eq!(place.layer.usage(Kind::Speech).await, Ok(Usage::default()));
    // The tenant's entries have numbers of 2 mod 4 and 0 mod 4, and one of them was removed above.
    // Numbers of 3 mod 4 belong to the other tenant.
    let selection = Selection { tenant: Some("somebody".into()), ..Selection::default() };
    assert_eq!(place.layer.clear(selection).await, Ok(199));
    assert_eq!(place.entries().await, 100);
    place.time.pass(10);
    place.put([2], 100).await;
    let expired_ms = Some(place.time.now() - 10 + HOUR);
    assert_eq!(place.layer.clear(Selection { expired_ms, ..Selection::default() }).await, Ok(100));
    assert!(place.has(2).await);
}

#[tokio::test]
async fn a_list_begins_with_the_latest_used() {
    let place = Place::new(PLENTY).await;
    for n in 0..20 {
        place.put([n], 50).await;
        place.time.pass(USED_STEP_MS);
    }
    assert!(place.has(4).await);
    place.layer.flush().await;
    let selection = Selection { kind: Some(Kind::Reply), ..Selection::default() };
    let listed = place.layer.list(selection, 3).await.unwrap();
    let labels: Vec<&str> = listed.iter().map(|entry| &*entry.label).collect();
    assert_eq!(labels, ["number 4", "number 16", "number 12"]);
    let selection = Selection { tenant: Some("somebody else".into()), ..Selection::default() };
    let listed = place.layer.list(selection, 100).await.unwrap();
    assert_eq!(listed.len(), 10);
    assert!(listed.iter().all(|entry| &*entry.tenant == "somebody else"));
    place.time.pass(HOUR - USED_STEP_MS);
    assert!(place.layer.list(Selection::default(), 100).await.unwrap().is_empty(), "all have expired");
}

#[tokio::test]
async fn what_has_expired_is_not_served_and_goes_by_itself() {
    let place = Place::new(PLENTY).await;
    place.put(0..300, 50).await;
    place.time.pass(HOUR - 1);
    place.put(300..310, 50).await;
    assert!(place.has(7).await);
    place.time.pass(1);
    assert!(!place.has(7).await && place.has(300).await);
    eventually("they go", async || place.entries().await == 10).await;
    assert_eq!((place.count("expired"), place.count("evicted")), (300, 0));
    let mut eternal = Entry::clone(&place.entry(1, 10));
    eternal.expires_ms = u64::MAX;
    place.layer.put(Arc::new(eternal));
    place.layer.flush().await;
    assert!(place.has(1).await);
}

#[tokio::test]
async fn entries_from_a_clock_that_was_ahead_are_not_served_and_go_by_themselves() {
    const THIRTY_YEARS: u64 = 30 * 365 * 24 * HOUR;
    let place = Place::new(PLENTY).await;
    place.time.pass(THIRTY_YEARS);
    place.put(0..10, 100).await;
    assert!(place.has(1).await, "nobody knows yet that the clock is wrong");
    place.time.put_back(THIRTY_YEARS);
    place.put(10..20, 100).await;
    for n in 0..20 {
        assert_eq!(place.has(n).await, n >= 10, "{n}");
    }
    let listed = place.layer.list(Selection::default(), 100).await.unwrap();
    assert_eq!(listed.len(), 10, "they take no place in a list either");
    eventually("the room is not given back", || async { place.entries().await == 10 }).await;
}

#[tokio::test]
async fn the_least_recently_used_give_way() {
    let max_bytes = 4 << 20;
    let place = Place::new(max_bytes).await;
    let used_bytes = || place.layer.levels()[0].value as u64;
    place.put(0..200, 10_000).await;
    assert_eq!(place.count("evicted"), 0);
    place.time.pass(USED_STEP_MS);
    for n in 0..20 {
        assert!(place.has(n).await);
    }
    for n in 200..2_000 {
        // Each entry is newer than those before it, so that it is clear which ones are evicted.
        place.time.pass(1);
        place.put([n], 10_000).await;
        assert!(used_bytes() <= max_bytes, "{}", used_bytes());
        if n == 500 {
            assert!(place.has(0).await && place.has(19).await);
            assert!(place.count("evicted") > 0, "others of their age went");
        }
    }
    assert!(place.has(1_999).await && place.has(1_800).await && !place.has(0).await);
    assert_eq!(place.count("evicted"), 2_000 - place.entries().await);
    assert!(used_bytes() > max_bytes / 2, "no more than needed: {}", used_bytes());
    let file = std::fs::metadata(place.database()).unwrap().len();
    assert!(file <= max_bytes + (1 << 20), "space is used again: {file}");
}

#[tokio::test]
async fn what_is_cleared_is_given_back_to_the_file_system() {
    let place = Place::new(PLENTY).await;
    place.put(0..2_500, 10_000).await;
    assert_eq!(place.layer.clear(Selection::default()).await, Ok(2_500));
    let database = place.database();
    let file = async || std::fs::metadata(&database).unwrap().len() < 10_000_000;
    eventually("the file shrinks", async || {
        // SQLite moves its log into the database only when the log is long enough.
        place.put(0..5, 10_000).await;
        file().await
    })
    .await;
}

#[tokio::test]
async fn what_the_queue_has_no_room_for_is_dropped_and_counted() {
    let place = Place::new(PLENTY).await;
    // Nothing is awaited here, so that the writer cannot take any entry from the queue meanwhile.
    for n in 0..1_100 {
        place.layer.put(place.entry(n, 10));
    }
    assert_eq!(place.count("dropped"), 1_100 - 1_024);
    let level = place.layer.levels()[1].clone();
    assert_eq!((level.value, level.limit), (1_024.0, Some(1_024.0)));
    place.layer.flush().await;
    assert_eq!((place.entries().await, place.count("written")), (1_024, 1_024));
    let big = Arc::new(Entry { value: Bytes::from(vec![0; 1_000_000]), ..entry(1, 0, place.time.now()) });
    for _ in 0..20 {
        place.layer.put(big.clone());
    }
    assert_eq!(place.count("dropped"), 76 + 4, "16 MiB");
    place.layer.flush().await;
    place.layer.put(big);
    place.layer.flush().await;
    assert_eq!((place.count("dropped"), place.count("written")), (80, 1_024 + 17), "there is room again");
}

#[tokio::test]
async fn an_entry_too_large_for_the_cache_is_not_kept() {
    let place = Place::new(0).await;
    place.put([1], 200_000).await;
    place.put([2], 50_000).await;
    assert!(!place.has(1).await && place.has(2).await);
    assert_eq!(place.count("dropped"), 1);
}

#[tokio::test]
async fn a_get_that_is_given_up_holds_nobody_up() {
    let place = Place::new(PLENTY).await;
    place.put(0..10, 1_000).await;
    for n in 0..200 {
        let (kind, key) = name(n % 10);
        let mut get = place.layer.get(kind, key);
        // Each request is polled once and then dropped, which is mostly while the disk is asked.
        let _ = futures_util::poll!(&mut get);
    }
    for n in 0..10 {
        assert!(place.has(n).await);
    }
    assert_eq!(place.layer.stages()[0].spans().snapshot().count(), 210, "all of them are timed");
}
