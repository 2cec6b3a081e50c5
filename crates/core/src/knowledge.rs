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
///
/// # Example
///
/// A knowledge of one sentence, which answers every question:
///
/// ```
/// use antiphon_core::{BoxFuture, Knowledge, Passage, Requester, Result, Search};
/// use futures_util::FutureExt;
///
/// struct OpeningHours;
///
/// impl Knowledge for OpeningHours {
///     fn search(&self, search: Search) -> BoxFuture<'static, Result<Vec<Passage>>> {
///         let passage = Passage {
///             text: "We are open from nine to five.".to_owned(),
///             source: "opening hours".to_owned(),
///             relevance: 1.0,
///         };
///         async move { Ok(vec![passage; search.limit.min(1)]) }.boxed()
///     }
/// }
///
/// let about = "When are you open?".to_owned();
/// let search = Search { requester: Requester::local(), about, limit: 3 };
/// let found = OpeningHours.search(search).now_or_never();
/// assert_eq!(found.expect("answers at once").expect("works").len(), 1);
/// ```
pub trait Knowledge: Send + Sync {
    /// What fits the search best, the best first.
    fn search(&self, search: Search) -> BoxFuture<'static, Result<Vec<Passage>>>;

    /// How often what is known has changed. A change is counted no sooner than searches find it, and before whoever made it is
    /// told that it is done.
    fn version(&self) -> StoreVersion {
        StoreVersion::default()
    }
}
