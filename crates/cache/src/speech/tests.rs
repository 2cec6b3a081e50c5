use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use antiphon_core::{BoxFuture, Error, Priority, Requester, Style, Voice};
use tokio::time::{Instant, sleep};

use super::keep::MAX_WAITING;
use super::*;
use crate::{CacheOptions, Draft, Entry, Layer, Selection, Usage};
use antiphon_flow::PoolBounds;

/// Says each word for 20 ms, which takes it 10 ms; what it says is different each time.
/// Counts calls, and those that are over.
struct Engine {
    calls: AtomicUsize,
    over: Arc<AtomicUsize>,
    voices: [Voice; 2],
}

impl Default for Engine {
    fn default() -> Self {
        let voices = ["anna", "bert"].map(|id| Voice { id: id.to_owned(), language: "en".to_owned() });
        Self { calls: AtomicUsize::new(0), over: Arc::default(), voices }
    }
}

struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Tts for Engine {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "engine", voices: &self.voices }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) as i16;
        let alive = Count(Arc::clone(&self.over));
        let words: Vec<String> = request.text.split_whitespace().map(str::to_owned).collect();
        let words = stream::iter(words).then(move |word| {
            let _ = &alive;
            async move {
                sleep(Duration::from_millis(10)).await;
                match word.as_str() {
                    "fail" => Err(Error::unavailable("down")),
                    "***" => Ok(AudioChunk::new(SampleRate::HZ_8000, [])),
                    "minute" => Ok(AudioChunk::new(SampleRate::HZ_8000, vec![call; 60 * 8_000])),
                    "faster" => Ok(AudioChunk::new(SampleRate::HZ_16000, [call; 320])),
                    _ => Ok(AudioChunk::new(SampleRate::HZ_8000, [call; 160])),
                }
            }
        });
        words.boxed()
    }
}

/// Stores the rate and the samples as they are. A test can make encoding wait until it is allowed to go on.
#[derive(Default)]
struct Plain {
    let_through: Option<Mutex<std::sync::mpsc::Receiver<()>>>,
}

impl SpeechCodec for Plain {
    fn encode(&self, rate: SampleRate, samples: &[i16]) -> Result<Vec<u8>> {
        if let Some(gate) = &self.let_through {
            gate.lock().expect("whole").recv().expect("let through");
        }
        let samples = samples.iter().flat_map(|sample| sample.to_le_bytes());
        Ok(rate.hz().to_le_bytes().into_iter().chain(samples).collect())
    }

    fn decode(&self, bytes: Bytes) -> Result<SpeechReader> {
        let rate = bytes.first_chunk().and_then(|rate| SampleRate::new(u32::from_le_bytes(*rate)));
        let rate = rate.ok_or_else(|| Error::invalid("this is something else"))?;
        let chunks: Vec<Result<AudioChunk>> = bytes[4..]
            .chunks(200)
            .map(|bytes| match bytes.len() % 2 {
                0 => Ok(bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect::<Vec<_>>()),
                _ => Err(Error::invalid("this is damaged")),
            })
            .map(|samples| samples.map(|samples| AudioChunk::new(rate, samples)))
            .collect();
        Ok(Box::new(chunks.into_iter()))
    }
}

/// A layer that keeps everything and takes 5 ms to find it.
#[derive(Default)]
struct Disk(Arc<Mutex<HashMap<Key, Arc<Entry>>>>);

impl Component for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }
}

impl Layer for Disk {
    fn get(&self, _: Kind, key: Key) -> BoxFuture<'static, Result<Option<Arc<Entry>>>> {
        let found = self.0.lock().expect("whole").get(&key).cloned();
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            Ok(found)
        })
    }

    fn put(&self, entry: Arc<Entry>) {
        self.0.lock().expect("whole").insert(entry.key, entry);
    }

    fn remove(&self, _: Kind, keys: Vec<Key>) -> BoxFuture<'static, Result<()>> {
        self.0.lock().expect("whole").retain(|key, _| !keys.contains(key));
        Box::pin(async { Ok(()) })
    }

    fn clear(&self, _: Selection) -> BoxFuture<'static, Result<u64>> {
        Box::pin(async { Ok(0) })
    }

    fn list(&self, _: Selection, _: usize) -> BoxFuture<'static, Result<Vec<Arc<Entry>>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn usage(&self, _: Kind) -> BoxFuture<'static, Result<Usage>> {
        Box::pin(async { Ok(Usage::default()) })
    }

    fn flush(&self) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

