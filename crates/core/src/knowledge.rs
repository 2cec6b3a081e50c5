//! What a business or a household knows.

use crate::{BoxFuture, Result, StoreVersion};

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
    /// What fits `about` best, the best first, at most `limit`.
    fn search(&self, about: String, limit: usize) -> BoxFuture<'static, Result<Vec<Passage>>>;

    /// How often what is known has changed. A change is counted no sooner than searches find it, and before whoever made it is
    /// told that it is done.
    fn version(&self) -> StoreVersion {
        StoreVersion::default()
    }
}
