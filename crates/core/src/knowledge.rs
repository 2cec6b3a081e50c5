//! What a business or a household knows.

use crate::{BoxFuture, Result};

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
/// use antiphon_core::{BoxFuture, Knowledge, Passage, Result};
/// use futures_util::FutureExt;
///
/// struct OpeningHours;
///
/// impl Knowledge for OpeningHours {
///     fn search(&self, _about: String, limit: usize) -> BoxFuture<'static, Result<Vec<Passage>>> {
///         let passage = Passage {
///             text: "We are open from nine to five.".to_owned(),
///             source: "opening hours".to_owned(),
///             relevance: 1.0,
///         };
///         async move { Ok(vec![passage; limit.min(1)]) }.boxed()
///     }
/// }
///
/// let found = OpeningHours.search("When are you open?".to_owned(), 3).now_or_never();
/// assert_eq!(found.expect("answers at once").expect("works").len(), 1);
/// ```
pub trait Knowledge: Send + Sync {
    /// What fits `about` best, the best first, at most `limit`.
    fn search(&self, about: String, limit: usize) -> BoxFuture<'static, Result<Vec<Passage>>>;

    /// Tells whether what is known has changed; 0 for what never changes, or does not count its changes.
    ///
    /// It rises no sooner than searches find the change, and before whoever made the change is told that it is done. By
    /// one, if some passages came or went and that concerns no search but those which find them: so it is where what
    /// is found is told by how close each passage is to what is asked for. By more, if any search may find something
    /// else.
    fn version(&self) -> u64 {
        0
    }
}
