//! Builds the caches and the layers in which their entries are stored.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use antiphon_cache::{Cache, CacheOptions, Caches, Clock, DiskLayer, Kind, Layer, RedisLayer};
use anyhow::{Context, Result};

use crate::config::{Config, ReplyCache, Secret};

/// The caches of a configuration, if there are any.
pub async fn caches(config: &Config) -> Result<Option<Arc<Caches>>> {
    let (cache, advanced) = (&config.cache, &config.advanced.cache);
    if !cache.enabled {
        return Ok(None);
    }
    let clock: Clock = Arc::new(unix_ms);
    // Redis comes last because the disk of this machine is faster to reach.
    let mut layers: Vec<Arc<dyn Layer>> = Vec::new();
    if cache.disk {
        let folder = config.data_dir()?.join("cache");
        let disk = DiskLayer::open(&folder, cache.disk_mb << 20, clock.clone()).await;
        layers.push(disk.with_context(|| format!("[cache] disk: {} cannot be used", folder.display()))?);
    }
    if let Some(url) = cache.redis_url.as_ref().map(Secret::reveal) {
        layers.push(RedisLayer::new(url, clock.clone()).context("[cache] redis_url")?);
    }
    let kinds = [
        (Kind::Reply, cache.reply != ReplyCache::Off, advanced.reply_mb, advanced.reply_ttl_s),
        (Kind::Speech, cache.speech, advanced.speech_mb, advanced.speech_ttl_s),
        (Kind::Embedding, cache.embedding, advanced.embedding_mb, advanced.embedding_ttl_s),
        (Kind::Result, cache.result, advanced.result_mb, advanced.result_ttl_s),
    ];
    let caches = kinds.into_iter().filter(|(_, on, ..)| *on).map(|(kind, _, mb, ttl_s)| {
        let ttl = Duration::from_secs(ttl_s.unwrap_or(cache.ttl_s));
        let options = CacheOptions { kind, max_bytes: (mb as usize) << 20, ttl };
        Arc::new(Cache::new(options, layers.clone(), clock.clone()))
    });
    Ok(Some(Arc::new(Caches::new(caches.collect(), layers))))
}

/// The present time in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the clock that is handed to the caches")]
fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
