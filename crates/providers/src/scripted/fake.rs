//! Fake engines for tests. Their input says what they do; they do it at once and in the same way every time.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use antiphon_core::{
    AudioChunk, BoxFuture, BoxStream, ChatDelta, ChatRequest, Embed, EmbedCard, Error, ErrorKind,
    FinishReason, Llm, LlmCard, MediaTime, Priority, Result, Role, SampleRate, Segment, SpeechRequest, Stt,
    SttInput, SttOptions, ToolChoice, Transcript, Tts, TtsCard, Usage, Vad, VadStream, Voice,
    VoiceProbability,
};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc;

/// Samples of a window of [`FakeVad`]: 32 ms at 16 kHz.
const WINDOW: usize = 512;
/// Samples of one second at 16 kHz.
const SECOND: usize = 16_000;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// The only voice of the fake speech synthesiser.
static VOICES: LazyLock<[Voice; 1]> =
    LazyLock::new(|| [Voice { id: "saw".to_owned(), language: "en-US".to_owned() }]);

/// Number of unfinished answers of these engines in this process: 0 once nobody waits for any.
pub fn under_way() -> usize {
    UNDER_WAY.load(Ordering::SeqCst)
}

/// Counts one unfinished answer while it exists.
struct Counted;

impl Counted {
    fn new() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}

fn counted<T: Send + 'static>(answers: BoxStream<'static, T>) -> BoxStream<'static, T> {
    let guard = Counted::new();
    answers.inspect(move |_| _ = &guard).boxed()
}

/// Reports voice in all windows that are not silent.
#[derive(Debug, Default)]
pub struct FakeVad;

impl Vad for FakeVad {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>) {
        struct Input {
            window: Vec<i16>,
            judged: u64,
            output: mpsc::UnboundedSender<VoiceProbability>,
        }
        impl VadStream for Input {
            fn push(&mut self, samples: &[i16]) {
                for &sample in samples {
                    self.window.push(sample);
                    if self.window.len() == WINDOW {
                        self.judged += WINDOW as u64;
                        let at = MediaTime::from_samples(self.judged, SampleRate::HZ_16000);
                        let probability = if is_loud(&self.window) { 0.9 } else { 0.0 };
                        self.window.clear();
                        // This fails when the call is over, which is no error.
                        let _ = self.output.send(VoiceProbability { at, probability });
                    }
                }
            }
        }
        let (output, mut judged) = mpsc::unbounded_channel();
        let input = Input { window: Vec::new(), judged: 0, output };
        (Box::new(input), stream::poll_fn(move |cx| judged.poll_recv(cx)).boxed())
    }
}

fn is_loud(samples: &[i16]) -> bool {
    samples.iter().any(|sample| sample.unsigned_abs() > 100)
}

/// Understands "one word" in each second that is not silent.
#[derive(Debug, Default)]
pub struct FakeStt;

impl Stt for FakeStt {
    fn name(&self) -> &'static str {
        "fake-stt"
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let heard = Heard { partials: options.partials, ..Heard::default() };
        let transcripts = stream::unfold((audio, heard), |(mut audio, mut heard)| async move {
            loop {
                match audio.next().await {
                    Some(SttInput::Audio(samples)) => {
                        heard.unanswered = true;
                        if heard.take(&samples) && heard.partials {
                            return Some((Ok(heard.transcript(false)), (audio, heard)));
                        }
                    }
                    Some(SttInput::Flush) => {
                        heard.unanswered = false;
                        return Some((Ok(heard.transcript(true)), (audio, heard)));
                    }
                    // The end asks for an answer as a flush does, if audio came since the last answer.
                    None if std::mem::take(&mut heard.unanswered) => {
                        return Some((Ok(heard.transcript(true)), (stream::empty().boxed(), heard)));
                    }
                    None => return None,
                }
            }
        });
        counted(transcripts.boxed())
    }
}

#[derive(Default)]
struct Heard {
    samples: usize,
    loud: bool,
    partials: bool,
    unanswered: bool,
    segments: Vec<Segment>,
}

impl Heard {
    /// Takes samples; returns whether another second is complete.
    fn take(&mut self, mut samples: &[i16]) -> bool {
        let before = self.samples / SECOND;
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(SECOND - self.samples % SECOND));
            self.loud |= is_loud(now);
            self.samples += now.len();
            samples = later;
            if self.samples.is_multiple_of(SECOND) && std::mem::take(&mut self.loud) {
                let end_s = (self.samples / SECOND) as f32;
                self.segments.push(Segment { start_s: end_s - 1.0, end_s, text: "one word".into() });
            }
        }
        self.samples / SECOND > before
    }

    fn transcript(&self, flushed: bool) -> Transcript {
        let texts: Vec<_> = self.segments.iter().map(|segment| segment.text.as_str()).collect();
        let segments = if flushed { self.segments.clone() } else { Vec::new() };
        Transcript { text: texts.join(" "), audio_ms: (self.samples / 16) as u64, flushed, segments }
    }
}

