//! Helpers that several test programs share.
#![allow(dead_code, reason = "each test program uses its share")]

use std::time::Duration;

/// Waits until `done` holds, for at most five seconds.
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

/// The number of the runtime's unfinished tasks.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// The same once a server that was just started has begun what it does beside calls: its task has run up to its first wait.
pub(crate) async fn tasks_at_rest() -> usize {
    tokio::task::yield_now().await;
    tasks()
}