fn cache(layers: Vec<Arc<dyn Layer>>) -> Arc<Cache> {
    let options = CacheOptions { kind: Kind::Speech, max_bytes: 1 << 24, ttl: Duration::from_hours(1) };
    Arc::new(Cache::new(options, layers, Arc::new(|| 0)))
}

fn cached_as(model: &str, cache: &Arc<Cache>, codec: Plain) -> (CachedTts, Arc<Engine>) {
    let engine = Arc::new(Engine::default());
    let bounds = PoolBounds { min: 1, max: 1 };
    let cpu_pool = Arc::new(CpuPool::new(bounds).expect("threads"));
    let inner = Arc::clone(&engine) as Arc<dyn Tts>;
    (CachedTts::new(inner, model.to_owned(), cache.clone(), Arc::new(codec), cpu_pool), engine)
}

fn cached_in(cache: &Arc<Cache>) -> (CachedTts, Arc<Engine>) {
    cached_as("engine 1", cache, Plain::default())
}

fn cached() -> (CachedTts, Arc<Engine>) {
    cached_in(&cache(Vec::new()))
}

fn calls(engine: &Engine) -> usize {
    engine.calls.load(Ordering::Relaxed)
}

type Audio = BoxStream<'static, Result<AudioChunk>>;

async fn heard(audio: Audio) -> Result<Vec<i16>> {
    let chunks: Vec<Result<AudioChunk>> = audio.collect().await;
    let mut samples = Vec::new();
    for chunk in chunks {
        samples.extend_from_slice(&chunk?.samples);
    }
    Ok(samples)
}

/// Listens to the clause until its end, and waits until it is kept. Virtual time passes meanwhile.
async fn say(cached: &CachedTts, request: SpeechRequest) -> Vec<i16> {
    let samples = heard(cached.speak(request)).await.expect("works");
    cached.keeper.idle().await;
    samples
}

fn clause(text: &str) -> SpeechRequest {
    SpeechRequest::new(Requester::local(), text)
}

#[tokio::test(start_paused = true)]
async fn a_clause_is_said_once_and_sounds_the_same_again() {
    let (cached, engine) = cached();
    let began = Instant::now();
    let first = heard(cached.speak(clause("One moment please."))).await.expect("works");
    assert_eq!(began.elapsed(), Duration::from_millis(30), "as long as the engine takes");
    cached.keeper.idle().await;
    assert_eq!(first.len(), 480);
    let began = Instant::now();
    let mut again = cached.speak(clause("One moment please."));
    assert!(again.next().now_or_never().is_some(), "it is there at once");
    again = cached.speak(clause("One moment please."));
    assert_eq!(heard(again).await.expect("works"), first);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(calls(&engine), 1);
    let counts = cached.cache.counts();
    assert_eq!((counts.hits, counts.misses, counts.stored), (2, 1, 1));
    assert_eq!(counts.saved, Duration::from_millis(20), "the time to the first audio, twice");
}