/// Does what the last message says: `fail KIND`, `fail late`, `hang`, `endless`, or `break`. Otherwise it calls the
/// first tool, if there is one that it may call, or else repeats the message.
#[derive(Debug, Default)]
pub struct FakeLlm;

impl Llm for FakeLlm {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "fake", model: "fake-llm" }
    }

    #[expect(clippy::panic, reason = "asked to")]
    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let said = request.messages.last().map(|message| message.content.clone()).unwrap_or_default();
        let text = |text: &str| Ok(ChatDelta::Text(text.to_owned()));
        let deltas = match said.as_str() {
            "break" => panic!("as asked"),
            "hang" => stream::iter([text("wait")]).chain(stream::pending()).boxed(),
            "endless" => stream::repeat_with(move || text("on and on ")).boxed(),
            "fail late" => stream::iter([text("so far"), Err(failure("unavailable"))]).boxed(),
            _ => match said.strip_prefix("fail ") {
                Some(kind) => stream::iter([Err(failure(kind))]).boxed(),
                None => stream::iter(answer(&request, &said)).boxed(),
            },
        };
        counted(deltas)
    }
}

fn failure(kind: &str) -> Error {
    match kind {
        "rate" => Error::new(ErrorKind::RateLimited, "slow down")
            .with_retry_after(std::time::Duration::from_secs(7)),
        "timeout" => Error::new(ErrorKind::Timeout, "too slow"),
        "unavailable" => Error::unavailable("gone for lunch"),
        "invalid" => Error::invalid("not like this"),
        _ => Error::internal("broken"),
    }
}

fn answer(request: &ChatRequest, said: &str) -> Vec<Result<ChatDelta>> {
    let usage = |output_tokens| Usage { input_tokens: 10, cached_tokens: 4, output_tokens };
    let answered = request.messages.last().is_some_and(|message| message.role == Role::Tool);
    match request.tools.first() {
        Some(tool) if request.tool_choice != ToolChoice::None && !answered => {
            let call = |id: Option<&str>, name: Option<String>, arguments: &str| {
                let (id, arguments) = (id.map(str::to_owned), arguments.to_owned());
                Ok(ChatDelta::ToolCall { index: 0, id, name, arguments })
            };
            let done = ChatDelta::Done { finish: FinishReason::ToolCalls, usage: usage(5) };
            vec![
                call(Some("call_1"), Some(tool.name.clone()), ""),
                call(None, None, "{\"city\":"),
                call(None, None, "\"Ulm\"}"),
                Ok(done),
            ]
        }
        _ => {
            let max = request.max_tokens.map_or(usize::MAX, |max| max as usize);
            let words: Vec<&str> = said.split_inclusive(' ').collect();
            let finish = if words.len() > max { FinishReason::Length } else { FinishReason::Stop };
            let mut deltas: Vec<_> =
                words.iter().take(max).map(|word| Ok(ChatDelta::Text((*word).to_owned()))).collect();
            deltas.push(Ok(ChatDelta::Done { finish, usage: usage(words.len() as u64) }));
            deltas
        }
    }
}

/// Speaks a sawtooth of 50 ms for each letter or digit. `fail` fails, `endless` never ends.
#[derive(Debug, Default)]
pub struct FakeTts;

impl Tts for FakeTts {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "fake-tts", voices: &*VOICES }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let rate = SampleRate::HZ_22050;
        let chunk = move || {
            let samples: Vec<i16> = (0..1_102).map(|n| (n % 100 * 200 - 10_000) as i16).collect();
            Ok(AudioChunk::new(rate, samples))
        };
        let letters = request.text.chars().filter(|c| c.is_alphanumeric()).count();
        let chunks = match request.text.trim_end_matches('.') {
            "fail" => stream::iter([Err(failure("unavailable"))]).boxed(),
            "endless" => stream::repeat_with(chunk).boxed(),
            _ => stream::iter((0..letters).map(move |_| chunk())).boxed(),
        };
        counted(chunks)
    }
}

/// Embeds a text as the number of times that each of the first eight letters occurs in it.
#[derive(Debug, Default)]
pub struct FakeEmbed;

impl Embed for FakeEmbed {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "fake", model: "fake-embed", dimensions: 8 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let vector = |text: &String| {
            let counts: Vec<f32> =
                ('a'..='h').map(|letter| 1.0 + text.matches(letter).count() as f32).collect();
            let norm = counts.iter().map(|x| x * x).sum::<f32>().sqrt();
            counts.into_iter().map(|x| x / norm).collect()
        };
        let vectors = texts.iter().map(vector).collect();
        async move { Ok(vectors) }.boxed()
    }
}
