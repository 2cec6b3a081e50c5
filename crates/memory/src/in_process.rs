//! Memories and knowledge that live only as long as the process. The search is exact, and everything is bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use antiphon_core::{
    BoxFuture, Embed, Error, Knowledge, Memories, Memory, Passage, PersonId, Priority, Recollection, Result,
    Search, StoreChange, StoreVersion, TenantId, lock,
};

use crate::nearest::nearest;

/// Persons whose memories are kept. Beyond it, the person who has not been heard of for the longest time is forgotten.
const MAX_PERSONS: usize = 10_000;
/// Memories kept of one person: what somebody talkative says in an hour. Beyond it, the oldest is dropped.
const MAX_MEMORIES: usize = 500;
/// Bytes kept of one utterance: a long minute of speech. The rest of a longer one is cut off.
const MAX_TEXT: usize = 1_000;
/// Passages of all documents together: some 16 MiB of vectors, which are searched in a few milliseconds.
const MAX_PASSAGES: usize = 10_000;
/// Passages embedded in one request.
const BATCH: usize = 32;
/// Least cosine at which two sentences count as related, for vectors of MiniLM.
const RELATED: f32 = 0.35;
/// Phrases with which people say something about themselves that is worth knowing whatever the topic: it goes into the profile.
const ABOUT_ME: [&str; 8] = [
    "my name is ",
    "call me ",
    "i live in ",
    "i work as ",
    "i work at ",
    "i am allergic ",
    "i'm allergic ",
    "my birthday is ",
];

/// The memories of everybody who spoke since the process began.
pub struct InProcessMemories {
    embed: Arc<dyn Embed>,
    persons: Mutex<Persons>,
}

#[derive(Default)]
struct Persons {
    known: HashMap<Who, Arc<Mutex<Person>>>,
    /// The persons in the order in which they were last heard of, the latest last.
    order: VecDeque<Who>,
}

/// A person is one for each tenant: what they told one business, another does not know.
type Who = (TenantId, PersonId);

#[derive(Default)]
struct Person {
    /// What they said, the latest last.
    said: VecDeque<Said>,
    /// How often what is kept of this person changed, as [`Memory::version`] tells it.
    version: StoreVersion,
}

struct Said {
    text: String,
    vector: Vec<f32>,
}

impl InProcessMemories {
    /// An empty store. `embed` turns what is said, and what is asked, into vectors.
    pub fn new(embed: Arc<dyn Embed>) -> Self {
        Self { embed, persons: Mutex::default() }
    }
}

impl Memories for InProcessMemories {
    fn of(&self, tenant: &TenantId, person: &PersonId) -> Arc<dyn Memory> {
        let who = (tenant.clone(), person.clone());
        let mut persons = lock(&self.persons);
        persons.order.retain(|other| *other != who);
        persons.order.push_back(who.clone());
        if persons.order.len() > MAX_PERSONS
            && let Some(forgotten) = persons.order.pop_front()
        {
            persons.known.remove(&forgotten);
        }
        let person = persons.known.entry(who).or_default().clone();
        Arc::new(PersonMemory { person, embed: self.embed.clone() })
    }
}

/// The memories of one person, as a call sees them.
struct PersonMemory {
    person: Arc<Mutex<Person>>,
    embed: Arc<dyn Embed>,
}

impl Memory for PersonMemory {
    fn remember(&self, person_said: String, _: String) -> BoxFuture<'static, Result<()>> {
        let (person, embed) = (self.person.clone(), self.embed.clone());
        Box::pin(async move {
            let mut text = person_said;
            let length = text.len();
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            let vector = one(&embed, text.clone(), Priority::Extraction).await?;
            let mut person = lock(&person);
            let before = person.said.len();
            person.said.retain(|said| said.text != text);
            if person.said.len() == MAX_MEMORIES {
                person.said.pop_front();
            }
            // A repetition only moves a memory, and a full store loses its oldest: then it is not one more memory alone.
            let added_alone = person.said.len() == before && text.len() == length;
            let change = if added_alone { StoreChange::Passages } else { StoreChange::Anything };
            person.version = person.version.after(change);
            person.said.push_back(Said { text, vector });
            Ok(())
        })
    }

    fn recall(&self, search: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
        let (person, embed) = (self.person.clone(), self.embed.clone());
        Box::pin(async move {
            if lock(&person).said.is_empty() {
                return Ok(Vec::new());
            }
            let query = one(&embed, search.about, Priority::LiveTurn).await?;
            let person = lock(&person);
            let vectors = person.said.iter().map(|said| said.vector.as_slice());
            let found = nearest(&query, vectors, search.limit, RELATED);
            Ok(found
                .into_iter()
                .map(|(at, relevance)| Recollection { text: person.said[at].text.clone(), relevance })
                .collect())
        })
    }

    fn profile(&self, limit: usize) -> BoxFuture<'static, Result<Vec<String>>> {
        let person = lock(&self.person);
        let of_me = |said: &&Said| {
            let text = said.text.to_lowercase();
            ABOUT_ME.iter().any(|words| text.contains(words))
        };
        let known =
            person.said.iter().rev().filter(of_me).take(limit).map(|said| said.text.clone()).collect();
        Box::pin(std::future::ready(Ok(known)))
    }

    fn version(&self) -> StoreVersion {
        lock(&self.person).version
    }
}

/// Passages of documents, embedded once when the process starts.
pub struct InProcessKnowledge {
    embed: Arc<dyn Embed>,
    known: Arc<Known>,
}

struct Known {
    passages: Vec<Passage>,
    /// The vector of each passage, once they have been embedded.
    vectors: OnceLock<Vec<Vec<f32>>>,
}

