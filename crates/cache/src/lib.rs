//! Caches of what need not be computed again: replies, speech, embeddings and search results, kept in memory,
//! on disk and in Redis.
//!
//! A [`Cache`] holds the entries of one [`Kind`]. It looks in memory first, then in its [`Layer`]s in order; an entry that is
//! found in a layer is copied into those before it. Decorators round the core traits ([`CachedLlm`], [`CachedTts`],
//! [`CachedEmbed`], [`CachedKnowledge`], [`CachedMemories`]) use the caches.
//!
//! Two folders are off by default and may be skipped at first: `by_meaning` answers questions in other words, and `prefetch`
//! makes answers before anybody asks.

mod by_meaning;
mod caches;
mod disk;
mod embeddings;
mod entry;
mod floats;
mod front;
mod key;
mod kind;
mod layer;
mod prefetch;
pub mod private_files;
mod question;
mod redis;
mod replies;
mod resident;
mod results;
mod speech;
mod statistics;
mod wording;
mod written;

pub use by_meaning::{
    Decision, EXAMINATION, ErrorEstimate, Neighbour, SemanticIndex, SemanticOptions, SemanticReplies,
    SemanticStatistics, guards,
};
pub use caches::Caches;
pub use disk::DiskLayer;
pub use embeddings::CachedEmbed;
pub use entry::Entry;
pub use front::{Cache, CacheOptions, Clock, Draft};
pub use key::{Key, KeyBuilder};
pub use kind::Kind;
pub use layer::{Layer, Selection, Usage};
pub use prefetch::{IsIdle, PrefetchBudget, Prefetcher};
pub use redis::RedisLayer;
pub use replies::{CachedLlm, ReplyRules};
pub use resident::Resident;
pub use results::{CachedKnowledge, CachedMemories, Changes, SearchCache};
pub use speech::{CachedTts, SpeechCodec, SpeechReader};
pub use statistics::Counts as CacheCounts;
