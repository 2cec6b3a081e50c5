//! Never compute the same answer twice: replies, speech, embeddings and search results, kept in memory, on disk and in
//! Redis.
//!
//! A [`Cache`] holds the entries of one [`Kind`]. It looks in memory first, then in its [`Layer`]s in order; what is found
//! below is put above. Decorators round the core traits use it.

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
mod question;
mod redis;
mod replies;
mod resident;
mod results;
mod speech;
mod statistics;
mod written;

pub use by_meaning::{
    Decision, ErrorEstimate, Neighbour, SemanticIndex, SemanticOptions, SemanticReplies, SemanticStatistics,
    guards,
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
