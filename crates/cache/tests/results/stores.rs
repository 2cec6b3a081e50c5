//! Small stores that change: documents that come and go, and what persons said. Their searches are exact.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use antiphon_core::{
    BoxFuture, Embed, EmbedCard, Error, Knowledge, Memories, Memory, Passage, PersonId, Priority,
    Recollection, Result, Search, StoreChange, StoreVersion, TenantId,
};
use antiphon_testkit::Letters;
use tokio::task::yield_now;

/// MiniLM's cosine of sentences that have something to do with each other; nothing less close is found.
const RELATED: f32 = 0.35;
/// The most texts of a person; beyond that the oldest is dropped.
const MAX_REMEMBERED: usize = 6;

#[derive(Default)]
struct Known {
    version: StoreVersion,
    texts: Vec<(String, Vec<f32>)>,
}

impl Known {
    fn nearest(&self, query: &[f32], limit: usize) -> Vec<(String, f32)> {
        let cosine = |vector: &[f32]| query.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
        let mut found: Vec<_> =
            self.texts.iter().map(|(text, vector)| (text.clone(), cosine(vector))).collect();
        found.retain(|(_, cosine)| *cosine >= RELATED);
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(limit);
        found
    }
}

/// A store of texts that searches find by closeness. Clones share it.
#[derive(Clone)]
pub(crate) struct Texts {
    embed: Arc<dyn Embed>,
    /// Whether it counts its changes.
    counts: bool,
    known: Arc<Mutex<Known>>,
}

impl Texts {
    pub(crate) fn new(embed: Arc<dyn Embed>, counts: bool) -> Self {
        Self { embed, counts, known: Arc::default() }
    }

    /// Adds a text; gives the version after it.
    pub(crate) async fn add(&self, text: &str) -> Result<StoreVersion> {
        let vector = self.vector(text.to_owned()).await?;
        let mut known = self.known();
        known.texts.push((text.to_owned(), vector));
        Ok(self.changed(&mut known, StoreChange::Passages))
    }

    /// Removes a text; gives it and the version after it.
    pub(crate) fn remove(&self, at: usize) -> Option<(String, StoreVersion)> {
        let mut known = self.known();
        let at = at.checked_rem(known.texts.len())?;
        let (text, _) = known.texts.remove(at);
        let version = self.changed(&mut known, StoreChange::Passages);
        Some((text, version))
    }

    pub(crate) fn version(&self) -> StoreVersion {
        self.known().version
    }

    async fn find(self, about: String, limit: usize) -> Result<Vec<(String, f32)>> {
        let query = self.vector(about).await?;
        yield_now().await;
        let found = self.known().nearest(&query, limit);
        yield_now().await;
        Ok(found)
    }

    async fn vector(&self, text: String) -> Result<Vec<f32>> {
        let vectors = self.embed.embed(vec![text], Priority::LiveTurn).await?;
        vectors.into_iter().next().ok_or_else(|| Error::internal("no vector"))
    }

    fn changed(&self, known: &mut Known, change: StoreChange) -> StoreVersion {
        if self.counts {
            known.version = known.version.after(change);
        }
        known.version
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("not poisoned")
    }
}

impl Knowledge for Texts {
    fn search(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Passage>>> {
        let found = self.clone().find(asked.about, asked.limit);
        let passage = |(text, relevance)| Passage { text, source: "documents".to_owned(), relevance };
        Box::pin(async move { Ok(found.await?.into_iter().map(passage).collect()) })
    }

    fn version(&self) -> StoreVersion {
        Self::version(self)
    }
}

impl Memory for Texts {
    fn remember(&self, person_said: String, _: String) -> BoxFuture<'static, Result<()>> {
        let person = self.clone();
        Box::pin(async move {
            let vector = person.vector(person_said.clone()).await?;
            yield_now().await;
            {
                let mut known = person.known();
                let full = known.texts.len() == MAX_REMEMBERED;
                if full {
                    known.texts.remove(0);
                }
                known.texts.push((person_said, vector));
                let change = if full { StoreChange::Anything } else { StoreChange::Passages };
                person.changed(&mut known, change);
            }
            yield_now().await;
            Ok(())
        })
    }

    fn recall(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
        let found = self.clone().find(asked.about, asked.limit);
        let recollection = |(text, relevance)| Recollection { text, relevance };
        Box::pin(async move { Ok(found.await?.into_iter().map(recollection).collect()) })
    }

    fn profile(&self, limit: usize) -> BoxFuture<'static, Result<Vec<String>>> {
        let texts = self.known().texts.iter().take(limit).map(|(text, _)| text.clone()).collect();
        Box::pin(std::future::ready(Ok(texts)))
    }

    fn version(&self) -> StoreVersion {
        Self::version(self)
    }
}

/// The memories of all persons.
pub(crate) struct Persons {
    embed: Arc<dyn Embed>,
    counts: bool,
    known: Mutex<HashMap<PersonId, Texts>>,
}

impl Persons {
    pub(crate) fn new(embed: Arc<dyn Embed>, counts: bool) -> Self {
        Self { embed, counts, known: Mutex::default() }
    }
}

impl Memories for Persons {
    fn of(&self, _: &TenantId, person: &PersonId) -> Arc<dyn Memory> {
        let mut known = self.known.lock().expect("not poisoned");
        let new = || Texts::new(Arc::clone(&self.embed), self.counts);
        Arc::new(known.entry(person.clone()).or_insert_with(new).clone())
    }
}

/// [`Letters`] that take a moment, and are down for texts with a '!'.
pub(crate) struct FallibleLetters;

impl Embed for FallibleLetters {
    fn card(&self) -> EmbedCard<'_> {
        Letters.card()
    }

    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        Box::pin(async move {
            yield_now().await;
            if texts.iter().any(|text| text.contains('!')) {
                return Err(Error::unavailable("down"));
            }
            Letters.embed(texts, priority).await
        })
    }
}
