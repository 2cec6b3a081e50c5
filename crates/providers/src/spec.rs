//! The specification of the provider traits, as tests: what every engine must do, whoever makes it. The tests of each
//! engine call the function for its trait.

use std::time::Duration;

use antiphon_core::{
    AudioChunk, ChatDelta, ChatRequest, Embed, Llm, MediaTime, Message, Priority, Requester, Role,
    SpeechRequest, Stt, SttInput, SttOptions, Transcript, Tts, Vad,
};
use futures_util::{StreamExt, TryStreamExt, stream};

/// No request of this specification takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// Judges windows of 512 samples, independent of the pieces in which audio comes, in order, and ends after its input
/// has ended. Silence is not voice.
pub(crate) async fn vad(engine: &dyn Vad) {
    let (mut input, output) = engine.open();
    let mut sent = 0;
    for piece in [1, 511, 512, 320, 320, 1_600, 3_200].repeat(3) {
        input.push(&vec![0; piece]);
        sent += piece;
        // A detector may drop windows when audio comes faster than it can be judged.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(input);
    let judged: Vec<_> = within(output.collect()).await;
    assert_eq!(judged.len(), sent / 512, "one probability a window");
    for (n, voice) in judged.iter().enumerate() {
        assert_eq!(voice.at, MediaTime::from_millis(32 * (n as u64 + 1)), "in order");
        assert!((0.0..=1.0).contains(&voice.probability) && voice.probability < 0.5, "silence is no voice");
    }
}

/// Answers each flush once, answers the end of the audio if something has come since the last flush, and ends. The
/// covered audio only grows.
pub(crate) async fn stt(engine: &dyn Stt, speech: &[i16]) {
    let options = |partials| SttOptions { partials, ..SttOptions::new(Requester::local()) };
    let audio = || speech.chunks(1_600).map(|piece| SttInput::Audio(piece.into()));
    let transcribe = |input: Vec<SttInput>, partials| {
        within(
            engine
                .transcribe(options(partials), stream::iter(input).boxed())
                .try_collect::<Vec<Transcript>>(),
        )
    };

    assert_eq!(transcribe(Vec::new(), false).await.expect("works").len(), 0, "nothing comes of nothing");

    let flushed = audio().chain([SttInput::Flush]).collect::<Vec<_>>();
    let said = transcribe(flushed.clone(), true).await.expect("works");
    let answers = said.iter().filter(|transcript| transcript.flushed).count();
    assert_eq!(answers, 1, "one question, one answer; the end asks nothing new: {said:?}");
    let last = said.last().expect("an answer");
    assert!(last.flushed && !last.text.trim().is_empty(), "{said:?}");
    assert!(said.is_sorted_by_key(|transcript| transcript.audio_ms), "{said:?}");
    let whole = (speech.len() / 16) as u64;
    assert!(last.audio_ms.abs_diff(whole) < 200, "{} of {whole} ms", last.audio_ms);
    assert!(last.segments.is_sorted_by(|a, b| a.end_s <= b.start_s + 0.01), "{:?}", last.segments);

    let unasked = transcribe(audio().collect(), false).await.expect("works");
    assert_eq!(unasked.iter().filter(|t| t.flushed).count(), 1, "the end is a question, too");

    let twice = flushed.iter().cloned().chain(flushed.iter().cloned()).collect();
    let said = transcribe(twice, false).await.expect("works");
    assert_eq!(said.iter().filter(|t| t.flushed).count(), 2, "two questions, two answers: {said:?}");
}

/// Sends deltas, then exactly one `Done` with the number of tokens.
pub(crate) async fn llm(engine: &dyn Llm) {
    assert!(!engine.card().name.is_empty() && !engine.card().model.is_empty());
    let question =
        vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, "Say hello to me.")];
    let request = ChatRequest { max_tokens: Some(16), ..ChatRequest::new(Requester::local(), question) };
    engine.prepare(&request);
    for _ in 0..2 {
        let deltas: Vec<ChatDelta> = within(engine.chat(request.clone()).try_collect()).await.expect("works");
        let done = deltas.iter().filter(|delta| matches!(delta, ChatDelta::Done { .. })).count();
        assert_eq!(done, 1, "{deltas:?}");
        let Some(ChatDelta::Done { usage, .. }) = deltas.last() else {
            panic!("the last is Done: {deltas:?}")
        };
        assert!(usage.input_tokens > 0 && usage.output_tokens > 0, "{usage:?}");
        assert!(usage.cached_tokens <= usage.input_tokens, "{usage:?}");
        let text: String = deltas.iter().filter_map(text).collect();
        assert!(!text.trim().is_empty(), "{deltas:?}");
    }
    // Dropped requests do not delay the next one.
    for _ in 0..20 {
        drop(engine.chat(request.clone()));
    }
    let mut last = engine.chat(request);
    assert!(within(last.next()).await.is_some_and(|delta| delta.is_ok()));
}

fn text(delta: &ChatDelta) -> Option<&str> {
    match delta {
        ChatDelta::Text(text) => Some(text),
        _ => None,
    }
}