impl InProcessKnowledge {
    /// Takes pairs of source and passage. Nothing is found before [`Self::read`] has embedded them.
    pub fn new(embed: Arc<dyn Embed>, passages: Vec<(String, String)>) -> Result<Self> {
        if passages.len() > MAX_PASSAGES {
            let message = format!(
                "the documents have {} passages and at most {MAX_PASSAGES} can be kept in memory: leave some out",
                passages.len()
            );
            return Err(Error::invalid(message));
        }
        let passage = |(source, text)| Passage { text, source, relevance: 0.0 };
        let passages = passages.into_iter().map(passage).collect();
        Ok(Self { embed, known: Arc::new(Known { passages, vectors: OnceLock::new() }) })
    }

    /// Embeds the passages, which takes some 10 ms for each on one core. Until it is done nothing is found.
    pub async fn read(&self) -> Result<()> {
        let mut vectors = Vec::with_capacity(self.known.passages.len());
        for batch in self.known.passages.chunks(BATCH) {
            let texts = batch.iter().map(|passage| passage.text.clone()).collect();
            vectors.extend(self.embed.embed(texts, Priority::Batch).await?);
        }
        // If somebody else has set them meanwhile, the vectors are the same.
        let _ = self.known.vectors.set(vectors);
        Ok(())
    }

    /// How many passages there are.
    pub fn len(&self) -> usize {
        self.known.passages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.passages.is_empty()
    }
}

impl Knowledge for InProcessKnowledge {
    fn search(&self, search: Search) -> BoxFuture<'static, Result<Vec<Passage>>> {
        let (embed, known) = (self.embed.clone(), self.known.clone());
        Box::pin(async move {
            let Some(vectors) = known.vectors.get() else { return Ok(Vec::new()) };
            let query = one(&embed, search.about, Priority::LiveTurn).await?;
            let found = nearest(&query, vectors.iter().map(Vec::as_slice), search.limit, RELATED);
            Ok(found
                .into_iter()
                .map(|(at, relevance)| Passage { relevance, ..known.passages[at].clone() })
                .collect())
        })
    }
}

/// The vector of one text.
async fn one(embed: &Arc<dyn Embed>, text: String, priority: Priority) -> Result<Vec<f32>> {
    let vectors = embed.embed(vec![text], priority).await?;
    vectors.into_iter().next().ok_or_else(|| Error::internal("an embedding engine gave no vector for a text"))
}

#[cfg(test)]
mod tests {
    use antiphon_core::Requester;
    use antiphon_testkit::Letters;

    use super::*;

    fn of(memories: &InProcessMemories, person: &str) -> Arc<dyn Memory> {
        memories.of(&TenantId::only(), &PersonId::parse(person).expect("a name"))
    }

    fn about(words: &str, limit: usize) -> Search {
        Search { requester: Requester::local(), about: words.to_owned(), limit }
    }

    #[tokio::test]
    async fn a_person_is_another_for_each_tenant() {
        let memories = InProcessMemories::new(Arc::new(Letters));
        let ada = PersonId::parse("ada").expect("a name");
        let (shop, bank) = (TenantId::new("shop"), TenantId::new("bank"));
        let told = memories.of(&shop, &ada).remember("My name is Ada.".to_owned(), String::new());
        told.await.expect("works");
        assert_eq!(memories.of(&shop, &ada).profile(4).await.expect("works"), ["My name is Ada."]);
        assert!(memories.of(&bank, &ada).profile(4).await.expect("works").is_empty());
    }

    #[tokio::test]
    async fn a_person_is_remembered_and_nobody_else_sees_it() {
        let memories = InProcessMemories::new(Arc::new(Letters));
        let ada = of(&memories, "ada");
        ada.remember("My name is Ada.".to_owned(), String::new()).await.expect("works");
        ada.remember("The zebra zigzags.".to_owned(), String::new()).await.expect("works");
        let again = of(&memories, "ada");
        let recalled = again.recall(about("zigzag zebra", 1)).await.expect("works");
        assert_eq!(recalled[0].text, "The zebra zigzags.");
        assert_eq!(again.profile(4).await.expect("works"), ["My name is Ada."]);
        let bob = of(&memories, "bob");
        assert!(bob.recall(about("zigzag zebra", 1)).await.expect("works").is_empty());
        assert!(bob.profile(4).await.expect("works").is_empty());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let memories = InProcessMemories::new(Arc::new(Letters));
        let ada = of(&memories, "ada");
        for n in 0..MAX_MEMORIES + 10 {
            ada.remember(format!("My name is number {n}."), String::new()).await.expect("works");
        }
        assert_eq!(ada.profile(1_000).await.expect("works").len(), MAX_MEMORIES);
        for n in 0..MAX_PERSONS {
            of(&memories, &n.to_string());
        }
        assert!(of(&memories, "ada").profile(1).await.expect("works").is_empty(), "forgotten");
    }

    #[tokio::test]
    async fn the_nearest_passage_comes_first() {
        let passages = ["We open at nine.", "Zebras zigzag.", "Parking is free."];
        let passages = passages.map(|text| ("faq".to_owned(), text.to_owned())).to_vec();
        let knowledge = InProcessKnowledge::new(Arc::new(Letters), passages).expect("few");
        assert!(knowledge.search(about("zebra", 2)).await.expect("works").is_empty(), "not read yet");
        knowledge.read().await.expect("works");
        let found = knowledge.search(about("a zigzagging zebra", 2)).await.expect("works");
        assert_eq!(found[0].text, "Zebras zigzag.");
        assert!(found[0].relevance > 0.5 && found.len() <= 2);
    }
}
