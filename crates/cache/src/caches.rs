//! All caches of a server together: to list, clear, measure and maintain them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::measure::Component;
use tokio::time::timeout;

use super::{Cache, Entry, Kind, Layer, Selection, Usage};

/// A layer that takes longer to list or clear is given up; clearing a gigabyte on disk takes some seconds.
const WITHIN: Duration = Duration::from_secs(30);
/// How often some entries of each cache are checked for expiry.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Entries of each kind read into memory when the server starts: those used last are likely to be used next.
const FILLED: usize = 10_000;

/// The caches there are and the layers behind them.
pub struct Caches {
    caches: Vec<Arc<Cache>>,
    layers: Vec<Arc<dyn Layer>>,
}

impl Caches {
    /// These caches, and the layers that they share.
    pub fn new(caches: Vec<Arc<Cache>>, layers: Vec<Arc<dyn Layer>>) -> Self {
        Self { caches, layers }
    }

    /// The caches, one for each kind there is.
    pub fn all(&self) -> &[Arc<Cache>] {
        &self.caches
    }

    /// The cache of a kind, if there is one.
    pub fn of(&self, kind: Kind) -> Option<&Arc<Cache>> {
        self.caches.iter().find(|cache| cache.kind() == kind)
    }

    /// The measurements of all caches and layers.
    pub fn components(&self) -> Vec<Arc<dyn Component>> {
        let caches = self.caches.iter().map(|cache| cache.clone() as Arc<dyn Component>);
        caches.chain(self.layers.iter().map(|layer| layer.clone() as Arc<dyn Component>)).collect()
    }

    /// How much of a kind each layer below memory keeps, by the layer's name; those that do not answer are left out.
    pub async fn below(&self, kind: Kind) -> Vec<(&'static str, Usage)> {
        let mut all = Vec::new();
        for layer in &self.layers {
            if let Ok(Ok(usage)) = timeout(WITHIN, layer.usage(kind)).await {
                all.push((layer.name(), usage));
            }
        }
        all
    }

    /// The selected entries, wherever they are kept, the latest made first, at most `limit`.
    pub async fn list(&self, selection: &Selection, limit: usize) -> Vec<Arc<Entry>> {
        let in_memory = self.caches.iter().flat_map(|cache| cache.list(selection, limit));
        let mut found: HashMap<_, _> = in_memory.map(|entry| ((entry.kind, entry.key), entry)).collect();
        for layer in &self.layers {
            let listed = timeout(WITHIN, layer.list(selection.clone(), limit)).await;
            for entry in listed.into_iter().flatten().flatten() {
                found.entry((entry.kind, entry.key)).or_insert(entry);
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_unstable_by_key(|entry| (std::cmp::Reverse(entry.made_ms), entry.key));
        found.truncate(limit);
        found
    }

    /// Removes the selected entries everywhere. Gives the number of entries removed from the place that had most of them, and
    /// the layers that could not be cleared.
    pub async fn clear(&self, selection: &Selection) -> (u64, Vec<&'static str>) {
        let mut most = self.caches.iter().map(|cache| cache.clear(selection)).sum();
        let mut failed = Vec::new();
        for layer in &self.layers {
            match timeout(WITHIN, layer.clear(selection.clone())).await {
                Ok(Ok(cleared)) => most = cleared.max(most),
                Ok(Err(error)) => {
                    tracing::warn!(layer = layer.name(), %error, "not cleared");
                    failed.push(layer.name());
                }
                Err(_) => failed.push(layer.name()),
            }
        }
        (most, failed)
    }

    /// Reads the entries that were used last into memory, from the nearest layer that answers.
    pub async fn fill(&self) {
        for cache in &self.caches {
            for layer in &self.layers {
                let selection = Selection { kind: Some(cache.kind()), ..Selection::default() };
                let Ok(Ok(listed)) = timeout(WITHIN, layer.list(selection, FILLED)).await else { continue };
                // In reverse, because the last one put stays longest.
                for entry in listed.into_iter().rev() {
                    cache.admit(entry);
                }
                break;
            }
        }
    }

    /// Removes expired entries, a few at a time, for ever.
    pub async fn keep_clean(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            for cache in &self.caches {
                cache.sweep();
            }
        }
    }

    /// Waits until the layers have written what waits to be written.
    pub async fn flush(&self) {
        for layer in &self.layers {
            if timeout(WITHIN, layer.flush()).await.is_err() {
                tracing::warn!(layer = layer.name(), "not written in time: what was made last is made again");
            }
        }
    }
}
