//! Clauses that were said before: [`CachedTts`].

mod keep;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon_core::measure::{Component, Counter};
use antiphon_core::{AudioChunk, BoxStream, Priority, Result, SampleRate, SpeechRequest, Tts, Voice};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::task::yield_now;

use super::{Cache, Key, KeyBuilder, Kind};
use antiphon_flow::{CpuPool, SharedCalls};
use keep::{Keeper, Recording};

/// Audio that is read chunk by chunk. Each takes no longer than may pass between two packets of a call.
pub type SpeechReader = Box<dyn Iterator<Item = Result<AudioChunk>> + Send>;

/// How speech is written down.
pub trait SpeechCodec: Send + Sync {
    /// A whole clause. Takes its time.
    fn encode(&self, rate: SampleRate, samples: &[i16]) -> Result<Vec<u8>>;

    /// Reads what [`Self::encode`] has written: as many samples, at the same rate. Soon an error if these bytes are
    /// something else.
    fn decode(&self, bytes: Bytes) -> Result<SpeechReader>;
}

/// A voice that says the same clause once.
///
/// Clauses are the same if tenant, text, voice, speed and style are. White space makes no difference, save where lines end:
/// engines make a sentence of each line.
///
/// What is in memory is read in the stream itself, without a task, and gives way to others after each chunk. What is not
/// is looked for below, and the engine asked if it is not there either; its audio passes through as it comes. A clause is
/// kept once the engine has said all of it, up to two minutes, without an error and while somebody still listened. One of
/// which nothing can be spoken is not kept.
///
/// Requests for the same clause at the same time share one synthesis, as in [`antiphon_flow::Shared`]: who joins late first
/// hears what has been made, a request never joins a synthesis of less urgency, and the engine is cancelled when the last
/// listener is gone.
///
/// What a hit saves, the cost of an entry, is the time from asking the engine to its first audio: nobody waits for the
/// rest.
///
/// Requests that may not be reused, and all while the cache is off, go straight to the engine.
///
/// Stands before one engine, below any [`antiphon_flow::Fallback`]: what another voice said in its place would be kept as its
/// own.
pub struct CachedTts {
    engine: Arc<dyn Tts>,
    model: String,
    /// What the engine's default voice is called.
    default_voice: String,
    cache: Arc<Cache>,
    keeper: Arc<Keeper>,
    /// Clauses that are being looked for or said.
    calls: Arc<SharedCalls<Key, AudioChunk>>,
    joined: AtomicU64,
}

impl CachedTts {
    /// Keeps in `cache` what `engine` says. `model` names the engine and its model: what another one said is not used.
    /// `cpu_pool` is where audio is encoded.
    pub fn new(
        engine: Arc<dyn Tts>,
        model: String,
        cache: Arc<Cache>,
        codec: Arc<dyn SpeechCodec>,
        cpu_pool: Arc<CpuPool>,
    ) -> Self {
        let default_voice = engine.voices().into_iter().next().map(|voice| voice.id).unwrap_or_default();
        let keeper = Arc::new(Keeper::new(Arc::clone(&cache), codec, cpu_pool));
        Self { engine, model, default_voice, cache, keeper, calls: Arc::default(), joined: AtomicU64::new(0) }
    }

    fn key(&self, request: &SpeechRequest) -> Key {
        // Taken apart so that a field that is new is not forgotten here.
        let SpeechRequest { requester, text, voice, speed, style, priority: _, reuse: _ } = request;
        KeyBuilder::new(Kind::Speech, requester.tenant.as_str())
            .add(as_spoken(text))
            .add(voice.as_deref().unwrap_or(&self.default_voice))
            .add(&self.model)
            .add(speed.to_bits().to_le_bytes())
            .add(format!("{style:?}"))
            .build()
    }

    /// The clause from below memory, or from the engine.
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
                    // Written by another version of this program.
                    Err(_) => cache.remove(vec![key]).await,
                }
            }
            Recording::start(keeper, key, &*engine, request).boxed()
        };
        found.flatten_stream().boxed()
    }
}

/// The text with one space where there is white space, and without empty lines.
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

/// What was kept under `key`. An entry that cannot be read to its end is forgotten.
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
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn voices(&self) -> Vec<Voice> {
        self.engine.voices()
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        if !request.reuse || !self.cache.is_on() {
            return self.engine.speak(request);
        }
        let key = self.key(&request);
        let kept = match request.priority {
            // What is only made ahead is no request of anybody's.
            Priority::Batch => self.cache.peek_ahead(request.requester.tenant.as_str(), &key),
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
        let engine = self.engine.name();
        let count = |what, value| Counter { name: format!("{engine} {what}").into(), value };
        vec![count("joined", self.joined.load(Ordering::Relaxed)), count("not kept", self.keeper.not_kept())]
    }
}
