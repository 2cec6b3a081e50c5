//! Spoken clauses from the cache: [`CachedTts`].

mod keep;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon_core::measure::{Component, Counter};
use antiphon_core::{AudioChunk, BoxStream, Priority, Result, SampleRate, SpeechRequest, Tts, TtsCard};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::task::yield_now;

use super::{Cache, Key, KeyBuilder, Kind};
use antiphon_flow::{CpuPool, SharedCalls};
use keep::{Keeper, Recording};

/// Audio that is read chunk by chunk. Reading a chunk takes less time than lies between two packets of a call.
pub type SpeechReader = Box<dyn Iterator<Item = Result<AudioChunk>> + Send>;

/// The format in which speech is kept.
pub trait SpeechCodec: Send + Sync {
    /// Encodes a whole clause, which takes some milliseconds.
    fn encode(&self, rate: SampleRate, samples: &[i16]) -> Result<Vec<u8>>;

    /// Reads what [`Self::encode`] has written: as many samples, at the same rate.
    /// An error, soon, if the bytes are something else.
    fn decode(&self, bytes: Bytes) -> Result<SpeechReader>;
}

/// A voice that synthesises the same clause once.
///
/// Clauses are the same if tenant, text, voice, speed and style are equal. White space makes no difference except at the end of
/// lines, because engines make a sentence of each line.
///
/// A clause in memory is decoded by the stream itself, without a task, which yields to other tasks after each chunk. Otherwise
/// it is looked up in the layers, and the engine is asked if it is not there either; its audio passes through as it comes. A
/// clause is kept once the engine has said all of it, up to two minutes, without an error and while somebody still listened. A
/// clause without any audio is not kept.
///
/// Requests for the same clause at the same time share one synthesis, as in [`antiphon_flow::Shared`]: one that joins late is
/// first given what has been made, a request never joins a synthesis of less urgency, and the engine is cancelled when the last
/// listener is gone.
///
/// The cost of an entry, which a hit saves, is the time from asking the engine to its first audio: nobody waits for the rest.
///
/// Requests whose answers may not be used again, and all requests while the cache is off, go straight to the engine.
///
/// It wraps a single engine, inside any [`antiphon_flow::Fallback`]: otherwise the clauses of another voice would be kept as
/// this one's.
pub struct CachedTts {
    engine: Arc<dyn Tts>,
    model: String,
    /// The id of the engine's default voice.
    default_voice: String,
    cache: Arc<Cache>,
    keeper: Arc<Keeper>,
    /// The clauses that are being looked up or synthesised.
    calls: Arc<SharedCalls<Key, AudioChunk>>,
    joined: AtomicU64,
}

impl CachedTts {
    /// Keeps the clauses of `engine` in `cache`. `model` names the engine and its model, and is part of the key. Audio is encoded
    /// on the `cpu_pool`.
    pub fn new(
        engine: Arc<dyn Tts>,
        model: String,
        cache: Arc<Cache>,
        codec: Arc<dyn SpeechCodec>,
        cpu_pool: Arc<CpuPool>,
    ) -> Self {
        let default_voice = engine.card().voices.first().map(|voice| voice.id.clone()).unwrap_or_default();
        let keeper = Arc::new(Keeper::new(Arc::clone(&cache), codec, cpu_pool));
        Self { engine, model, default_voice, cache, keeper, calls: Arc::default(), joined: AtomicU64::new(0) }
    }

    fn key(&self, request: &SpeechRequest) -> Key {
        // Destructured so that a new field cannot be forgotten here.
        let SpeechRequest { requester, text, voice, speed, style, priority: _, reuse: _ } = request;
        KeyBuilder::new(Kind::Speech, requester.tenant.as_str())
            .add(as_spoken(text))
            .add(voice.as_deref().unwrap_or(&self.default_voice))
            .add(&self.model)
            .add(speed.to_bits().to_le_bytes())
            .add(format!("{style:?}"))
            .build()
    }

    /// The clause from the layers or from the engine.
    fn find(&self, key: Key, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let (cache, keeper, engine) = (self.cache.clone(), self.keeper.clone(), self.engine.clone());
        let found = async move {
            let found = match request.priority {
                Priority::Batch => None,
                _ => cache.get(request.requester.tenant.as_str(), &key).await,
            };
            if let Some(entry) = found {
                match keeper.codec().decode(entry.value.clone()) {
                    Ok(speech) => return play(cache, key, speech),
                    // The clause was written by another version of this program.
                    Err(_) => cache.remove(vec![key]).await,
                }
            }
            Recording::start(keeper, key, &*engine, request).boxed()
        };
        found.flatten_stream().boxed()
    }
}

/// The text with single spaces and without empty lines.
fn as_spoken(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    for line in text.lines() {
        for (n, word) in line.split_whitespace().enumerate() {
            if !spoken.is_empty() {
                spoken.push(if n == 0 { '\n' } else { ' ' });
            }
            spoken.push_str(word);
        }
    }
    spoken
}

/// Plays the clause kept under `key`. An entry that cannot be read to its end is removed.
fn play(cache: Arc<Cache>, key: Key, speech: SpeechReader) -> BoxStream<'static, Result<AudioChunk>> {
    let next = move |(mut speech, begun): (SpeechReader, bool)| {
        let cache = cache.clone();
        async move {
            if begun {
                yield_now().await;
            }
            match speech.next() {
                Some(Ok(chunk)) => Ok(Some((chunk, (speech, true)))),
                Some(Err(error)) => {
                    cache.remove(vec![key]).await;
                    Err(error)
                }
                None => Ok(None),
            }
        }
    };
    stream::try_unfold((speech, false), next).boxed()
}

impl Tts for CachedTts {
    fn card(&self) -> TtsCard<'_> {
        self.engine.card()
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        if !request.reuse || !self.cache.is_on() {
            return self.engine.speak(request);
        }
        let key = self.key(&request);
        let kept = match request.priority {
            // A warm-up or a prefetch counts neither a hit nor a miss.
            Priority::Batch => self.cache.peek_for_prefetch(request.requester.tenant.as_str(), &key),
            _ => self.cache.get_now(request.requester.tenant.as_str(), &key),
        };
        if let Some(entry) = kept
            && let Ok(speech) = self.keeper.codec().decode(entry.value.clone())
        {
            return play(self.cache.clone(), key, speech);
        }
        if let Some(reader) = self.calls.join(&key, request.priority) {
            self.joined.fetch_add(1, Ordering::Relaxed);
            return reader.boxed();
        }
        let priority = request.priority;
        self.calls.begin(key, priority, self.find(key, request)).boxed()
    }
}

impl Component for CachedTts {
    fn name(&self) -> &'static str {
        "cached tts"
    }

    fn counters(&self) -> Vec<Counter> {
        let engine = self.engine.card().name;
        let count = |what, value| Counter::new(format!("{engine} {what}"), value);
        vec![count("joined", self.joined.load(Ordering::Relaxed)), count("not kept", self.keeper.not_kept())]
    }
}
