//! Embeddings from the cache: [`CachedEmbed`].

mod flights;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{BoxFuture, Embed, EmbedCard, Error, ErrorKind, Priority, Result};
use bytes::Bytes;
use futures_util::future::try_join;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::{Cache, Draft, Entry, Key, KeyBuilder, Kind, floats};
use flights::{Flights, Landing, Lead, Place};

/// The tenant of all vectors, which tenants share as they share the model. A vector is a function of the text and of a model that
/// everybody can have: all that a hit reveals, by the time it takes, is that somebody embedded the very same words before. The
/// text itself is not kept, not even as a label.
const TENANT: &str = "all";
/// Texts looked up in the layers at the same time: as many as a layer answers together, and few enough for any pool.
const LOOKED_UP: usize = 32;
/// How long a request waits for a text that another request embeds: the time of a batch of documents on one slow core. After
/// that the other request may have been abandoned.
const PATIENCE: Duration = Duration::from_secs(1);

/// An engine that embeds each text once.
///
/// Vectors are found by the model's name, the number of dimensions and the text without surrounding white space, in all layers
/// of the cache. One call of the engine embeds the missing texts of a request, in order, each once. A text that another request
/// is embedding is waited for, unless that request is less urgent; if it is cancelled, a waiting one takes over. Errors are
/// not kept.
pub struct CachedEmbed(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Embed>,
    cache: Arc<Cache>,
    tenant: Arc<str>,
    label: String,
    /// The common beginning of all keys.
    keys: KeyBuilder,
    flights: Arc<Flights>,
}

/// A text to be embedded.
struct Missing {
    key: Key,
    text: String,
    /// It was waited for long enough: it is embedded even if another request does, too.
    alone: bool,
}

type Found = Vec<(Key, Vec<f32>)>;

impl CachedEmbed {
    /// Keeps the vectors of `engine` in `cache`, which must be one of [`Kind::Embedding`].
    pub fn new(engine: Arc<dyn Embed>, cache: Arc<Cache>) -> Self {
        let EmbedCard { model, dimensions, .. } = engine.card();
        let mut keys = KeyBuilder::new(Kind::Embedding, TENANT);
        keys.add(model).add((dimensions as u64).to_le_bytes());
        let label = model.to_owned();
        Self(Arc::new(Inner { engine, cache, tenant: TENANT.into(), label, keys, flights: Arc::default() }))
    }

    /// The vector of a text, if it is in memory; counts neither a hit nor a miss.
    pub(super) fn known(&self, text: &str) -> Option<Vec<f32>> {
        self.0.read(self.0.cache.peek(TENANT, &self.0.key(text)).as_deref())
    }
}

impl Embed for CachedEmbed {
    fn card(&self) -> EmbedCard<'_> {
        self.0.engine.card()
    }

    fn tokens(&self, text: &str) -> u64 {
        self.0.engine.tokens(text)
    }

    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let inner = &self.0;
        if !inner.cache.is_on() {
            return inner.engine.embed(texts, priority);
        }
        let keys: Vec<_> = texts.iter().map(|text| inner.key(text)).collect();
        let found: Vec<_> =
            keys.iter().map(|key| inner.read(inner.cache.get_now(TENANT, key).as_deref())).collect();
        if found.iter().all(Option::is_some) {
            return Box::pin(std::future::ready(Ok(found.into_iter().flatten().collect())));
        }
        let inner = Arc::clone(inner);
        Box::pin(async move {
            let mut seen = HashMap::new();
            let missing = keys.iter().zip(texts).zip(&found).filter_map(|((key, text), found)| {
                let first = found.is_none() && seen.insert(*key, Vec::new()).is_none();
                first.then(|| Missing { key: *key, text: text.trim().to_owned(), alone: false })
            });
            let missing = missing.collect();
            for (key, vector) in inner.complete(missing, priority).await? {
                seen.insert(key, vector);
            }
            let vectors = keys.iter().zip(found).map(|(key, found)| found.or_else(|| seen.get(key).cloned()));
            Ok(vectors.flatten().collect())
        })
    }
}

impl Inner {
    fn key(&self, text: &str) -> Key {
        self.keys.clone().add(text.trim()).build()
    }

    fn read(&self, entry: Option<&Entry>) -> Option<Vec<f32>> {
        floats::read(&entry?.value, self.engine.card().dimensions)
    }

