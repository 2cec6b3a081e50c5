//! Entries in Redis, shared by all servers that use it: [`RedisLayer`].

mod address;
mod link;
mod name;
mod survey;
mod writer;

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Gauge, Level, Stage};
use antiphon_core::{BoxFuture, Error, ErrorKind, Result};
use bytes::Bytes;
use redis::{Cmd, cmd};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::{Clock, Entry, Key, Kind, Layer, Selection, Usage};
use antiphon_flow::BreakerState;
use link::{ANSWER_WITHIN, Link};
use name::Name;
use survey::Survey;
use writer::{MAX_ENTRY, Queue};

/// How long a look through all keys may take, since somebody waits for it before a page. At 0.7 s a million it is enough for more
/// than ten million keys.
const SURVEY_WITHIN: Duration = Duration::from_secs(10);

/// Entries in one Redis (no cluster), kept as `antiphon:cache:{kind}:{key}` for as long as they may be used.
///
/// All requests share one connection and go out in pipelines; an answer that does not come within 15 ms is an error. A
/// [`Breaker`](antiphon_flow::Breaker) leaves Redis alone while it is slow or gone: then requests fail at once, entries are
/// dropped, and Redis is probed in the background.
///
/// [`Layer::clear`], [`Layer::list`] and [`Layer::usage`] look at every key of the database, in small steps, on a
/// separate connection, for at most 10 s, one at a time. When an entry was last used is taken from `OBJECT IDLETIME`, in
/// whole seconds; of those used in the same second the newest comes first. Before Redis 7.2, listing the entries of one
/// tenant counts as a use of all entries of the kind; and with the LFU eviction policies Redis does not know
/// when the last use was.
pub struct RedisLayer {
    store: Arc<Store>,
    keeper: AbortHandle,
}

struct Store {
    link: Arc<Link>,
    queue: Queue,
    clock: Clock,
    get: Stage,
    damaged: AtomicU64,
    /// Held during a look through all keys, so that there is one at a time.
    surveys: Mutex<()>,
}

impl RedisLayer {
    /// What a URL of Redis must be, to follow "must be".
    pub const URL: &'static str = address::FORMS;

    /// Whether this is a URL of Redis. Nothing is connected.
    pub fn is_url(url: &str) -> bool {
        address::client(url).is_ok()
    }

    /// A layer that connects in the background, now or when Redis is back.
    ///
    /// # Errors
    /// `Invalid` if the URL is not one of a Redis; `Internal` outside of a tokio runtime.
    pub fn new(url: &str, clock: Clock) -> Result<Arc<Self>> {
        let outside = |_| Error::internal("a cache in Redis needs a runtime to run in");
        let runtime = Handle::try_current().map_err(outside)?;
        let link = Arc::new(Link::new(url)?);
        let keeper = runtime.spawn(link.clone().keep()).abort_handle();
        let (queue, writer) = Queue::new(link.clone(), clock.clone());
        runtime.spawn(writer.run());
        let (damaged, surveys) = (AtomicU64::new(0), Mutex::new(()));
        let store = Arc::new(Store { link, queue, clock, get: Stage::new("get"), damaged, surveys });
        Ok(Arc::new(Self { store, keeper }))
    }
}

impl Drop for RedisLayer {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl fmt::Debug for RedisLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisLayer").field(self.store.link.name()).finish()
    }
}

impl Layer for RedisLayer {
    fn get(&self, kind: Kind, key: Key) -> BoxFuture<'static, Result<Option<Arc<Entry>>>> {
        let store = self.store.clone();
        Box::pin(async move { store.get(Name { kind, key }).await })
    }

    fn put(&self, entry: Arc<Entry>) {
        self.store.queue.put(entry);
    }

    fn remove(&self, kind: Kind, keys: Vec<Key>) -> BoxFuture<'static, Result<()>> {
        let store = self.store.clone();
        let names = keys.into_iter().map(|key| Name { kind, key }).collect();
        Box::pin(async move { store.queue.forgotten(names).await })
    }

    fn clear(&self, selection: Selection) -> BoxFuture<'static, Result<u64>> {
        let store = self.store.clone();
        Box::pin(async move { store.clear(selection).await })
    }

    fn list(&self, selection: Selection, limit: usize) -> BoxFuture<'static, Result<Vec<Arc<Entry>>>> {
        let store = self.store.clone();
        Box::pin(async move { store.in_time(store.list(selection, limit)).await })
    }

    fn usage(&self, kind: Kind) -> BoxFuture<'static, Result<Usage>> {
        let store = self.store.clone();
        Box::pin(async move {
            let usage = async {
                let _alone = store.surveys.lock().await;
                store.told(store.survey(Some(kind)).await?.usage().await)
            };
            store.in_time(usage).await
        })
    }

    fn flush(&self) -> BoxFuture<'static, ()> {
        let store = self.store.clone();
        Box::pin(async move { store.queue.flush().await })
    }
}

impl Store {
    async fn get(&self, name: Name) -> Result<Option<Arc<Entry>>> {
        let began = Instant::now();
        let found = self.link.ask(ANSWER_WITHIN, |mut connection| async move {
            match read(name.to_bytes()).query_async::<Bytes>(&mut connection).await {
                // The key holds a list or hash of another program.
                Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
                found => found.map(Some),
            }
        });
        let found = found.await.inspect_err(|_| self.get.fail())?;
        self.get.record(began.elapsed());
        let Some(entry) = self.entry(name, found.as_ref()) else { return Ok(None) };
        Ok(entry.is_fresh((self.clock)()).then_some(entry))
    }

