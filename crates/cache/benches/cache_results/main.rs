//! What cached searches and embeddings cost and save: `cargo bench -p antiphon-cache --bench cache_results`. With
//! `-- closeness` after it: what the threshold of semantic invalidation is chosen by.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says so")]

mod closeness;
#[path = "../../tests/given/mod.rs"]
mod given;

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_cache::{Cache, CacheOptions, CachedEmbed, CachedKnowledge, Kind, SearchCache};
use antiphon_core::{
    BoxFuture, Embed, Knowledge, Passage, Priority, Requester, Result, Search, StoreVersion,
};
use antiphon_memory::InProcessKnowledge;
use futures_util::FutureExt;
use tokio::runtime::Runtime;

const TTL: Duration = Duration::from_hours(1);
const ROOM: usize = 64 << 20;
const HITS: usize = 200_000;
const UNCACHED: usize = 200;
const LIMIT: usize = 3;
/// Results that are kept when something changes.
const QUERIES: usize = 1_000;

fn main() {
    let model = given::minilm();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    if std::env::args().any(|argument| argument == "closeness") {
        closeness::report(&runtime, &*model.embed, &antiphon_testkit::large_testdata());
        return;
    }
    let (passages, questions) = given::xquad();
    let questions: Vec<_> = questions.into_iter().map(|(question, _)| question).collect();
    let cached = cached(&model.embed);
    embeddings(&runtime, &*model.embed, &*cached, &questions);
    searches(&runtime, &model.embed, passages, &questions);
    hits(&cached, &questions[0]);
    invalidation(&runtime, &cached, &questions);
}

fn cached(engine: &Arc<dyn Embed>) -> Arc<CachedEmbed> {
    let options = CacheOptions { kind: Kind::Embedding, max_bytes: ROOM, ttl: TTL };
    let cache = Cache::new(options, Vec::new(), Arc::new(clock));
    Arc::new(CachedEmbed::new(Arc::clone(engine), Arc::new(cache)))
}

fn clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

/// Measures embedding a question, and getting its vector from the cache.
fn embeddings(runtime: &Runtime, engine: &dyn Embed, cached: &dyn Embed, questions: &[String]) {
    let embed = |embed: &dyn Embed, texts: &[String]| {
        runtime.block_on(embed.embed(texts.to_vec(), Priority::LiveTurn)).expect("embeds");
    };
    let texts = questions.chunks(1).take(UNCACHED);
    print("a question embedded by MiniLM", texts.map(|texts| time(|| embed(engine, texts))));
    for count in [1, 8] {
        embed(cached, &questions[..count]);
        let at_once = || {
            let texts = questions[..count].to_vec();
            time(|| cached.embed(texts, Priority::LiveTurn).now_or_never().expect("known"))
        };
        print(&format!("the vectors of {count}, known"), (0..HITS).map(|_| at_once()));
    }
}

/// Measures a search in a small store without any cache.
fn searches(runtime: &Runtime, embed: &Arc<dyn Embed>, passages: Vec<String>, questions: &[String]) {
    let passages = passages.into_iter().map(|passage| ("article".to_owned(), passage)).collect();
    let store = InProcessKnowledge::new(Arc::clone(embed), passages).expect("few");
    runtime.block_on(store.read()).expect("embeds");
    let find = |about: &String| runtime.block_on(store.search(search(about))).expect("works");
    print(
        "a search in 120 passages, by MiniLM",
        questions.iter().take(UNCACHED).map(|about| time(|| find(about))),
    );
}

fn search(about: &str) -> Search {
    Search { requester: Requester::local(), about: about.to_owned(), limit: LIMIT }
}

/// A store that finds the same passages for every query.
struct Same(Vec<Passage>);

impl Same {
    fn new(words: usize) -> Self {
        let passage = Passage { text: "word ".repeat(words), source: "handbook".to_owned(), relevance: 0.5 };
        Self(vec![passage; LIMIT])
    }

    fn cached(self, embed: &Arc<CachedEmbed>) -> CachedKnowledge {
        let options = CacheOptions { kind: Kind::Result, max_bytes: ROOM, ttl: TTL };
        let cache = Arc::new(Cache::new(options, Vec::new(), Arc::new(clock)));
        let results = SearchCache::new(cache, Arc::clone(embed));
        CachedKnowledge::new(Arc::new(self), &results, Requester::local().tenant, "documents")
    }
}

impl Knowledge for Same {
    fn search(&self, asked: Search) -> BoxFuture<'static, Result<Vec<Passage>>> {
        let found = self.0.iter().take(asked.limit).cloned().collect();
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// Measures getting kept results.
fn hits(embed: &Arc<CachedEmbed>, about: &str) {
    for words in [1, 150] {
        let store = Same::new(words).cached(embed);
        let searched = || {
            let about = search(about);
            time(|| store.search(about).now_or_never().expect("known"))
        };
        searched();
        print(
            &format!("a search, known: {LIMIT} passages of {} bytes", words * 5),
            (0..HITS).map(|_| searched()),
        );
    }
}

/// Measures dropping the results that a text concerns whose vector is known.
fn invalidation(runtime: &Runtime, embed: &Arc<CachedEmbed>, questions: &[String]) {
    let store = Same::new(150).cached(embed);
    let more = questions.iter().map(|question| format!("{question} Please tell me."));
    let queries: Vec<_> = questions.iter().cloned().chain(more).take(QUERIES).collect();
    for text in &queries {
        runtime.block_on(embed.embed(vec![text.clone()], Priority::Batch)).expect("embeds");
    }
    let spans = queries.iter().take(UNCACHED).map(|text| {
        for about in &queries {
            runtime.block_on(store.search(search(about))).expect("works");
        }
        let changed = store.changes().changed(vec![text.clone()], StoreVersion::default());
        time(|| runtime.block_on(changed))
    });
    print(&format!("{QUERIES} cached queries looked through for a change"), spans);
    let forgotten = (0..UNCACHED).map(|_| time(|| store.changes().invalidate()));
    print("all of them forgotten", forgotten);
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    drop(std::hint::black_box(work()));
    began.elapsed()
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn print(name: &str, spans: impl Iterator<Item = Duration>) {
    let mut spans: Vec<_> = spans.collect();
    spans.sort();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share) as usize].as_nanos();
    println!("{name:<50} p50 {:>10} ns  p99 {:>10} ns", at(0.5), at(0.99));
}
