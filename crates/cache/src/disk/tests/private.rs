//! What somebody said is read by nobody else, and is gone from the files once it is cleared.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::files::SUFFIXES;
use super::super::writer::LOG_CUT_EVERY;
use super::*;

/// Words that are looked for in the files.
const WORDS: &str = "my secret animal is the zebra";

/// Whether any file of the cache holds the words.
fn is_on_disk(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).unwrap();
    files.into_iter().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(WORDS.len()).any(|window| window == WORDS.as_bytes())
    })
}

impl Place {
    /// Puts entries with the words, of a size that takes whole pages and of one that shares them.
    async fn put_words(&self) {
        for n in 0..40_u64 {
            let value = WORDS.repeat(if n % 2 == 0 { 1 } else { 1_000 });
            let entry = Entry { value: value.into(), label: WORDS.into(), ..entry(n, 0, self.time.now()) };
            self.layer.put(Arc::new(entry));
        }
        // An answer means that all of them are written. They are in the log still.
        self.layer.remove(kind(1_000), vec![name(1_000).1]).await.unwrap();
        assert!(is_on_disk(self.folder.path()), "written");
    }
}

#[tokio::test]
async fn what_is_cleared_is_gone_from_the_files() {
    let place = Place::new(PLENTY).await;
    place.put_words().await;
    assert_eq!(place.layer.clear(Selection::default()).await, Ok(40));
    assert!(!is_on_disk(place.folder.path()));
    // Also what has moved from the log to the database.
    place.put_words().await;
    place.layer.flush().await;
    assert_eq!(place.layer.clear(Selection::default()).await, Ok(40));
    assert!(!is_on_disk(place.folder.path()));
}

#[tokio::test]
async fn what_is_removed_is_gone_when_the_server_stops() {
    let place = Place::new(PLENTY).await;
    place.put_words().await;
    for n in 0..40 {
        place.layer.remove(kind(n), vec![name(n).1]).await.unwrap();
    }
    place.layer.flush().await;
    assert!(!is_on_disk(place.folder.path()));
}

#[tokio::test]
async fn what_has_expired_is_gone_within_minutes() {
    let place = Place::new(PLENTY).await;
    place.put_words().await;
    place.time.pass(HOUR);
    tokio::time::pause();
    tokio::time::advance(LOG_CUT_EVERY).await;
    tokio::time::resume();
    eventually("the words go", async || !is_on_disk(place.folder.path())).await;
    assert_eq!(place.count("expired"), 40);
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let place = Place::new(PLENTY).await;
    place.put(0..10, 100).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let paths = SUFFIXES.map(|suffix| place.folder.path().join(format!("cache.db{suffix}")));
    set_permissions(place.folder.path(), Permissions::from_mode(0o755)).unwrap();
    for path in &paths {
        assert_eq!(mode(path), 0o600, "{}", path.display());
        set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }
    let _again = DiskLayer::open(place.folder.path(), PLENTY, place.time.clock()).await.unwrap();
    for path in &paths {
        assert_eq!(mode(path), 0o600, "{}, of an earlier version", path.display());
    }
    assert_eq!(mode(place.folder.path()), 0o700);
}
