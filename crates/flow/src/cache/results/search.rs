//! A search that is cached.

use std::borrow::Cow;
use std::sync::Arc;

use antiphon_core::{BoxFuture, Embed, Priority, Result};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::time::Instant;

use super::record::{self, Found};
use super::scope::{Looked, Scope};

/// Searches in a store, of which a scope keeps what is found.
pub(super) trait Store: Clone + Send + 'static {
    type Found: Found;
    fn version(&self) -> u64;
    fn search(&self, about: String, limit: usize) -> BoxFuture<'static, Result<Vec<Self::Found>>>;
}

type Searched<F> = Result<Vec<F>>;

/// What is kept, at once; or what the store finds.
pub(super) fn search<S: Store>(
    scope: &Arc<Scope>,
    store: &S,
    about: String,
    limit: usize,
) -> BoxFuture<'static, Searched<S::Found>> {
    let place = match scope.look_up(&normalised(&about), limit, store.version()) {
        Looked::Found(entry) => match record::read(&entry.value) {
            Some(found) => return Box::pin(std::future::ready(Ok(found))),
            None => return store.search(about, limit),
        },
        Looked::Unknown => return store.search(about, limit),
        Looked::Missing(place) => place,
    };
    let (scope, store, began) = (Arc::clone(scope), store.clone(), Instant::now());
    Box::pin(async move {
        let (found, vector) =
            with_vector(store.search(about.clone(), limit), &*scope.embed, about.clone()).await;
        let found = found?;
        let record = record::write(&vector, &found);
        scope.keep(&place, store.version(), about, record, began.elapsed());
        Ok(found)
    })
}

/// What is found, and the vector of what was asked for: empty if that is not there by then.
///
/// The store embeds the same text: behind a cache it is embedded once. Nobody waits for it, and where nothing is found
/// it is not needed: whatever comes may be the first to be found.
async fn with_vector<F>(
    search: BoxFuture<'static, Searched<F>>,
    embed: &dyn Embed,
    about: String,
) -> (Searched<F>, Vec<f32>) {
    let vector = embed.embed(vec![about], Priority::LiveTurn);
    let (found, vector) = match select(search, vector).await {
        Either::Left((found @ Ok(_), vector)) if !found.as_ref().is_ok_and(Vec::is_empty) => {
            (found, vector.now_or_never())
        }
        Either::Left((found, _)) => (found, None),
        Either::Right((vector, search)) => (search.await, Some(vector)),
    };
    let vectors = vector.and_then(Result::ok).unwrap_or_default();
    (found, vectors.into_iter().next().unwrap_or_default())
}

/// Without white space round the words and with one space between them. Nothing else: how words are written makes a
/// difference to some stores.
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
