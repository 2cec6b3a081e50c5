//! What the tests share.

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

/// Waits until `done` holds, at most five seconds.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

/// Tasks of the runtime that are not finished.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
