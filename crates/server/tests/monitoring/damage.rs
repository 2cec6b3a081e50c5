//! The server starts with what is damaged, full or read-only in its data folder, and says so once.

use std::path::Path;

use crate::program::Place;

/// What is no database and no configuration, and not even text.
const GARBAGE: &[u8] = &[0xC3, 0x28, b'=', 0, 0xFF, b'[', b'\n', 1];
/// Longer than the head of an SQLite file, so that it is not taken for an empty one.
const GARBAGE_BYTES: usize = 20_000;

/// The lines of the log that warn, and contain `what`.
fn warnings(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.contains("WARN") && line.contains(what)).count()
}

fn garbage(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let bytes: Vec<u8> = GARBAGE.iter().copied().cycle().take(GARBAGE_BYTES).collect();
    std::fs::write(path, bytes).expect("written");
}

/// Starts the server, holds a call, stops it, and returns its log.
async fn log_of_a_call(place: &Place) -> String {
    let server = place.serve().await;
    server.typed_call(&["one"], None).await;
    assert!(server.get("/api/performance?minutes=1440").await["components"].is_array());
    server.stop().await;
    place.log()
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_cost_history_cache_and_tuning_but_not_the_server() {
    let place = Place::with_caches("");
    for file in ["performance.db", "cache/cache.db", "tuned.toml"] {
        garbage(&place.path(file));
    }
    let log = log_of_a_call(&place).await;
    for (file, advice) in [
        ("performance.db", "move it away"),
        ("cache.db", "it is begun anew"),
        ("tuned.toml", "`antiphon optimize --rollback`"),
    ] {
        assert_eq!(warnings(&log, file), 1, "{file}: {log}");
        assert!(log.lines().any(|line| line.contains(file) && line.contains(advice)), "{file}: {log}");
    }
    let kept = std::fs::read(place.path("performance.db")).expect("it is still there");
    assert!(kept.starts_with(GARBAGE), "a history is never removed by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_written_costs_history_and_the_cache_on_disk() {
    let place = Place::with_caches("");
    place.write("file", "");
    // Modes do not bind root, but nobody can make a folder in a file.
    let place = place.with_data_dir("file/data");
    let log = log_of_a_call(&place).await;
    for file in ["performance.db", "cache.db"] {
        assert_eq!(warnings(&log, file), 1, "{file}: {log}");
        let advised =
            |line: &str| line.contains(file) && line.contains("make room on the disk and allow writing");
        assert!(log.lines().any(advised), "{file}: {log}");
    }
}
