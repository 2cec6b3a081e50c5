//! Where entries are kept beside memory.

use std::sync::Arc;

use antiphon_core::measure::Component;
use antiphon_core::{BoxFuture, Result};

use super::{Entry, Key, Kind};

/// Which entries are meant: those of which all that is set is true.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of this tenant.
    pub tenant: Option<Arc<str>>,
    /// That expired by then, in milliseconds since 1970.
    pub expired_ms: Option<u64>,
}

impl Selection {
    /// Whether `entry` is meant.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| kind == entry.kind)
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == entry.tenant)
            && self.expired_ms.is_none_or(|now| !entry.is_fresh(now))
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub entries: u64,
    /// What they take.
    pub bytes: u64,
}

/// A place where entries outlive memory. Whoever asks bounds the wait; a layer that is slow, full or gone answers with an
/// error, soon, and never loses more than entries.
pub trait Layer: Component {
    /// The entry, if it is there, whole and not expired.
    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'static, Result<Option<Arc<Entry>>>>;

    /// Keeps the entry. Returns at once; what it cannot keep up with is dropped and counted.
    fn put(&self, entry: Arc<Entry>);

    /// These were used where they are kept above: they are not those to go first here. Returns at once; what it cannot keep
    /// up with is forgotten.
    fn touch(&self, _kind: Kind, _keys: &[Key]) {}

    /// Forgets the entries of these keys.
    fn remove(&self, kind: Kind, keys: Vec<Key>) -> BoxFuture<'static, Result<()>>;

    /// Forgets the entries meant; gives how many.
    fn clear(&self, selection: Selection) -> BoxFuture<'static, Result<u64>>;

    /// Entries that have not expired, the latest used first, at most `limit`.
    fn list(&self, selection: Selection, limit: usize) -> BoxFuture<'static, Result<Vec<Arc<Entry>>>>;

    /// How much of a kind is kept.
    fn usage(&self, kind: Kind) -> BoxFuture<'static, Result<Usage>>;

    /// What is to be written is written.
    fn flush(&self) -> BoxFuture<'static, ()>;
}
