//! What happens while a disk is full or gone.

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;
use crate::disk::failure::RETRY;

/// Counts the warnings and the notices that are logged on this thread.
pub(super) struct Told {
    counts: Arc<[AtomicU64; 2]>,
    _guard: DefaultGuard,
}

struct Listener(Arc<[AtomicU64; 2]>);

impl Told {
    pub(super) fn listen() -> Self {
        let counts = Arc::<[AtomicU64; 2]>::default();
        Self { _guard: set_default(Listener(counts.clone())), counts }
    }

    pub(super) fn warnings(&self) -> u64 {
        self.counts[0].load(Ordering::Relaxed)
    }

    fn infos(&self) -> u64 {
        self.counts[1].load(Ordering::Relaxed)
    }

    pub(super) fn forget(&self) {
        self.counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("antiphon")
    }

    fn event(&self, event: &Event<'_>) {
        match *event.metadata().level() {
            Level::INFO => self.0[1].fetch_add(1, Ordering::Relaxed),
            Level::WARN | Level::ERROR => self.0[0].fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Moves tokio's clock forward by this much, and lets it run on.
pub(super) async fn later(span: Duration) {
    tokio::time::pause();
    tokio::time::advance(span).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_full_disk_is_told_once_and_what_is_there_is_still_read() {
    let (told, folder, time) = (Told::listen(), tempfile::tempdir().unwrap(), Time::new());
    // Beyond this limit SQLite reports SQLITE_FULL, as it does when the disk is full.
    let mut files = Files::new(folder.path()).unwrap();
    files.options = files.options.pragma("max_page_count", "64");
    let layer = DiskLayer::start(files, PLENTY, time.clock()).await;
    let place = Place { folder, time, layer };
    place.put(0..10, 10_000).await;
    assert!(place.has(9).await);
    for n in 10..100 {
        place.put([n], 10_000).await;
    }
    let written = place.count("written");
    assert!((20..64).contains(&written), "{written}");
    assert_eq!((written + place.count("dropped"), told.warnings()), (100, 1));
    assert!(place.has(0).await && !place.has(99).await);
    // The layer tries to write again after each pause, and fails each time.
    for n in 200..205 {
        later(RETRY).await;
        place.put([n], 10_000).await;
        place.put([n], 10_000).await;
        assert!(!place.has(n).await);
    }
    assert_eq!((told.warnings(), told.infos()), (1, 0));
    assert!(place.count("failures") >= 6);
    // Now there is room again.
    later(RETRY).await;
    assert_eq!(place.layer.clear(Selection::default()).await, Ok(written));
    place.put([300], 10_000).await;
    assert!(place.has(300).await);
    assert_eq!(told.infos(), 0, "it has to go on working");
    later(RETRY).await;
    place.put([301], 10_000).await;
    place.put([302], 10_000).await;
    assert_eq!((told.warnings(), told.infos()), (1, 1));
}

#[tokio::test]
async fn a_disk_that_can_only_be_read_is_told_once() {
    let (told, folder, time) = (Told::listen(), tempfile::tempdir().unwrap(), Time::new());
    let mut files = Files::new(folder.path()).unwrap();
    files.options = files.options.pragma("query_only", "ON");
    let layer = DiskLayer::start(files, PLENTY, time.clock()).await;
    let place = Place { folder, time, layer };
    for n in 0..5 {
        place.put([n], 100).await;
        let (kind, key) = name(n);
        assert!(place.layer.get(kind, key).await.is_err());
        assert!(place.layer.clear(Selection::default()).await.is_err());
        later(RETRY).await;
    }
    assert_eq!((told.warnings(), told.infos(), place.count("dropped")), (1, 0, 5));
}

#[tokio::test]
async fn a_folder_that_is_removed_is_made_again() {
    let (told, place) = (Told::listen(), Place::new(PLENTY).await);
    place.put(0..5, 100).await;
    std::fs::remove_dir_all(place.folder.path()).unwrap();
    eventually("it is noticed", async || place.database().exists()).await;
    eventually("it answers", async || place.layer.get(name(1).0, name(1).1).await == Ok(None)).await;
    place.put(0..5, 100).await;
    assert!(place.has(1).await);
    later(RETRY).await;
    place.put(0..5, 100).await;
    assert_eq!((told.warnings(), told.infos()), (1, 1));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_no_cache_until_it_can() {
    let (told, folder, time) = (Told::listen(), tempfile::tempdir().unwrap(), Time::new());
    let path = folder.path().join("cache");
    std::fs::write(&path, "in the way").unwrap();
    let layer = DiskLayer::open(&path, PLENTY, time.clock()).await.unwrap();
    let place = Place { folder, time, layer };
    for n in 0..5 {
        place.put([n], 100).await;
        let (kind, key) = name(n);
        assert!(place.layer.get(kind, key).await.is_err());
        assert!(place.layer.usage(kind).await.is_err() && place.layer.remove(kind, vec![key]).await.is_err());
        later(RETRY).await;
    }
    assert_eq!((told.warnings(), place.count("dropped")), (1, 5));
    std::fs::remove_file(&path).unwrap();
    later(RETRY).await;
    place.put([1], 100).await;
    assert!(place.has(1).await);
    later(RETRY).await;
    place.put([2], 100).await;
    assert_eq!((told.warnings(), told.infos()), (1, 1));
}

#[tokio::test]
async fn a_name_that_is_none_is_refused() {
    let refused = DiskLayer::open(Path::new("a\0b"), PLENTY, Time::new().clock()).await;
    assert_eq!(refused.err().map(|error| error.kind()), Some(antiphon_core::ErrorKind::Invalid));
}