#[tokio::test(start_paused = true)]
async fn a_miss_passes_through_chunk_by_chunk() {
    let (cached, _) = cached();
    let mut audio = cached.speak(clause("a b c"));
    let began = Instant::now();
    for n in 1..=3 {
        let chunk = audio.next().await.expect("a chunk").expect("works");
        assert_eq!(chunk.samples.len(), 160);
        assert_eq!(began.elapsed(), Duration::from_millis(10) * n);
    }
    assert!(audio.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_hit_gives_way_between_chunks() {
    let (cached, _) = cached();
    say(&cached, clause("a b c")).await;
    let mut audio = cached.speak(clause("a b c"));
    assert!(audio.next().now_or_never().is_some());
    assert!(audio.next().now_or_never().is_none(), "others have their turn");
    assert_eq!(audio.next().await.expect("more").expect("works").samples.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_heard_makes_a_difference_and_nothing_else() {
    let (cached, engine) = cached();
    let base = clause("Is it two o'clock?");
    let others = [
        clause("Is it two o'clock."),
        clause("is it two o'clock?"),
        clause("Is it\ntwo o'clock?"),
        SpeechRequest { voice: Some("bert".to_owned()), ..base.clone() },
        SpeechRequest { speed: 1.1, ..base.clone() },
        SpeechRequest { style: Style::Calm, ..base.clone() },
        SpeechRequest { requester: Requester::server("other".into()), ..base.clone() },
    ];
    let first = say(&cached, base.clone()).await;
    for (n, other) in others.into_iter().enumerate() {
        assert_ne!(say(&cached, other).await, first);
        assert_eq!(calls(&engine), n + 2);
    }
    let said = calls(&engine);
    let same = [
        clause("  Is it  two\to'clock? \n"),
        SpeechRequest { voice: Some("anna".to_owned()), ..base.clone() },
        SpeechRequest { priority: Priority::Batch, ..base },
    ];
    for same in same {
        assert_eq!(say(&cached, same).await, first);
    }
    assert_eq!(calls(&engine), said);
}

#[tokio::test(start_paused = true)]
async fn what_another_model_said_is_not_used() {
    let cache = cache(Vec::new());
    let (one, _) = cached_in(&cache);
    let (two, engine) = cached_as("engine 2", &cache, Plain::default());
    say(&one, clause("a")).await;
    say(&two, clause("a")).await;
    assert_eq!((calls(&engine), cache.counts().stored), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_fails_is_silent_or_too_long_is_not_kept() {
    let (cached, engine) = cached();
    let mut audio = cached.speak(clause("a b c"));
    audio.next().await.expect("a").expect("works");
    drop(audio);
    assert_eq!(engine.over.load(Ordering::Relaxed), 1, "cancelled");
    heard(cached.speak(clause("a fail"))).await.expect_err("fails");
    for text in ["***", "minute minute minute", "a faster"] {
        say(&cached, clause(text)).await;
    }
    cached.keeper.idle().await;
    assert_eq!(cached.cache.counts().stored, 0);
    assert!(cached.calls.is_empty());
    say(&cached, clause("minute minute")).await;
    assert_eq!(cached.cache.counts().stored, 1, "two minutes are kept");
}

#[tokio::test(start_paused = true)]
async fn a_stampede_makes_one_call() {
    let (cached, engine) = cached();
    let cached = Arc::new(cached);
    let heard: Vec<Vec<i16>> = {
        let all = (0..20).map(|n| {
            let cached = cached.clone();
            async move {
                sleep(Duration::from_millis(n)).await;
                heard(cached.speak(clause("a b c"))).await.expect("works")
            }
        });
        futures_util::future::join_all(all).await
    };
    assert_eq!(calls(&engine), 1);
    assert!(heard.iter().all(|samples| *samples == heard[0] && samples.len() == 480));
    let joined = &cached.counters()[0];
    assert_eq!((&*joined.name, joined.value), ("engine joined", 19));
    cached.keeper.idle().await;
    assert_eq!(cached.cache.counts().stored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_clause_goes_on_for_whoever_still_listens() {
    let (cached, engine) = cached();
    let mut first = cached.speak(clause("a b c"));
    first.next().await.expect("a").expect("works");
    let second = cached.speak(clause("a b c"));
    drop(first);
    assert_eq!(say(&cached, clause("other")).await.len(), 160);
    assert_eq!(heard(second).await.expect("works").len(), 480);
    cached.keeper.idle().await;
    assert_eq!((calls(&engine), cached.cache.counts().stored), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn tenants_share_no_synthesis() {
    let (cached, engine) = cached();
    let other = SpeechRequest { requester: Requester::server("other".into()), ..clause("a b") };
    let (one, two) = futures_util::join!(heard(cached.speak(clause("a b"))), heard(cached.speak(other)));
    assert_ne!(one.expect("works"), two.expect("works"));
    assert_eq!(calls(&engine), 2);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_clause_does_not_join_one_that_may_wait() {
    let (cached, engine) = cached();
    let later = cached.speak(SpeechRequest { priority: Priority::Batch, ..clause("a b") });
    let urgent = cached.speak(clause("a b"));
    let (later, urgent) = futures_util::join!(heard(later), heard(urgent));
    assert!(later.is_ok() && urgent.is_ok());
    assert_eq!(calls(&engine), 2);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_reused_is_neither_looked_up_nor_kept() {
    let (cached, engine) = cached();
    let once = || SpeechRequest { reuse: false, ..clause("a b") };
    say(&cached, once()).await;
    assert_eq!(cached.cache.counts().stored, 0);
    say(&cached, clause("a b")).await;
    let (one, two) = futures_util::join!(heard(cached.speak(once())), heard(cached.speak(once())));
    assert_ne!(one.expect("works"), two.expect("works"));
    assert_eq!(calls(&engine), 4);
    cached.cache.set_on(false);
    say(&cached, clause("a b")).await;
    assert_eq!(calls(&engine), 5, "nor while the cache is off");
    let counts = cached.cache.counts();
    assert_eq!((counts.hits, counts.misses, counts.stored), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waited_for_was_made_ahead() {
    let (cached, _) = cached();
    say(&cached, SpeechRequest { priority: Priority::Batch, ..clause("a") }).await;
    say(&cached, clause("b")).await;
    assert_eq!(cached.cache.counts().prefetched, 1);
    say(&cached, clause("a")).await;
    say(&cached, clause("b")).await;
    assert_eq!(cached.cache.counts().prefetched_used, 1);
}

#[tokio::test(start_paused = true)]
async fn below_memory_it_is_found_as_soon_as_it_is_read() {
    let disk = Arc::new(Disk::default());
    let first = {
        let (cached, _) = cached_in(&cache(vec![disk.clone()]));
        let began = Instant::now();
        let first = heard(cached.speak(clause("a b"))).await.expect("works");
        assert_eq!(began.elapsed(), Duration::from_millis(25), "the disk's no, then the engine");
        cached.keeper.idle().await;
        first
    };
    let (cached, engine) = cached_in(&cache(vec![disk]));
    let began = Instant::now();
    let (one, two) =
        futures_util::join!(heard(cached.speak(clause("a b"))), heard(cached.speak(clause("a b"))));
    assert_eq!((one.expect("works"), two.expect("works")), (first.clone(), first.clone()));
    assert_eq!(began.elapsed(), Duration::from_millis(5));
    assert_eq!(say(&cached, clause("a b")).await, first);
    assert_eq!(calls(&engine), 0);
    let counts = cached.cache.counts();
    assert_eq!((counts.hits, counts.below, counts.misses), (2, 1, 0), "asked below once, then in memory");
}

/// Puts `value` where the clause "a" is looked for.
fn plant(cached: &CachedTts, value: &'static [u8]) {
    let key = cached.key(&clause("a"));
    let tenant = (&Requester::local().tenant).into();
    let (label, value) = ("a".to_owned(), Bytes::from_static(value));
    let draft = Draft { key, tenant, label, value, cost: Duration::ZERO, priority: Priority::LiveTurn };
    cached.cache.put(draft);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_read_is_said_and_kept_anew() {
    let disk = Arc::new(Disk::default());
    let (cached, engine) = cached_in(&cache(vec![disk]));
    plant(&cached, b"bad");
    let said = say(&cached, clause("a")).await;
    assert_eq!((said.len(), calls(&engine)), (160, 1));
    assert_eq!(say(&cached, clause("a")).await, said);
    assert_eq!(calls(&engine), 1);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_breaks_off_is_an_error_once() {
    let (cached, engine) = cached();
    plant(&cached, b"\x40\x1f\0\0odd");
    heard(cached.speak(clause("a"))).await.expect_err("damaged");
    assert_eq!(say(&cached, clause("a")).await.len(), 160);
    assert_eq!(calls(&engine), 1);
}

#[tokio::test(start_paused = true)]
async fn when_too_many_wait_to_be_encoded_others_are_not_kept() {
    let (let_one, gate) = std::sync::mpsc::channel();
    let codec = Plain { let_through: Some(Mutex::new(gate)) };
    let (cached, _) = cached_as("engine 1", &cache(Vec::new()), codec);
    for n in 0..MAX_WAITING + 3 {
        heard(cached.speak(clause(&n.to_string()))).await.expect("works, kept or not");
    }
    (0..MAX_WAITING).for_each(|_| let_one.send(()).expect("it waits"));
    cached.keeper.idle().await;
    assert_eq!(cached.cache.counts().stored, MAX_WAITING as u64);
    let not_kept = &cached.counters()[1];
    assert_eq!((&*not_kept.name, not_kept.value), ("engine not kept", 3));
}

#[test]
fn only_white_space_is_changed() {
    for (text, spoken) in [
        ("", ""),
        (" \n\t\n ", ""),
        ("  Yes ,  no! ", "Yes , no!"),
        ("One:\r\n\n  - a\u{a0}b \n", "One:\n- a b"),
    ] {
        assert_eq!(as_spoken(text), spoken);
    }
}
