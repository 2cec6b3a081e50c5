//! Simulated engines for capacity tests: they answer after fixed delays, without a model. Faults can be injected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_core::settings::Check;
use antiphon_core::{
    AudioChunk, BoxFuture, BoxStream, ChatDelta, ChatRequest, Embed, EmbedCard, Error, FinishReason, Llm,
    LlmCard, Priority, Result, SampleRate, SpeechRequest, Stt, SttInput, SttOptions, Transcript, Tts,
    TtsCard, Usage, Voice,
};
use futures_util::{FutureExt, StreamExt, stream};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

/// Length of the simulated vectors.
const DIMENSIONS: usize = 384;
/// Length of one piece of simulated audio.
const PIECE: Duration = Duration::from_millis(100);
/// A share of all requests.
const SHARE: Check = Check::Between(0.0, 1.0);
/// Range of simulated delays in milliseconds, up to ten minutes.
const DELAY_MS: Check = Check::Between(0.0, 600_000.0);
/// Range of the audio of a clause in milliseconds, from one frame to ten minutes.
const AUDIO_MS: Check = Check::Between(20.0, 600_000.0);
/// Range of a reply's tokens: they are made ahead, and a hundred thousand take some megabytes.
const TOKENS: Check = Check::Between(1.0, 100_000.0);

antiphon_core::settings! {
    /// How often a simulated engine fails, and how irregular its delays are.
    pub struct Faults {
        /// Share of requests that fail. With `stall_rate` it is at most 1.
        fail_rate: f64 = 0.0, check(SHARE), also_above();
        /// Share of requests that never answer.
        stall_rate: f64 = 0.0, check(SHARE), also_above();
        /// Up to this is added to each delay, in milliseconds.
        jitter_ms: u64 = 0, check(DELAY_MS), also_above();
        /// The seed of faults and delays: with the same seed they are the same in each run.
        seed: u64 = 0, also_above();
    }
}

/// Decides what happens to each request.
struct Dice {
    faults: Faults,
    thrown: AtomicU64,
}

enum Fate {
    Works,
    Fails,
    Stalls,
}

impl Dice {
    fn new(faults: Faults) -> Arc<Self> {
        Arc::new(Self { faults, thrown: AtomicU64::new(0) })
    }

