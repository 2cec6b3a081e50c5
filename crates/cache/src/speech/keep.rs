//! Keeps the clauses that engines say: records, encodes and caches them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::{AudioChunk, BoxStream, Error, Priority, Result, SpeechRequest, Stream, Tts};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::SpeechCodec;
use crate::{Cache, Draft, Key};
use antiphon_flow::CpuPool;

/// The longest clause that is kept: sessions make no longer ones.
const MAX_AUDIO: Duration = Duration::from_mins(2);
/// Clauses that may wait to be encoded; further ones are not kept. A clause of 4 s takes 200 KB while it waits,
/// and some 50 ms to encode.
pub(super) const MAX_WAITING: usize = 32;
/// Clauses that are encoded at the same time: the other cores are left to the calls.
const AT_A_TIME: usize = 1;

/// Encodes clauses beside the calls, and puts them into the cache.
pub(super) struct Keeper {
    cache: Arc<Cache>,
    codec: Arc<dyn SpeechCodec>,
    cpu_pool: Arc<CpuPool>,
    /// Permits for the clauses that wait or are encoded.
    places: Arc<Semaphore>,
    encoders: Semaphore,
    not_kept: AtomicU64,
}

/// A clause that is being said, with everything needed to keep it.
struct Clause {
    key: Key,
    tenant: Arc<str>,
    label: String,
    priority: Priority,
    asked: Instant,
    /// The time from asking the engine to its first audio.
    first_audio: Option<Duration>,
    chunks: Vec<AudioChunk>,
    length: Duration,
}

impl Keeper {
    pub(super) fn new(cache: Arc<Cache>, codec: Arc<dyn SpeechCodec>, cpu_pool: Arc<CpuPool>) -> Self {
        let places = Arc::new(Semaphore::new(MAX_WAITING));
        let encoders = Semaphore::new(AT_A_TIME);
        Self { cache, codec, cpu_pool, places, encoders, not_kept: AtomicU64::new(0) }
    }

    pub(super) fn codec(&self) -> &dyn SpeechCodec {
        &*self.codec
    }

    /// How many clauses could not be kept.
    pub(super) fn not_kept(&self) -> u64 {
        self.not_kept.load(Ordering::Relaxed)
    }

    /// Waits until the clauses that wait now have been kept.
    #[cfg(test)]
    pub(super) async fn idle(&self) {
        drop(self.places.acquire_many(MAX_WAITING as u32).await);
    }

    /// Begins to encode and keep a clause, in a task of its own.
    fn keep(self: Arc<Self>, clause: Clause) {
        // Another request has kept it already, or there is no audio.
        if clause.chunks.is_empty() || self.cache.peek(&clause.tenant, &clause.key).is_some() {
            return;
        }
        match (self.places.clone().try_acquire_owned(), Handle::try_current()) {
            (Ok(place), Ok(runtime)) => drop(runtime.spawn(self.encode(clause, place))),
            _ => self.skip(),
        }
    }

    async fn encode(self: Arc<Self>, clause: Clause, _place: OwnedSemaphorePermit) {
        let _turn = self.encoders.acquire().await;
        let Clause { key, tenant, label, priority, first_audio, chunks, .. } = clause;
        let codec = self.codec.clone();
        let encode = move || {
            let Some(first) = chunks.first() else { return Err(Error::internal("nothing was said")) };
            let samples: Vec<i16> = chunks.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect();
            codec.encode(first.rate, &samples)
        };
        match self.cpu_pool.run(Priority::Batch, encode).await {
            Ok(value) => {
                let cost = first_audio.unwrap_or_default();
                self.cache.put(Draft { key, tenant, label, value: value.into(), cost, priority });
            }
            Err(_) => self.skip(),
        }
    }

    fn skip(&self) {
        self.not_kept.fetch_add(1, Ordering::Relaxed);
    }
}

/// The audio of a clause as it comes from the engine; the clause is kept when it has ended.
pub(super) struct Recording {
    keeper: Arc<Keeper>,
    audio: BoxStream<'static, Result<AudioChunk>>,
    /// `None` once it is known that the clause will not be kept.
    clause: Option<Clause>,
}

impl Recording {
    /// Has `engine` say the clause of a request.
    pub(super) fn start(keeper: Arc<Keeper>, key: Key, engine: &dyn Tts, request: SpeechRequest) -> Self {
        let clause = Clause {
            key,
            tenant: (&request.requester.tenant).into(),
            label: request.requester.label(&request.text),
            priority: request.priority,
            asked: Instant::now(),
            first_audio: None,
            chunks: Vec::new(),
            length: Duration::ZERO,
        };
        Self { keeper, audio: engine.speak(request), clause: Some(clause) }
    }
}

impl Clause {
    /// Adds audio; false if the clause cannot be kept with it.
    fn add(&mut self, chunk: &AudioChunk) -> bool {
        if chunk.samples.is_empty() {
            return true;
        }
        self.first_audio.get_or_insert_with(|| self.asked.elapsed());
        self.length += chunk.duration();
        let one_rate = self.chunks.first().is_none_or(|first| first.rate == chunk.rate);
        self.chunks.push(chunk.clone());
        one_rate && self.length <= MAX_AUDIO
    }
}

impl Stream for Recording {
    type Item = Result<AudioChunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let polled = this.audio.as_mut().poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => this.clause = this.clause.take_if(|clause| clause.add(chunk)),
            Poll::Ready(Some(Err(_))) => this.clause = None,
            Poll::Ready(None) => {
                if let Some(clause) = this.clause.take() {
                    this.keeper.clone().keep(clause);
                }
            }
            Poll::Pending => {}
        }
        polled
    }
}
