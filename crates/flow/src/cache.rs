//! Never compute the same answer twice: replies, speech, embeddings and search results, kept in memory, on disk and in
//! Redis.
//!
//! A [`Cache`] holds the entries of one [`Kind`]. It looks in memory first, then in its [`Layer`]s in order; what is found
//! below is put above. Decorators round the core traits use it.

mod entry;
mod front;
pub mod guards;
mod key;
mod layer;
mod resident;
mod semantic;
mod statistics;

pub use entry::{Entry, Kind};
pub use front::{Cache, CacheOptions, Clock, Draft};
pub use key::{Key, KeyBuilder};
pub use layer::{Layer, Selection, Usage};
pub use resident::Resident;
pub use semantic::{Decision, ErrorEstimate, Neighbour, SemanticIndex, SemanticOptions};
pub use statistics::Counts as CacheCounts;
