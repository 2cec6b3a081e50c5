//! What is remembered of a person beyond one call.

use std::sync::Arc;

use crate::{BoxFuture, PersonId, Result, Search, StoreVersion, TenantId};

/// Something remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Recollection {
    /// In words, as they can stand in a prompt.
    pub text: String,
    /// How well it fits what was asked for, 0 to 1.
    pub relevance: f32,
}

/// What is remembered of one person. Whoever holds it may see all of it: it is opened for one tenant and person.
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
pub trait Memories: Send + Sync {
    /// What is remembered of a person by a tenant: another tenant knows nothing of it.
    fn of(&self, tenant: &TenantId, person: &PersonId) -> Arc<dyn Memory>;
}
