//! From a clause that was said to an entry.

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

/// A session takes no clause to be longer; more would only be a burden to memory.
const MAX_AUDIO: Duration = Duration::from_mins(2);
/// Clauses that wait to be encoded; further ones are not kept. A clause of 4 s waits as 200 KB and takes some 50 ms.
pub(super) const MAX_WAITING: usize = 32;
/// Clauses that are encoded at a time: what is kept for later leaves the other cores to whoever speaks now.
const AT_A_TIME: usize = 1;

/// Encodes clauses beside the calls, and puts them into the cache.
pub(super) struct Keeper {
    cache: Arc<Cache>,
    codec: Arc<dyn SpeechCodec>,
    cpu_pool: Arc<CpuPool>,
    /// Places of those that wait or are encoded.
    places: Arc<Semaphore>,
    encoders: Semaphore,
    not_kept: AtomicU64,
}

/// All of a clause that was said.
struct Said {
    key: Key,
    tenant: Arc<str>,
    text: String,
    priority: Priority,
    asked: Instant,
    /// From when the engine was asked until there was something to hear.
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

    /// Clauses that were said but could not be encoded.
    pub(super) fn not_kept(&self) -> u64 {
        self.not_kept.load(Ordering::Relaxed)
    }

    /// Those that wait now have been kept.
    #[cfg(test)]
    pub(super) async fn idle(&self) {
        drop(self.places.acquire_many(MAX_WAITING as u32).await);
    }

    /// Keeps a clause, later.
    fn keep(self: Arc<Self>, said: Said) {
        // Somebody else was faster, or nothing was said.
        if said.chunks.is_empty() || self.cache.peek(&said.tenant, &said.key).is_some() {
            return;
        }
        match (self.places.clone().try_acquire_owned(), Handle::try_current()) {
            (Ok(place), Ok(runtime)) => drop(runtime.spawn(self.encode(said, place))),
            _ => self.skip(),
        }
    }

    async fn encode(self: Arc<Self>, said: Said, _place: OwnedSemaphorePermit) {
        let _turn = self.encoders.acquire().await;
        let Said { key, tenant, text, priority, first_audio, chunks, .. } = said;
        let codec = self.codec.clone();
        let encode = move || {
            let Some(first) = chunks.first() else { return Err(Error::internal("nothing was said")) };
            let samples: Vec<i16> = chunks.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect();
            codec.encode(first.rate, &samples)
        };
        match self.cpu_pool.run(Priority::Batch, encode).await {
            Ok(value) => {
                let cost = first_audio.unwrap_or_default();
                self.cache.put(Draft { key, tenant, label: text, value: value.into(), cost, priority });
            }
            Err(_) => self.skip(),
        }
    }

    fn skip(&self) {
        self.not_kept.fetch_add(1, Ordering::Relaxed);
    }
}

/// A clause on its way from the engine, as it comes. It is kept at its end.
pub(super) struct Recording {
    keeper: Arc<Keeper>,
    audio: BoxStream<'static, Result<AudioChunk>>,
    /// `None` once it will not be kept.
    said: Option<Said>,
}

impl Recording {
    /// Has `engine` say the clause.
    pub(super) fn start(keeper: Arc<Keeper>, key: Key, engine: &dyn Tts, request: SpeechRequest) -> Self {
        let said = Said {
            key,
            tenant: (&request.requester.tenant).into(),
            text: request.text.clone(),
            priority: request.priority,
            asked: Instant::now(),
            first_audio: None,
            chunks: Vec::new(),
            length: Duration::ZERO,
        };
        Self { keeper, audio: engine.speak(request), said: Some(said) }
    }
}

impl Said {
    /// More audio; false if it cannot be kept with it.
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
            Poll::Ready(Some(Ok(chunk))) => this.said = this.said.take_if(|said| said.add(chunk)),
            Poll::Ready(Some(Err(_))) => this.said = None,
            Poll::Ready(None) => {
                if let Some(said) = this.said.take() {
                    this.keeper.clone().keep(said);
                }
            }
            Poll::Pending => {}
        }
        polled
    }
}
