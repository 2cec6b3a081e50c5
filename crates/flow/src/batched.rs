//! Embeddings in batches: [`Batched`] round an engine for which one call with many texts is cheaper than many calls.

use std::sync::Arc;

use antiphon_core::measure::account::{self, Account};
use antiphon_core::{BoxFuture, Embed, EmbedCard, Error, ErrorKind, Priority, Result};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::batch::{BatchStatistics, Batcher, Limits, MAX_BATCH, Operation};
use crate::on_behalf::OnBehalf;

/// Texts of up to this many bytes, an utterance of a minute, share a batch whatever their length. Beyond that each bucket holds
/// texts that differ in length by at most a factor of four, so that at most three quarters of what an engine reads is padding.
const SHORT: usize = 1_024;
/// How many parts of one large request are in flight: while one is answered the next one waits already.
const PARTS: usize = 2;

/// An engine whose concurrent requests are served in batches.
///
/// A request that comes when nothing runs is passed on at once and whole, up to the largest batch. Identical texts in
/// flight are embedded once. A text that the engine refuses fails only its own request. An engine that runs on the pool of
/// model threads is batched there; with unlimited runs, only identical texts are put together here.
pub struct Batched {
    engine: Arc<dyn Embed>,
    batcher: Batcher<Embedding>,
}

impl Batched {
    /// Batches what `engine` is asked, within `limits`.
    pub fn new(engine: Arc<dyn Embed>, limits: Limits) -> Self {
        let batcher = Batcher::new(Embedding { engine: Arc::clone(&engine), limits });
        Self { engine, batcher }
    }

    /// What was measured of the batches until now; the handle goes on counting.
    pub fn statistics(&self) -> Arc<BatchStatistics> {
        self.batcher.statistics()
    }
}

impl Embed for Batched {
    fn card(&self) -> EmbedCard<'_> {
        self.engine.card()
    }

    fn tokens(&self, text: &str) -> u64 {
        self.engine.tokens(text)
    }

    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let batcher = self.batcher.clone();
        Box::pin(async move {
            // One group for all texts of a request: without a batcher the engine would pad them to the longest, too.
            let group = bucket(texts.iter().map(String::len).max().unwrap_or(0));
            let account = account::current();
            let mut texts = texts.into_iter().map(move |text| Text {
                words: Arc::new(text),
                group,
                account: account.clone(),
            });
            let parts = std::iter::from_fn(move || {
                let part: Vec<_> = texts.by_ref().take(MAX_BATCH).collect();
                (!part.is_empty()).then_some(part)
            });
            let parts = stream::iter(parts).map(|part| try_join_all(batcher.run_all(part, priority)));
            parts.buffered(PARTS).try_concat().await
        })
    }
}

fn bucket(bytes: usize) -> u64 {
    u64::from((bytes.saturating_sub(1) / SHORT).checked_ilog(4).map_or(0, |log| log + 1))
}

struct Text {
    words: Arc<String>,
    group: u64,
    /// The account of the call it is for.
    account: Option<Arc<Account>>,
}

struct Embedding {
    engine: Arc<dyn Embed>,
    limits: Limits,
}

impl Operation for Embedding {
    type Item = Text;
    type Output = Vec<f32>;
    type Key = Arc<String>;

    fn name(&self) -> &'static str {
        "embed"
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn key(&self, item: &Text) -> Option<Arc<String>> {
        Some(Arc::clone(&item.words))
    }

    fn group(&self, item: &Text) -> u64 {
        item.group
    }

    fn run(&self, items: Vec<Text>, priority: Priority) -> BoxFuture<'static, Vec<Result<Vec<f32>>>> {
        // A batch of several calls is charged to the first one. Only remote engines batch here, so no CPU time is misattributed.
        let account = items.first().and_then(|item| item.account.clone());
        let texts = items.into_iter().map(|item| Arc::unwrap_or_clone(item.words)).collect();
        let work = embed_each(Arc::clone(&self.engine), texts, priority);
        Box::pin(OnBehalf { account, work })
    }
}