/// Speaks with one sample rate, makes audio for words but none for what cannot be spoken, and uses the default
/// voice for unknown ones.
pub(crate) async fn tts(engine: &dyn Tts) {
    let voices = engine.card().voices;
    assert!(!voices.is_empty() && voices.iter().all(|voice| !voice.id.is_empty()), "{voices:?}");
    let say = async |text: &str, voice: Option<&str>| -> Vec<AudioChunk> {
        let request =
            SpeechRequest { voice: voice.map(str::to_owned), ..SpeechRequest::new(Requester::local(), text) };
        within(engine.speak(request).try_collect()).await.expect("works")
    };
    let length = |chunks: &[AudioChunk]| chunks.iter().map(AudioChunk::duration).sum::<Duration>();
    let said = say("Good morning. It is noon.", None).await;
    assert!(said.iter().all(|chunk| chunk.rate == said[0].rate && !chunk.samples.is_empty()), "one rate");
    assert!(length(&said) > Duration::from_millis(300), "{:?}", length(&said));
    assert!(!say("Hello.", Some("no such voice")).await.is_empty(), "an unknown voice is the default");
    for silent in ["", " \n", "***", "🙂"] {
        assert_eq!(length(&say(silent, None).await), Duration::ZERO, "{silent:?}");
    }
    drop(engine.speak(SpeechRequest::new(Requester::local(), "This is not heard by anybody.")));
}

/// Makes one vector of length one for each text, in order. A vector does not depend on the other texts of the request.
pub(crate) async fn embed(engine: &dyn Embed) {
    assert!(within(engine.embed(Vec::new(), Priority::LiveTurn)).await.expect("works").is_empty());
    let long = "word ".repeat(5_000);
    let texts = ["a cat on the mat", "", "ein Kater", long.as_str()].map(str::to_owned);
    let together = within(engine.embed(texts.to_vec(), Priority::LiveTurn)).await.expect("works");
    assert_eq!(together.len(), texts.len());
    for vector in &together {
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(vector.len() == engine.card().dimensions && (norm - 1.0).abs() < 1e-3, "{norm}");
    }
    let alone = within(engine.embed(vec![texts[0].clone()], Priority::LiveTurn)).await.expect("works");
    let cosine: f32 = alone[0].iter().zip(&together[0]).map(|(a, b)| a * b).sum();
    assert!(cosine > 0.98, "{cosine}");
}

async fn within<V>(work: impl Future<Output = V>) -> V {
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}

/// Applies the specification to the engines that need at most their model files.
mod engines {
    use std::sync::Arc;

    use super::*;
    use crate::local::energy::EnergyVad;
    use crate::local::minilm::MiniLm;
    use crate::local::moonshine::Moonshine;
    use crate::local::onnx::OnnxRuntime;
    use crate::local::phonemes::Phonemizer;
    use crate::local::piper::Piper;
    use crate::local::silero::SileroVad;
    use crate::pool::ModelPool;
    use crate::scripted::fake::{FakeEmbed, FakeLlm, FakeStt, FakeTts, FakeVad};
    use crate::scripted::sim::{Faults, SimEmbed, SimLlm, SimStt, SimTts};

    struct Files {
        models: std::path::PathBuf,
        runtime: OnnxRuntime,
        pool: ModelPool,
    }

    fn files() -> Files {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        Files { models, runtime, pool: ModelPool::new(1).expect("threads") }
    }

    /// A square wave, which engines without a model take for speech.
    fn noise() -> Vec<i16> {
        (0..40_000).map(|n| if n / 40 % 2 == 0 { 3_000 } else { -3_000 }).collect()
    }

    #[tokio::test]
    async fn simple_detectors_of_voice() {
        vad(&EnergyVad).await;
        vad(&FakeVad).await;
    }

    #[tokio::test]
    async fn silero() {
        let files = files();
        let model = files.models.join("silero-vad/silero_vad.onnx");
        for open in [true, false] {
            let gate = move || -> crate::local::silero::Gate { Box::new(move |_: &[i16]| open) };
            vad(&SileroVad::open(&files.runtime, &model, gate).expect("opens")).await;
        }
    }

    #[tokio::test]
    async fn moonshine() {
        let files = files();
        let folder = files.models.join("moonshine-tiny-en");
        let engine = Moonshine::open(&files.runtime, &files.pool, &folder).expect("opens");
        stt(&engine, &antiphon_testkit::wav16("read_speech/spk1_snt1.wav")).await;
    }

    #[tokio::test]
    async fn piper() {
        let files = files();
        let model = files.models.join("piper-en_US-joe-medium/en_US-joe-medium.onnx");
        let phonemizer = Arc::new(Phonemizer::new());
        tts(&Piper::open(&files.runtime, &files.pool, &phonemizer, &model).expect("opens")).await;
    }

    #[tokio::test]
    async fn minilm() {
        let files = files();
        let model = files.models.join("minilm-l6-v2/model.onnx");
        embed(&MiniLm::open(&files.runtime, &files.pool, &model).expect("opens")).await;
    }

    #[tokio::test]
    async fn fake() {
        stt(&FakeStt, &noise()).await;
        llm(&FakeLlm).await;
        tts(&FakeTts).await;
        embed(&FakeEmbed).await;
    }

    #[tokio::test(start_paused = true)]
    async fn sim() {
        let text = "Your order has been shipped.".to_owned();
        let faults = Faults::default();
        let speech = SimStt { delay_ms: 20, text: text.clone(), faults: faults.clone() };
        stt(speech.engine().as_ref(), &noise()).await;
        let model = SimLlm { first_token_ms: 20, token_ms: 20, tokens: 8, text, faults: faults.clone() };
        llm(model.engine().as_ref()).await;
        let voice = SimTts { first_audio_ms: 20, audio_ms: 1_000, realtime: true, faults };
        tts(voice.engine().as_ref()).await;
        embed(&SimEmbed).await;
    }
}
