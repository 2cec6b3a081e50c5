//! Memories and knowledge that live only as long as the process. The search is exact, and everything is bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
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
    persons: Arc<Mutex<Persons>>,
}

/// Only what somebody says makes an entry. A call in which nothing is said takes nobody's place.
#[derive(Default)]
struct Persons {
    known: HashMap<Who, Person>,
    /// The persons in the order in which they were last heard of, the latest last.
    order: BTreeMap<u64, Who>,
    /// How often somebody was heard of, which gives the next place in the order.
    heard: u64,
    /// The version of everybody of whom nothing is kept. It is above the version of all who were forgotten, so that nobody's
    /// version ever falls.
    of_unknown: StoreVersion,
}

/// A person is one for each tenant: what they told one business, another does not know.
type Who = (TenantId, PersonId);

struct Person {
    /// What they said, the latest last.
    said: VecDeque<Said>,
    /// How often what is kept of this person changed, as [`Memory::version`] tells it.
    version: StoreVersion,
    /// Their place in [`Persons::order`].
    heard: u64,
}

struct Said {
    text: String,
    vector: Vec<f32>,
}

impl Persons {
    /// The person, who from now on is the one last heard of. If they are new, somebody else may be forgotten for them.
    fn hear_of(&mut self, who: &Who) -> &mut Person {
        self.heard += 1;
        if !self.known.contains_key(who) && self.known.len() >= MAX_PERSONS {
            self.forget_one();
        }
        let (heard, version) = (self.heard, self.of_unknown);
        let person =
            self.known.entry(who.clone()).or_insert_with(|| Person { said: VecDeque::new(), version, heard });
        self.order.remove(&person.heard);
        self.order.insert(heard, who.clone());
        person.heard = heard;
        person
    }

    /// Forgets the person who has not been heard of for the longest time.
    fn forget_one(&mut self) {
        let Some((_, who)) = self.order.pop_first() else { return };
        if let Some(person) = self.known.remove(&who) {
            self.of_unknown = self.of_unknown.max(person.version.after(StoreChange::Anything));
        }
    }
}

impl InProcessMemories {
    /// An empty store. `embed` turns what is said, and what is asked, into vectors.
    pub fn new(embed: Arc<dyn Embed>) -> Self {
        Self { embed, persons: Arc::default() }
    }
}

impl Memories for InProcessMemories {
    fn of(&self, tenant: &TenantId, person: &PersonId) -> Arc<dyn Memory> {
        let who = (tenant.clone(), person.clone());
        let mut persons = lock(&self.persons);
        if persons.known.contains_key(&who) {
            persons.hear_of(&who);
        }
        Arc::new(PersonMemory { who, persons: self.persons.clone(), embed: self.embed.clone() })
    }
}

/// The memories of one person, as a call sees them.
struct PersonMemory {
    who: Who,
    persons: Arc<Mutex<Persons>>,
    embed: Arc<dyn Embed>,
}

impl Memory for PersonMemory {
    fn remember(&self, person_said: String, _: String) -> BoxFuture<'static, Result<()>> {
        let (who, persons, embed) = (self.who.clone(), self.persons.clone(), self.embed.clone());
        Box::pin(async move {
            let mut text = person_said;
            if text.trim().is_empty() {
                return Ok(());
            }
            let length = text.len();
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            let vector = one(&embed, text.clone(), Priority::Extraction).await?;
            let mut persons = lock(&persons);
            let person = persons.hear_of(&who);
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
        let (who, persons, embed) = (self.who.clone(), self.persons.clone(), self.embed.clone());
        Box::pin(async move {
            if !lock(&persons).known.contains_key(&who) {
                return Ok(Vec::new());
            }
            let query = one(&embed, search.about, Priority::LiveTurn).await?;
            let persons = lock(&persons);
            let Some(person) = persons.known.get(&who) else { return Ok(Vec::new()) };
            let vectors = person.said.iter().map(|said| said.vector.as_slice());
            let found = nearest(&query, vectors, search.limit, RELATED);
            Ok(found
                .into_iter()
                .map(|(at, relevance)| Recollection { text: person.said[at].text.clone(), relevance })
                .collect())
        })
    }

    fn profile(&self, limit: usize) -> BoxFuture<'static, Result<Vec<String>>> {
        let persons = lock(&self.persons);
        let of_me = |said: &&Said| {
            let text = said.text.to_lowercase();
            ABOUT_ME.iter().any(|words| text.contains(words))
        };
        let said = persons.known.get(&self.who).into_iter().flat_map(|person| person.said.iter().rev());
        let known = said.filter(of_me).take(limit).map(|said| said.text.clone()).collect();
        Box::pin(std::future::ready(Ok(known)))
    }

    fn version(&self) -> StoreVersion {
        let persons = lock(&self.persons);
        persons.known.get(&self.who).map_or(persons.of_unknown, |person| person.version)
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
        let version = ada.version();
        for n in 0..MAX_PERSONS {
            of(&memories, &n.to_string()).remember("Hello.".to_owned(), String::new()).await.expect("works");
        }
        assert!(of(&memories, "ada").profile(1).await.expect("works").is_empty(), "forgotten");
        assert_eq!(
            ada.version().change_since(version),
            StoreChange::Anything,
            "whoever keeps results is told"
        );
    }

    #[tokio::test]
    async fn calls_in_which_nothing_is_said_make_nobody_forgotten() {
        let memories = InProcessMemories::new(Arc::new(Letters));
        of(&memories, "ada").remember("My name is Ada.".to_owned(), String::new()).await.expect("works");
        for n in 0..MAX_PERSONS + 50 {
            let silent = of(&memories, &n.to_string());
            silent.remember("  ".to_owned(), "Hello?".to_owned()).await.expect("works");
        }
        assert_eq!(of(&memories, "ada").profile(4).await.expect("works"), ["My name is Ada."]);
    }

    #[tokio::test]
    async fn whoever_calls_again_is_not_the_next_to_be_forgotten() {
        let memories = InProcessMemories::new(Arc::new(Letters));
        let tell = async |person: &str| {
            of(&memories, person)
                .remember("My name is mine.".to_owned(), String::new())
                .await
                .expect("works");
        };
        for n in 0..MAX_PERSONS {
            tell(&n.to_string()).await;
        }
        of(&memories, "0");
        tell("newcomer").await;
        assert_eq!(of(&memories, "0").profile(1).await.expect("works").len(), 1);
        assert!(of(&memories, "1").profile(1).await.expect("works").is_empty());
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