    /// The entry of this name that was read; `None` if there is none. A value that is no entry, or another one, is counted as
    /// damaged and removed.
    fn entry(&self, name: Name, found: Option<&Bytes>) -> Option<Arc<Entry>> {
        if found.is_some_and(Bytes::is_empty) {
            return None;
        }
        let entry = found.and_then(Entry::from_bytes);
        let entry = entry.filter(|entry| Name { kind: entry.kind, key: entry.key } == name);
        if entry.is_none() {
            self.damaged.fetch_add(1, Ordering::Relaxed);
            // If the queue has no room for this now, the next request finds the value again.
            let _ = self.queue.forget(vec![name]);
        }
        entry.map(Arc::new)
    }

    async fn clear(&self, selection: Selection) -> Result<u64> {
        // Entries on their way must not arrive after the removal.
        self.queue.flush().await;
        let mut forgotten = 0;
        let clear = async {
            let _alone = self.surveys.lock().await;
            let mut survey = self.survey(selection.kind).await?;
            self.told(survey.clear(&selection, (self.clock)(), &mut forgotten).await)
        };
        match self.in_time(clear).await {
            Ok(()) => Ok(forgotten),
            Err(error) if forgotten == 0 => Err(error),
            Err(error) => {
                let message = format!("{error}; {forgotten} entries are forgotten, not all: ask again");
                Err(Error::new(error.kind(), message))
            }
        }
    }

    async fn list(&self, selection: Selection, limit: usize) -> Result<Vec<Arc<Entry>>> {
        let _alone = self.surveys.lock().await;
        let (mut survey, now_ms) = (self.survey(selection.kind).await?, (self.clock)());
        let (idle, names): (Vec<u64>, Vec<Name>) =
            self.told(survey.latest(&selection, now_ms, limit).await)?.into_iter().unzip();
        let values = self.told(survey.read(&names).await)?;
        let read = names.into_iter().zip(&values).map(|(name, value)| self.entry(name, Some(value)));
        let meant = |entry: &Arc<Entry>| entry.is_fresh(now_ms) && selection.matches(entry);
        let mut entries: Vec<(u64, Arc<Entry>)> = idle
            .into_iter()
            .zip(read)
            .filter_map(|(idle, entry)| Some((idle, entry.filter(meant)?)))
            .collect();
        entries.sort_by_key(|(idle, entry)| (*idle, Reverse(entry.made_ms)));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    async fn survey(&self, kind: Option<Kind>) -> Result<Survey> {
        self.link.working()?;
        Ok(Survey::new(self.link.connect().await?, kind).await)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(SURVEY_WITHIN, work).await.unwrap_or_else(|_| {
            let (name, seconds) = (self.link.name(), SURVEY_WITHIN.as_secs());
            let message = format!("{name}: to look through its keys takes longer than {seconds} s");
            Err(Error::new(ErrorKind::Timeout, message))
        })
    }

    fn told<T>(&self, result: redis::RedisResult<T>) -> Result<T> {
        result.map_err(|error| self.link.error(&error))
    }
}

/// The command that reads the entry of a name. GETRANGE bounds the size: a large value that another program put there is cut, and
/// a missing one is empty.
fn read(name: Vec<u8>) -> Cmd {
    cmd("GETRANGE").arg(name).arg(0).arg(MAX_ENTRY - 1).take()
}

impl Component for RedisLayer {
    fn name(&self) -> &'static str {
        "cache redis"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.store.get, &self.store.queue.tally().write]
    }

    fn counters(&self) -> Vec<Counter> {
        let (store, tally) = (&self.store, self.store.queue.tally());
        let all = [
            ("written", tally.written.load(Ordering::Relaxed)),
            ("dropped", tally.dropped.load(Ordering::Relaxed)),
            ("damaged", store.damaged.load(Ordering::Relaxed)),
            ("failures", store.link.failures()),
            ("reconnects", store.link.reconnects()),
        ];
        all.into_iter().map(|(name, value)| Counter::new(name, value)).collect()
    }

    fn levels(&self) -> Vec<Level> {
        let full = |(value, limit): (usize, usize)| (value as f64, limit as f64);
        let (jobs, max_jobs) = full(self.store.queue.jobs());
        let (bytes, max_bytes) = full(self.store.queue.bytes());
        vec![
            Level::new("queue", jobs, "entries").with_limit(max_jobs),
            Level::new("queue memory", bytes, "bytes").with_limit(max_bytes),
            Level::new("breaker", state(&self.store.link), "state"),
        ]
    }

    fn gauges(&self) -> Vec<Gauge> {
        vec![Gauge {
            name: "antiphon_breaker_state",
            help: "Whether an engine is asked: 0 closed, 1 half-open, 2 open",
            labels: vec![("target", self.name().to_owned())],
            value: state(&self.store.link),
        }]
    }
}

/// The state as a number, for dashboards and metrics: 0 closed, 1 half-open, 2 open.
fn state(link: &Link) -> f64 {
    match link.state() {
        BreakerState::Closed => 0.0,
        BreakerState::HalfOpen => 1.0,
        BreakerState::Open => 2.0,
    }
}