/// Embeds texts in one call. If the engine refuses it, each half is tried alone, so that a text that cannot be embedded fails
/// none of the others.
fn embed_each(
    engine: Arc<dyn Embed>,
    mut texts: Vec<String>,
    priority: Priority,
) -> BoxFuture<'static, Vec<Result<Vec<f32>>>> {
    Box::pin(async move {
        let count = texts.len();
        match engine.embed(texts.clone(), priority).await {
            Ok(vectors) if vectors.len() == count => vectors.into_iter().map(Ok).collect(),
            Ok(vectors) => {
                let (name, given) = (engine.card().name, vectors.len());
                let message =
                    format!("{name} gave {given} vectors for {count} texts: check its model and URL");
                vec![Err(Error::new(ErrorKind::Protocol, message)); count]
            }
            Err(error) if error.kind() == ErrorKind::Invalid && count > 1 => {
                let second = texts.split_off(count / 2);
                let mut vectors = embed_each(Arc::clone(&engine), texts, priority).await;
                vectors.extend(embed_each(engine, second, priority).await);
                vectors
            }
            Err(error) => vec![Err(error); count],
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use antiphon_core::measure::Component;

    use super::*;

    /// Texts and priority of each call.
    type Calls = Arc<Mutex<Vec<(usize, Priority)>>>;

    /// Takes 20 ms and 1 ms a text; refuses "bad"; a text's vector is its length and its first byte.
    #[derive(Default)]
    struct Server(Calls);

    impl Embed for Server {
        fn card(&self) -> EmbedCard<'_> {
            EmbedCard { name: "server", model: "m", dimensions: 2 }
        }

        fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
            self.0.lock().expect("not poisoned").push((texts.len(), priority));
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(20 + texts.len() as u64)).await;
                if texts.iter().any(|text| text == "bad") {
                    return Err(Error::invalid("bad text"));
                }
                Ok(texts.iter().map(|text| vector(text)).collect())
            })
        }
    }

    fn vector(text: &str) -> Vec<f32> {
        vec![text.len() as f32, text.bytes().map(f32::from).sum()]
    }

    fn batched() -> (Batched, Calls) {
        let server = Server::default();
        let calls = server.0.clone();
        (Batched::new(Arc::new(server), Limits::default()), calls)
    }

    fn texts(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|n| format!("text {n}")).collect()
    }

    fn sizes(calls: &Calls) -> Vec<usize> {
        calls.lock().expect("not poisoned").iter().map(|(size, _)| *size).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_alone_is_one_call_and_as_fast_as_before() {
        let (batched, calls) = batched();
        let began = tokio::time::Instant::now();
        let long = "x".repeat(9_000);
        let asked = [texts(0..30), vec![long]].concat();
        let vectors = batched.embed(asked.clone(), Priority::Interactive).await.expect("works");
        assert_eq!(vectors, asked.iter().map(|text| vector(text)).collect::<Vec<_>>());
        assert_eq!(began.elapsed(), Duration::from_millis(20 + 31));
        assert_eq!(*calls.lock().expect("not poisoned"), [(31, Priority::Interactive)]);
        assert_eq!(batched.embed(Vec::new(), Priority::Batch).await, Ok(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_oversize_request_is_split_and_keeps_its_order() {
        let (batched, calls) = batched();
        let asked = texts(0..2_000);
        let vectors = batched.embed(asked.clone(), Priority::Batch).await.expect("works");
        assert_eq!(vectors, asked.iter().map(|text| vector(text)).collect::<Vec<_>>());
        assert_eq!(sizes(&calls), [MAX_BATCH; 40]);
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_go_together_and_identical_texts_once() {
        let (batched, calls) = batched();
        let first = batched.embed(texts(0..1), Priority::Batch);
        let others = (1..41).map(|n| batched.embed(texts(n / 2..n / 2 + 1), Priority::LiveTurn));
        let answers = try_join_all(std::iter::once(first).chain(others)).await.expect("works");
        assert_eq!(answers[40], [vector("text 20")]);
        assert_eq!(sizes(&calls), [1, 20]);
        let counters = batched.statistics().counters();
        let count = |name: &str| counters.iter().find(|counter| counter.name == name).expect("known").value;
        assert_eq!((count("embed items"), count("embed calls"), count("embed shared")), (41, 2, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_text_fails_its_own_request_only() {
        let (batched, _) = batched();
        let first = batched.embed(texts(0..1), Priority::LiveTurn);
        let bad = batched.embed(vec!["bad".to_owned()], Priority::LiveTurn);
        let others = (1..9).map(|n| batched.embed(texts(n..n + 1), Priority::LiveTurn));
        let (first, bad, others) = futures_util::join!(first, bad, try_join_all(others));
        assert!(first.is_ok());
        assert_eq!(bad.expect_err("refused").kind(), ErrorKind::Invalid);
        assert_eq!(others.expect("untouched").len(), 8);
    }

    #[test]
    fn texts_of_like_length_share_a_bucket() {
        let buckets = [0, 1_024, 1_025, 4_096, 4_097, 16_384, 16_385].map(bucket);
        assert_eq!(buckets, [0, 0, 1, 1, 2, 2, 3]);
    }
}
