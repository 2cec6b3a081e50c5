//! What is remembered of a person beyond one call.

use std::sync::Arc;

use crate::{BoxFuture, PersonId, Result, Search, StoreVersion, TenantId};

/// Something remembered of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Recollection {
    /// In words, as they can stand in a prompt.
    pub text: String,
    /// How well it fits what was asked for, 0 to 1.
    pub relevance: f32,
}

/// What is remembered of one person. Whoever holds it may see all of it: it is opened for one tenant and person.
///
/// # Example
///
/// A memory that keeps everything a person says, and finds what contains the words that are looked for:
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use antiphon_core::{BoxFuture, Memory, Recollection, Result, Search, lock};
/// use futures_util::FutureExt;
///
/// #[derive(Default)]
/// struct Notes(Arc<Mutex<Vec<String>>>);
///
/// impl Notes {
///     fn containing(&self, words: &str, limit: usize) -> Vec<String> {
///         let notes = lock(&self.0);
///         notes.iter().filter(|note| note.contains(words)).take(limit).cloned().collect()
///     }
/// }
///
/// impl Memory for Notes {
///     fn remember(&self, person_said: String, _: String) -> BoxFuture<'static, Result<()>> {
///         lock(&self.0).push(person_said);
///         async { Ok(()) }.boxed()
///     }
///
///     fn recall(&self, search: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
///         let found = self.containing(&search.about, search.limit).into_iter();
///         let found = found.map(|text| Recollection { text, relevance: 1.0 }).collect();
///         async move { Ok(found) }.boxed()
///     }
///
///     fn profile(&self, limit: usize) -> BoxFuture<'static, Result<Vec<String>>> {
///         let profile = self.containing("my name is", limit);
///         async move { Ok(profile) }.boxed()
///     }
/// }
///
/// let notes = Notes::default();
/// let kept = notes.remember("my name is Ada".to_owned(), "Hello, Ada.".to_owned());
/// assert_eq!(kept.now_or_never(), Some(Ok(())));
/// assert_eq!(notes.profile(1).now_or_never(), Some(Ok(vec!["my name is Ada".to_owned()])));
/// ```
pub trait Memory: Send + Sync {
    /// Keeps what was said in a turn.
    fn remember(&self, person_said: String, agent_said: String) -> BoxFuture<'static, Result<()>>;

    /// What fits the search best, the best first.
    fn recall(&self, search: Search) -> BoxFuture<'static, Result<Vec<Recollection>>>;

    /// What is worth knowing of the person whatever is talked about, such as their name; in words, at most `limit`.
    fn profile(&self, limit: usize) -> BoxFuture<'static, Result<Vec<String>>>;

    /// How often what is remembered has changed. It is counted as in [`Knowledge::version`](crate::Knowledge::version), and
    /// every turn that is kept is a change: one of [`StoreChange::Passages`](crate::StoreChange) if what the person said in it
    /// was added as it was said and nothing was forgotten for it, one of `StoreChange::Anything` otherwise.
    fn version(&self) -> StoreVersion {
        StoreVersion::default()
    }
}

/// The memories of everybody.
///
/// # Example
///
/// Memories that forget everything, for a tenant who may not keep what callers say:
///
/// ```
/// use std::sync::Arc;
///
/// use antiphon_core::{BoxFuture, Memories, Memory, PersonId, Recollection, Result, Search, TenantId};
/// use futures_util::FutureExt;
///
/// struct Nothing;
///
/// impl Memory for Nothing {
///     fn remember(&self, _: String, _: String) -> BoxFuture<'static, Result<()>> {
///         async { Ok(()) }.boxed()
///     }
///
///     fn recall(&self, _: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
///         async { Ok(Vec::new()) }.boxed()
///     }
///
///     fn profile(&self, _: usize) -> BoxFuture<'static, Result<Vec<String>>> {
///         async { Ok(Vec::new()) }.boxed()
///     }
/// }
///
/// impl Memories for Nothing {
///     fn of(&self, _: &TenantId, _: &PersonId) -> Arc<dyn Memory> {
///         Arc::new(Nothing)
///     }
/// }
///
/// let ada = PersonId::parse("ada").expect("a name");
/// let memory = Nothing.of(&TenantId::only(), &ada);
/// assert_eq!(memory.profile(1).now_or_never(), Some(Ok(Vec::new())));
/// ```
pub trait Memories: Send + Sync {
    /// What is remembered of a person by a tenant: another tenant knows nothing of it.
    fn of(&self, tenant: &TenantId, person: &PersonId) -> Arc<dyn Memory>;
}
