//! Places other than memory where entries are kept.

use std::sync::Arc;

use antiphon_core::measure::Component;
use antiphon_core::{BoxFuture, Result};

use super::{Entry, Key, Kind};

/// Selects entries: those that match every field that is set.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Entries of this kind.
    pub kind: Option<Kind>,
    /// Entries of this tenant.
    pub tenant: Option<Arc<str>>,
    /// Entries that have expired by this time, in milliseconds since 1970.
    pub expired_ms: Option<u64>,
}

impl Selection {
    /// Whether `entry` is selected.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| kind == entry.kind)
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == entry.tenant)
            && self.expired_ms.is_none_or(|now| !entry.is_fresh(now))
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of entries.
    pub entries: u64,
    /// The bytes they take.
    pub bytes: u64,
}

/// A place where entries outlive the process. The caller bounds the wait. A layer that is slow, full or gone soon answers with
/// an error, and a failure never costs more than entries.
pub trait Layer: Component {
    /// The entry, if it is there, whole and not expired.
    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'static, Result<Option<Arc<Entry>>>>;

    /// Keeps the entry. Returns at once; entries that the layer cannot keep up with are dropped and counted.
    fn put(&self, entry: Arc<Entry>);

    /// Notes that these entries were used in memory, so that the layer does not evict them as unused. Returns at once; notes
    /// that it cannot keep up with are dropped.
    fn touch(&self, _kind: Kind, _keys: &[Key]) {}

    /// Removes the entries of these keys.
    fn remove(&self, kind: Kind, keys: Vec<Key>) -> BoxFuture<'static, Result<()>>;

    /// Removes the selected entries; gives how many.
    fn clear(&self, selection: Selection) -> BoxFuture<'static, Result<u64>>;

    /// The selected entries that have not expired, the latest used first, at most `limit`.
    fn list(&self, selection: Selection, limit: usize) -> BoxFuture<'static, Result<Vec<Arc<Entry>>>>;

    /// How much of a kind is kept.
    fn usage(&self, kind: Kind) -> BoxFuture<'static, Result<Usage>>;

    /// Waits until everything that waits to be written is written.
    fn flush(&self) -> BoxFuture<'static, ()>;
}
