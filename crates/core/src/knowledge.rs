//! What a business or a household knows.

use crate::{BoxFuture, Requester, Result, StoreVersion};

/// A search of what is known or remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// On whose behalf it is searched.
    pub requester: Requester,
    /// What is looked for, in words.
    pub about: String,
    /// The most that is found.
    pub limit: usize,
}

/// A passage that may answer a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// As it can stand in a prompt.
    pub text: String,
    /// Where it is from, such as a document's title.
    pub source: String,
    /// How well it fits what was asked for, 0 to 1.
    pub relevance: f32,
}

/// The documents of one tenant. Whoever holds it may read all of them.
pub trait Knowledge: Send + Sync {
    /// What fits the search best, the best first.
    fn search(&self, search: Search) -> BoxFuture<'static, Result<Vec<Passage>>>;

    /// How often what is known has changed. A change is counted no sooner than searches find it, and before whoever made it is
    /// told that it is done.
    fn version(&self) -> StoreVersion {
        StoreVersion::default()
    }
}