    /// The vectors of missing texts: from the layers, from other requests that embed the same now, or from the engine.
    async fn complete(&self, missing: Vec<Missing>, priority: Priority) -> Result<Found> {
        let looked_up = stream::iter(missing).map(|missing| async {
            let entry = self.cache.get(TENANT, &missing.key).await;
            (self.read(entry.as_deref()), missing)
        });
        let mut looked_up = looked_up.buffered(LOOKED_UP);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        while let Some((vector, text)) = looked_up.next().await {
            match vector {
                Some(vector) => found.push((text.key, vector)),
                None => missing.push(text),
            }
        }
        while !missing.is_empty() {
            let (mut led, mut followed) = (Vec::new(), Vec::new());
            for text in missing {
                match self.flights.enter(text.key, priority, text.alone) {
                    Place::Follow(landing) => followed.push((text, landing)),
                    // Another request may have embedded it since it was looked up.
                    Place::Lead(lead) => match self.read(self.cache.peek(TENANT, &text.key).as_deref()) {
                        Some(vector) => found.push((text.key, vector)),
                        None => led.push((text, lead)),
                    },
                }
            }
            let (embedded, (waited_for, left)) =
                try_join(self.lead(led, priority), self.follow(followed)).await?;
            found.extend(embedded);
            found.extend(waited_for);
            missing = left;
        }
        Ok(found)
    }

    /// Embeds the texts in one call, and passes the vectors on to requests that wait for them.
    async fn lead(&self, led: Vec<(Missing, Lead)>, priority: Priority) -> Result<Found> {
        if led.is_empty() {
            return Ok(Vec::new());
        }
        let (texts, leads): (Vec<_>, Vec<_>) =
            led.into_iter().map(|(text, lead)| (text.text, (text.key, lead))).unzip();
        let began = Instant::now();
        let vectors = self.engine.embed(texts, priority).await;
        let cost = began.elapsed() / leads.len() as u32;
        match vectors.and_then(|vectors| self.check(vectors, leads.len())) {
            Ok(vectors) => {
                let found = leads.into_iter().zip(vectors).map(|((key, lead), vector)| {
                    let mut value = Vec::with_capacity(size_of_val(&*vector));
                    floats::write(&mut value, &vector);
                    let value = Bytes::from(value);
                    self.keep(key, value.clone(), cost, priority);
                    lead.land(Ok(value));
                    (key, vector)
                });
                Ok(found.collect())
            }
            // It is not known which of several texts was refused, so requests that wait for one of them must ask again.
            Err(error) if error.kind() == ErrorKind::Invalid && leads.len() > 1 => Err(error),
            Err(error) => {
                for (_, lead) in leads {
                    lead.land(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// Waits for texts that other requests embed. Gives the vectors that came and the texts that have to be asked for again.
    async fn follow(&self, followed: Vec<(Missing, Landing)>) -> Result<(Found, Vec<Missing>)> {
        let (mut found, mut left) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + PATIENCE;
        for (text, mut landing) in followed {
            let landed = timeout_at(deadline, landing.wait_for(Option::is_some)).await;
            let alone = landed.is_err();
            let value = landed.ok().and_then(|landed| landed.ok()?.clone()).transpose()?;
            match value.and_then(|value| floats::read(&value, self.engine.card().dimensions)) {
                Some(vector) => found.push((text.key, vector)),
                None => left.push(Missing { alone, ..text }),
            }
        }
        Ok((found, left))
    }

    fn keep(&self, key: Key, value: Bytes, cost: Duration, priority: Priority) {
        let (tenant, label) = (Arc::clone(&self.tenant), self.label.clone());
        self.cache.put(Draft { key, tenant, label, value, cost, priority });
    }

    fn check(&self, vectors: Vec<Vec<f32>>, texts: usize) -> Result<Vec<Vec<f32>>> {
        let EmbedCard { name, dimensions, .. } = self.engine.card();
        let whole = |vector: &Vec<f32>| vector.len() == dimensions && vector.iter().all(|x| x.is_finite());
        if vectors.len() == texts && vectors.iter().all(whole) {
            return Ok(vectors);
        }
        let given = vectors.len();
        let message = format!(
            "{name} gave {given} vectors for {texts} texts, or some not of {dimensions} finite numbers: check its model \
             and URL"
        );
        Err(Error::new(ErrorKind::Protocol, message))
    }
}
