//! A cached search, the same for knowledge and memories.

use std::borrow::Cow;
use std::sync::Arc;

use antiphon_core::{BoxFuture, Result, Search, StoreVersion};
use tokio::time::Instant;

use super::record::{self, Found};
use super::scope::{LookupOutcome, Scope};

/// A store whose search results are kept in a scope.
pub(super) trait Store: Clone + Send + 'static {
    type Found: Found;
    fn version(&self) -> StoreVersion;
    fn search(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Self::Found>>>;
}

/// Gives the kept results at once, or has the store search.
pub(super) fn search<S: Store>(
    scope: &Arc<Scope>,
    store: &S,
    asked: Search,
) -> BoxFuture<'static, Result<Vec<S::Found>>> {
    let place = match scope.look_up(&normalised(&asked.about), asked.limit, store.version()) {
        LookupOutcome::Found(entry) => match record::read(&entry.value) {
            Some(found) => return Box::pin(std::future::ready(Ok(found))),
            None => return store.search(asked),
        },
        LookupOutcome::Unusable => return store.search(asked),
        LookupOutcome::Missing(place) => place,
    };
    let (scope, store, began) = (Arc::clone(scope), store.clone(), Instant::now());
    Box::pin(async move {
        let (about, label) = (asked.about.clone(), asked.requester.label(&asked.about));
        let found = store.search(asked).await?;
        // The store has just embedded the query. Without results the vector is not needed: any new text may be the first result.
        let vector = (!found.is_empty()).then(|| scope.embed.known(&about)).flatten().unwrap_or_default();
        let record = record::write(&vector, &found);
        scope.keep(&place, store.version(), label, record, began.elapsed());
        Ok(found)
    })
}

/// The query with single spaces and no space around it. Nothing else is changed, because case and punctuation make a difference
/// to some stores.
fn normalised(about: &str) -> Cow<'_, str> {
    let about = about.trim();
    let plain = about.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_whitespace));
    if plain {
        return Cow::Borrowed(about);
    }
    Cow::Owned(about.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_is_normalised() {
        for (about, plain) in [
            ("When do you open?", "When do you open?"),
            (" When  do\tyou\u{a0}open?\n", "When do you open?"),
            ("", ""),
            ("  ", ""),
        ] {
            assert_eq!(normalised(about), plain);
        }
    }
}