    fn throw(&self) -> (Fate, Duration) {
        let Faults { fail_rate, stall_rate, jitter_ms, seed } = self.faults;
        let n = self.thrown.fetch_add(1, Ordering::Relaxed);
        let mut rng = SmallRng::seed_from_u64(seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let jitter = Duration::from_millis(rng.random_range(0..=jitter_ms));
        let at: f64 = rng.random();
        let fate = if at < fail_rate {
            Fate::Fails
        } else if at < fail_rate + stall_rate {
            Fate::Stalls
        } else {
            Fate::Works
        };
        (fate, jitter)
    }

    /// Waits for `delay` and its random addition, or fails, or never returns.
    async fn wait(&self, delay: Duration) -> Result<()> {
        let (fate, jitter) = self.throw();
        match fate {
            Fate::Stalls => std::future::pending().await,
            Fate::Fails => Err(Error::unavailable("a simulated failure (fail_rate)")),
            Fate::Works => {
                sleep(delay + jitter).await;
                Ok(())
            }
        }
    }
}

antiphon_core::settings! {
    /// Simulated speech recognition, for load tests. These keys may as well stand in `[stt]`.
    pub struct SimStt {
        /// From the question to the answer, in milliseconds.
        delay_ms: u64 = 100, check(DELAY_MS), also_above();
        /// What is always understood.
        text: String = "What is the status of my order?".to_owned(), also_above();
        include faults: Faults;
    }
}

impl SimStt {
    /// Makes an engine with these settings.
    pub fn engine(self) -> Arc<dyn Stt> {
        let dice = Dice::new(self.faults.clone());
        Arc::new(SttEngine { dice, delay: Duration::from_millis(self.delay_ms), text: self.text.into() })
    }
}

struct SttEngine {
    dice: Arc<Dice>,
    delay: Duration,
    text: Arc<str>,
}

/// The audio so far: its samples, and whether they were answered.
struct Heard {
    audio: BoxStream<'static, SttInput>,
    samples: u64,
    answered: bool,
    over: bool,
}

impl Stt for SttEngine {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn transcribe(
        &self,
        _: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let (dice, delay, text) = (self.dice.clone(), self.delay, self.text.clone());
        let heard = Heard { audio, samples: 0, answered: true, over: false };
        stream::unfold(heard, move |mut heard| {
            let (dice, text) = (dice.clone(), text.clone());
            async move {
                loop {
                    if heard.over {
                        return None;
                    }
                    match heard.audio.next().await {
                        Some(SttInput::Audio(samples)) => {
                            heard.samples += samples.len() as u64;
                            heard.answered = false;
                            continue;
                        }
                        Some(SttInput::Flush) => {}
                        None if heard.answered => return None,
                        None => heard.over = true,
                    }
                    heard.answered = true;
                    let transcript = Transcript {
                        text: text.to_string(),
                        audio_ms: heard.samples / 16,
                        flushed: true,
                        segments: Vec::new(),
                    };
                    let answer = dice.wait(delay).await.map(|()| transcript);
                    return Some((answer, heard));
                }
            }
        })
        .boxed()
    }
}

antiphon_core::settings! {
    /// A simulated language model, for load tests. These keys may as well stand in `[llm]`.
    pub struct SimLlm {
        /// Until the first token, in milliseconds.
        first_token_ms: u64 = 200, check(DELAY_MS), also_above();
        /// From one token to the next, in milliseconds.
        token_ms: u64 = 10, check(DELAY_MS), also_above();
        /// Tokens in a reply. The text is repeated or cut to fit.
        tokens: usize = 20, check(TOKENS), also_above();
        /// What is always answered, a word a token.
        text: String = "Your order has been shipped, and it will arrive on Thursday before noon.".to_owned(),
            also_above();
        include faults: Faults;
    }
}

impl SimLlm {
    /// Makes an engine with these settings.
    pub fn engine(self) -> Arc<dyn Llm> {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let tokens = words.iter().cycle().take(if words.is_empty() { 0 } else { self.tokens });
        let tokens = tokens
            .enumerate()
            .map(|(n, word)| if n == 0 { (*word).into() } else { format!(" {word}").into() });
        let dice = Dice::new(self.faults.clone());
        Arc::new(LlmEngine {
            dice,
            first_token: Duration::from_millis(self.first_token_ms),
            token: Duration::from_millis(self.token_ms),
            tokens: tokens.collect(),
        })
    }
}

struct LlmEngine {
    dice: Arc<Dice>,
    first_token: Duration,
    token: Duration,
    tokens: Arc<[Arc<str>]>,
}

impl Llm for LlmEngine {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "sim", model: "sim" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let (dice, tokens) = (self.dice.clone(), self.tokens.clone());
        let (first, next) = (self.first_token, self.token);
        let limit = request.max_tokens.map_or(tokens.len(), |max| tokens.len().min(max as usize));
        let input_tokens = request.messages.iter().map(|m| m.content.split_whitespace().count() as u64).sum();
        stream::unfold(Some(0), move |at| {
            let (dice, tokens) = (dice.clone(), tokens.clone());
            async move {
                let at: usize = at?;
                if at == 0 {
                    if let Err(error) = dice.wait(first).await {
                        return Some((Err(error), None));
                    }
                } else if at < limit {
                    sleep(next).await;
                }
                if at < limit {
                    return Some((Ok(ChatDelta::Text(tokens[at].to_string())), Some(at + 1)));
                }
                let finish = if limit < tokens.len() { FinishReason::Length } else { FinishReason::Stop };
                let usage = Usage { input_tokens, cached_tokens: 0, output_tokens: limit as u64 };
                Some((Ok(ChatDelta::Done { finish, usage }), None))
            }
        })
        .boxed()
    }
}

antiphon_core::settings! {
    /// A simulated voice, for load tests. These keys may as well stand in `[tts]`.
    pub struct SimTts {
        /// Until the first audio of a clause, in milliseconds.
        first_audio_ms: u64 = 80, check(DELAY_MS), also_above();
        /// Length of a clause's audio, in milliseconds.
        audio_ms: u64 = 2_000, check(AUDIO_MS), also_above();
        /// Whether audio comes no faster than it plays.
        realtime: bool = true, also_above();
        include faults: Faults;
    }
}

impl SimTts {
    /// Makes an engine with these settings.
    pub fn engine(self) -> Arc<dyn Tts> {
        let dice = Dice::new(self.faults.clone());
        // A quiet 200 Hz square wave: cheap to make, and loud enough to be detected by load tests.
        let rate = SampleRate::HZ_8000;
        let piece = |n: usize| if (n / 20).is_multiple_of(2) { 500 } else { -500 };
        let piece = (0..rate.samples_in(PIECE)).map(piece).collect();
        let voices = [Voice { id: "sim".to_owned(), language: "en-US".to_owned() }];
        Arc::new(TtsEngine { dice, sim: self, piece: AudioChunk { rate, samples: piece }, voices })
    }
}

struct TtsEngine {
    dice: Arc<Dice>,
    sim: SimTts,
    piece: AudioChunk,
    voices: [Voice; 1],
}

