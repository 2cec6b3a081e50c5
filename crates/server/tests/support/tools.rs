//! What the tests share.
#![allow(dead_code, reason = "each test program uses its share")]

use std::path::PathBuf;
use std::time::Duration;

/// A file of the test data; `None` (with a printed line) when there is none, which is an error in CI.
pub(crate) fn test_data(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let path = std::env::var_os("ANTIPHON_TESTDATA").map_or(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "test data is missing: {}", path.display());
    println!("skipped: no {}", path.display());
    None
}

/// The folder of the models; `None` (with a printed line) when there is none, which is an error in CI.
pub(crate) fn models() -> Option<PathBuf> {
    let named = std::env::var_os("ANTIPHON_MODELS").map(PathBuf::from);
    let data = std::env::var_os("ANTIPHON_SERVER__DATA_DIR").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
        home.map(|home| home.join("antiphon"))
    });
    let models = named.or_else(|| data.map(|data| data.join("models"))).filter(|models| models.is_dir());
    assert!(models.is_some() || std::env::var_os("CI").is_none(), "no models: `antiphon models pull`");
    if models.is_none() {
        println!("skipped: no models: `antiphon models pull` fetches them");
    }
    models
}

/// Waits until `done` holds, at most five seconds.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    until_within(Duration::from_secs(5), what, done).await;
}

/// Waits until `done` holds.
pub(crate) async fn until_within(limit: Duration, what: &str, done: impl Fn() -> bool) {
    let end = tokio::time::Instant::now() + limit;
    while !done() {
        assert!(tokio::time::Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Tasks of the runtime that are not finished.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
