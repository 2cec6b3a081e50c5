//! The sections `[cache]` and `[advanced.cache]`: which results are cached, for how long, and in how much space.

use antiphon_cache::RedisLayer;
use antiphon_core::settings::Check;
use antiphon_core::{choices, settings};

use super::secret::Secret;

/// Range of the space for a cache in MiB, up to 1 TiB.
const ROOM: Check = Check::Between(1.0, 1_048_576.0);
/// Range of times to live in seconds, up to ten years. Zero would keep nothing, and there are switches for that.
const TTL: Check = Check::Between(1.0, 315_360_000.0);
/// Requires an address that the Redis client can read.
const REDIS_URL: Check = Check::Text { what: RedisLayer::URL, holds: RedisLayer::is_url };

choices! {
    /// Whether what the language model answered is used again.
    pub enum ReplyCache {
        /// It is never used again.
        Off = "off",
        /// When the same is asked in the same situation.
        Exact = "exact",
        /// Also when it is asked in other words, as far as answers were seen to agree.
        Semantic = "semantic",
    }
}

settings! {
    /// The caches: results that are kept and used again.
    pub struct Cache {
        /// Whether anything is kept.
        enabled: bool = true;
        /// How long an entry may be used, in seconds, for caches that do not say themselves in `[advanced.cache]`.
        ttl_s: u64 = 3_600, check(TTL);
        /// Replies of the language model: `exact`, to the same question in the same situation; `semantic`, also in other
        /// words; or `off`.
        reply: ReplyCache = ReplyCache::Exact;
        /// With `semantic`: the share of all questions that may get a wrong reply.
        reply_error_bound: f64 = 0.01, check(Check::Between(0.001, 0.2));
        /// Whether spoken clauses are kept, as Opus.
        speech: bool = true;
        /// Whether embeddings are kept.
        embedding: bool = true;
        /// Whether results of searches in memories and knowledge are kept, until what is searched changes.
        result: bool = true;
        /// Whether entries are kept on disk as well, in the data directory.
        disk: bool = true;
        /// Room on disk, in MiB.
        disk_mb: u64 = 512, check(ROOM);
        /// A Redis that several servers share, such as `redis://127.0.0.1:6379`.
        redis_url: Option<Secret> = None, check(REDIS_URL), example("\"${REDIS_URL}\"");
        /// Whether what the agent says by itself is spoken ahead: when the server starts, and again when nobody calls.
        warm: bool = true;
        /// Whether replies to what is likely asked next are prefetched when there is time.
        predict: bool = false;
    }
}

settings! {
    /// What few people set of the caches.
    pub struct AdvancedCache {
        /// How long a reply may be used, in seconds.
        reply_ttl_s: Option<u64> = None, check(TTL), example("3600"), formerly("cache.reply_ttl_s");
        /// Room for replies in memory, in MiB.
        reply_mb: u64 = 16, check(ROOM), formerly("cache.reply_mb");
        /// Whether a question that can be understood by itself is answered in the middle of a conversation with the
        /// answer that it got at the beginning of another.
        reply_standalone: bool = false, formerly("cache.reply_standalone");
        /// Whether replies are kept that are soon out of date, such as the time or the weather.
        reply_time_dependent: bool = false, formerly("cache.reply_time_dependent");
        /// How long a clause may be used, in seconds.
        speech_ttl_s: Option<u64> = None, check(TTL), example("3600"), formerly("cache.speech_ttl_s");
        /// Room for clauses in memory, in MiB.
        speech_mb: u64 = 64, check(ROOM), formerly("cache.speech_mb");
        /// How long an embedding may be used, in seconds.
        embedding_ttl_s: Option<u64> = None, check(TTL), example("3600"), formerly("cache.embedding_ttl_s");
        /// Room for embeddings in memory, in MiB.
        embedding_mb: u64 = 32, check(ROOM), formerly("cache.embedding_mb");
        /// How long a result may be used, in seconds.
        result_ttl_s: Option<u64> = None, check(TTL), example("3600"), formerly("cache.result_ttl_s");
        /// Room for results in memory, in MiB.
        result_mb: u64 = 8, check(ROOM), formerly("cache.result_mb");
    }
}