impl Tts for TtsEngine {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "sim", voices: &self.voices }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        if !request.text.chars().any(char::is_alphanumeric) {
            return stream::empty().boxed();
        }
        let (dice, piece) = (self.dice.clone(), self.piece.clone());
        let (first_audio, realtime) = (Duration::from_millis(self.sim.first_audio_ms), self.sim.realtime);
        let pieces = u128::from(self.sim.audio_ms).div_ceil(PIECE.as_millis()) as usize;
        stream::unfold(Some(0), move |at| {
            let (dice, piece) = (dice.clone(), piece.clone());
            async move {
                let at: usize = at?;
                if at == pieces {
                    return None;
                }
                if at == 0 {
                    if let Err(error) = dice.wait(first_audio).await {
                        return Some((Err(error), None));
                    }
                } else if realtime {
                    sleep(PIECE).await;
                }
                Some((Ok(piece), Some(at + 1)))
            }
        })
        .boxed()
    }
}

/// The simulated embedder, `[embed] engine = "sim"`: equal texts get equal vectors, different ones unrelated vectors.
pub struct SimEmbed;

impl Embed for SimEmbed {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "sim", model: "sim", dimensions: DIMENSIONS }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let vector = |text: &String| {
            // The seed is the FNV-1a hash of the text.
            let seed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            let mut rng = SmallRng::seed_from_u64(seed);
            let raw: Vec<f32> = (0..DIMENSIONS).map(|_| rng.random_range(-1.0..1.0)).collect();
            let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
            raw.into_iter().map(|x| x / length).collect()
        };
        let vectors = texts.iter().map(vector).collect();
        async move { Ok(vectors) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::Message;

    use antiphon_core::Requester;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reply_takes_exactly_its_time() {
        let sim = SimLlm {
            first_token_ms: 200,
            token_ms: 10,
            tokens: 5,
            text: "one two three".to_owned(),
            faults: Faults::default(),
        };
        let start = tokio::time::Instant::now();
        let request = ChatRequest::new(
            Requester::local(),
            vec![Message::new(antiphon_core::Role::User, "hello there")],
        );
        let deltas: Vec<_> = sim.engine().chat(request).collect().await;
        assert_eq!(start.elapsed(), Duration::from_millis(240));
        let text: String = deltas
            .iter()
            .filter_map(|d| if let Ok(ChatDelta::Text(t)) = d { Some(t.as_str()) } else { None })
            .collect();
        assert_eq!(text, "one two three one two");
        assert!(matches!(deltas.last(), Some(Ok(ChatDelta::Done { finish: FinishReason::Stop, .. }))));
    }

    #[tokio::test(start_paused = true)]
    async fn each_flush_is_answered_and_the_end_only_if_something_came() {
        let sim = SimStt { delay_ms: 100, text: "hi".to_owned(), faults: Faults::default() };
        let audio = || SttInput::Audio(vec![0; 160].into());
        let inputs = vec![audio(), SttInput::Flush, audio()];
        let engine = sim.engine();
        let transcripts =
            engine.transcribe(SttOptions::new(Requester::local()), stream::iter(inputs).boxed());
        let transcripts: Vec<_> = transcripts.map(|t| t.expect("works").audio_ms).collect().await;
        assert_eq!(transcripts, [10, 20]);
        let inputs = vec![audio(), SttInput::Flush];
        let transcripts =
            engine.transcribe(SttOptions::new(Requester::local()), stream::iter(inputs).boxed());
        assert_eq!(transcripts.count().await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn speech_in_real_time_comes_no_faster_than_it_plays() {
        let sim = SimTts { first_audio_ms: 80, audio_ms: 2_000, realtime: true, faults: Faults::default() };
        let start = tokio::time::Instant::now();
        let chunks: Vec<_> =
            sim.engine().speak(SpeechRequest::new(Requester::local(), "Hello.")).collect().await;
        assert_eq!(start.elapsed(), Duration::from_millis(80 + 1_900));
        let length: Duration = chunks.iter().map(|c| c.as_ref().expect("works").duration()).sum();
        assert_eq!(length, Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_come_as_often_as_asked_and_the_same_every_time() {
        let faults = Faults { fail_rate: 0.3, seed: 7, ..Faults::default() };
        let run = async || {
            let sim = SimTts { first_audio_ms: 0, audio_ms: 100, realtime: false, faults: faults.clone() };
            let engine = sim.engine();
            let mut failed = Vec::new();
            for n in 0..200 {
                let first = engine.speak(SpeechRequest::new(Requester::local(), "x")).next().await;
                if first.is_some_and(|f| f.is_err()) {
                    failed.push(n);
                }
            }
            failed
        };
        let failed = run().await;
        assert!((40..80).contains(&failed.len()), "{}", failed.len());
        assert_eq!(failed, run().await);
    }
}
