//! How many calls this machine holds with the configured engines, as measured by load tests.

use antiphon_stack::machine;
use antiphon_telemetry::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Most calls at a time while no load test has measured anything.
pub(crate) const UNMEASURED: usize = 1_000;
const KIND: &str = "capacity";

/// The result of a load test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Capacity {
    /// How many calls at a time keep their latency.
    pub(crate) calls: usize,
    /// The 95th percentile of turn latency with that many calls, in milliseconds.
    pub(crate) p95_ms: f64,
    /// The commit from which the program was built.
    pub(crate) commit: String,
}

/// The latest result on this machine with the engines of this description.
pub(crate) async fn find(store: &Store, engines: &str) -> Result<Option<Capacity>, StoreError> {
    let machine = machine::describe();
    let found = store.documents(KIND, Some(engines), 100).await?;
    let of_this = found.into_iter().find(|document| document.machine == machine);
    Ok(of_this.and_then(|document| serde_json::from_str(&document.content).ok()))
}

/// Stores the result of a load test.
pub(crate) async fn keep(store: &Store, engines: &str, capacity: &Capacity) -> Result<(), StoreError> {
    let now = antiphon_telemetry::unix_time().as_secs();
    let content = serde_json::to_string(capacity).unwrap_or_default();
    store.add_document(KIND, now, &machine::describe(), engines, &content).await?;
    Ok(())
}
