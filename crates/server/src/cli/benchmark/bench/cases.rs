//! The cases that can be measured, and how one iteration of each runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_audio::{Law, Resampler};
use antiphon_core::{
    Caller, ChatDelta, ChatRequest, FRAME_SAMPLES, Message, Priority, Requester, Role, SampleRate,
    SpeechRequest, Stt, SttInput, SttOptions,
};
use antiphon_desk::{Connected, Desk};
use antiphon_stack::{Stack, engine_names};
use antiphon_telemetry::Metrics;
use antiphon_transports::file::{self, FileTransport, Said};
use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, stream};

use super::Bench;

/// How many tokens a measured reply has: those of a spoken sentence.
const TOKENS: u32 = 24;
/// How many replies run at the same time where many are measured.
const AT_ONCE: usize = 8;
const SENTENCE: &str = "The train to the coast leaves at half past nine from platform four.";
const FRAMES: usize = 1_000;

/// The measurements of one iteration.
pub(super) struct Iteration {
    /// How long the whole took, followed by how long its parts took.
    pub(super) spans: Vec<(&'static str, Duration)>,
    /// The length of the audio that was processed or made; zero where that says nothing.
    pub(super) audio: Duration,
}

impl From<Vec<(&'static str, Duration)>> for Iteration {
    fn from(spans: Vec<(&'static str, Duration)>) -> Self {
        Self { spans, audio: Duration::ZERO }
    }
}

/// A component or a combination of them that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Audio,
    Vad,
    Turn,
    Stt,
    Llm,
    Tts,
    Embed,
    Reply,
    Replies,
    Pipeline,
}

impl Case {
    pub(crate) const ALL: [Self; 10] = [
        Self::Audio,
        Self::Vad,
        Self::Turn,
        Self::Stt,
        Self::Llm,
        Self::Tts,
        Self::Embed,
        Self::Reply,
        Self::Replies,
        Self::Pipeline,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Vad => "vad",
            Self::Turn => "turn",
            Self::Stt => "stt",
            Self::Llm => "llm",
            Self::Tts => "tts",
            Self::Embed => "embed",
            Self::Reply => "reply",
            Self::Replies => "replies",
            Self::Pipeline => "pipeline",
        }
    }

    /// A short description of the case for people.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Audio => "1000 frames of a telephone's audio: decoded, resampled, and back",
            Self::Vad => "voice activity in the question",
            Self::Turn => "whether the question sounds complete",
            Self::Stt => "the words of the question",
            Self::Llm => "a sentence of the language model",
            Self::Tts => "a sentence said",
            Self::Embed => "a sentence embedded",
            Self::Reply => {
                "from the end of the question to the first audio of a reply, no silence waited for"
            }
            Self::Replies => "the same, eight at a time",
            Self::Pipeline => "a whole turn of a call, in real time",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|case| case.name() == name);
        found.with_context(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no component '{name}' to measure; there are {names}")
        })
    }

    /// The name of the engine that is measured.
    pub(super) fn engine(self, bench: &Bench) -> String {
        let engines = &bench.stack.engines;
        match self {
            Self::Audio => "antiphon".to_owned(),
            Self::Vad => engines.vad.name().to_owned(),
            Self::Turn => engines.turn.as_ref().map_or("silence", |turn| turn.name()).to_owned(),
            Self::Stt => engines.stt.name().to_owned(),
            Self::Llm => format!("{} {}", engines.llm.card().name, engines.llm.card().model),
            Self::Tts => engines.tts.card().name.to_owned(),
            Self::Embed => format!("{} {}", engines.embed.card().name, engines.embed.card().model),
            Self::Reply | Self::Replies | Self::Pipeline => engine_names(&bench.config),
        }
    }

    /// How many things one iteration processes.
    pub(super) const fn items(self) -> usize {
        match self {
            Self::Audio => FRAMES,
            Self::Replies => AT_ONCE,
            _ => 1,
        }
    }

    /// How many iterations run if none are asked for. There are fewer where one takes seconds.
    pub(crate) const fn usual_iterations(self) -> usize {
        match self {
            Self::Pipeline => 10,
            Self::Replies => 20,
            _ => 50,
        }
    }

    /// Runs one iteration; `n` differs from one to the next.
    pub(super) async fn iterate(self, bench: &Bench, n: usize) -> Result<Iteration> {
        let began = Instant::now();
        let engines = &bench.stack.engines;
        let speech = SampleRate::HZ_16000.duration_of(bench.speech.len());
        let mut audio = Duration::ZERO;
        match self {
            Self::Audio => audio = frames(&bench.speech),
            Self::Vad => {
                audio = speech;
                let (mut input, mut judged) = engines.vad.open();
                let mut last = 0.0;
                // The last window or two may never be judged, so half a second is left out.
                let until = bench.speech.len().saturating_sub(8_000) as f64 / 16_000.0;
                for frame in bench.speech.chunks(FRAME_SAMPLES * 8) {
                    input.push(frame);
                    while let Some(Some(voice)) = futures_util::FutureExt::now_or_never(judged.next()) {
                        last = voice.at.as_duration().as_secs_f64();
                    }
                }
                while last < until {
                    last = judged.next().await.context("the detector ended")?.at.as_duration().as_secs_f64();
                }
            }
            Self::Turn => {
                let Some(turn) = &engines.turn else { bail!("[turn] engine = \"silence\" computes nothing") };
                turn.complete(Arc::clone(&bench.speech), Priority::LiveTurn).await?;
            }
            Self::Stt => {
                audio = speech;
                words(engines.stt.as_ref(), &bench.speech).await?;
            }
            Self::Llm => return written(bench, n).await,
            Self::Tts => return said(bench, SENTENCE).await,
            Self::Embed => {
                engines.embed.embed(vec![format!("{SENTENCE} {n}")], Priority::LiveTurn).await?;
            }
            Self::Reply => return reply(bench, n).await,
            Self::Replies => {
                try_join_all((0..AT_ONCE).map(|m| reply(bench, n * AT_ONCE + m))).await?;
            }
            Self::Pipeline => return turn(bench).await,
        }
        Ok(Iteration { spans: vec![("total", began.elapsed())], audio })
    }
}

/// The work for a telephone call apart from engines: 20 ms of mu-law to 16 kHz and back. Returns the length of
/// the audio.
fn frames(speech: &[i16]) -> Duration {
    let mut telephone = Vec::new();
    Resampler::new(SampleRate::HZ_16000, SampleRate::HZ_8000).process(speech, &mut telephone);
    let mut encoded = Vec::new();
    Law::Mu.encode_into(&telephone, &mut encoded);
    let mut up = Resampler::new(SampleRate::HZ_8000, SampleRate::HZ_16000);
    let mut down = Resampler::new(SampleRate::HZ_16000, SampleRate::HZ_8000);
    let (mut decoded, mut heard, mut back, mut sent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for frame in encoded.chunks(FRAME_SAMPLES / 2).cycle().take(FRAMES) {
        for buffer in [&mut decoded, &mut heard, &mut back] {
            buffer.clear();
        }
        sent.clear();
        Law::Mu.decode_into(frame, &mut decoded);
        up.process(&decoded, &mut heard);
        down.process(&heard, &mut back);
        Law::Mu.encode_into(&back, &mut sent);
        std::hint::black_box(&sent);
    }
    SampleRate::HZ_16000.duration_of(FRAMES * FRAME_SAMPLES)
}

/// Transcribes all of the speech as in a call: first the audio is sent, then its words are requested.
async fn words(stt: &dyn Stt, speech: &[i16]) -> Result<String> {
    let audio = speech.chunks(1_600).map(|piece| SttInput::Audio(piece.into()));
    let inputs: Vec<SttInput> = audio.chain([SttInput::Flush]).collect();
    let mut transcripts = stt.transcribe(SttOptions::new(Requester::local()), stream::iter(inputs).boxed());
    let mut text = String::new();
    while let Some(transcript) = transcripts.next().await {
        text = transcript?.text;
    }
    Ok(text)
}

fn question(n: usize) -> ChatRequest {
    let messages = vec![
        Message::new(
            Role::System,
            "You are a friendly voice assistant. Answer in one short spoken sentence.",
        ),
        Message::new(Role::User, format!("My number is {n}. What is the capital of France?")),
    ];
    ChatRequest {
        temperature: Some(0.0),
        max_tokens: Some(TOKENS),
        ..ChatRequest::new(Requester::local(), messages)
    }
}

async fn written(bench: &Bench, n: usize) -> Result<Iteration> {
    let began = Instant::now();
    let mut deltas = bench.stack.engines.llm.chat(question(n));
    let mut first = None;
    while let Some(delta) = deltas.next().await {
        delta?;
        first.get_or_insert_with(|| began.elapsed());
    }
    Ok(vec![("total", began.elapsed()), ("first_token", first.context("the model said nothing")?)].into())
}

async fn said(bench: &Bench, text: &str) -> Result<Iteration> {
    let began = Instant::now();
    let mut chunks = bench.stack.engines.tts.speak(SpeechRequest::new(Requester::local(), text));
    let (mut first, mut audio) = (None, Duration::ZERO);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        audio += chunk.rate.duration_of(chunk.samples.len());
        first.get_or_insert_with(|| began.elapsed());
    }
    let first = first.context("the voice said nothing")?;
    Ok(Iteration { spans: vec![("total", began.elapsed()), ("first_audio", first)], audio })
}

/// What a caller waits for once the turn is over.
async fn reply(bench: &Bench, n: usize) -> Result<Iteration> {
    let engines = &bench.stack.engines;
    let began = Instant::now();
    words(engines.stt.as_ref(), &bench.speech).await?;
    let stt = began.elapsed();
    let mut deltas = engines.llm.chat(question(n));
    let mut clause = String::new();
    while let Some(delta) = deltas.next().await {
        match delta? {
            ChatDelta::Text(text) => clause.push_str(&text),
            ChatDelta::FromCache(_) => {}
            ChatDelta::ToolCall { .. } | ChatDelta::Done { .. } => break,
        }
        if clause.trim_end().ends_with([',', '.', '!', '?', ';', ':']) {
            break;
        }
    }
    drop(deltas);
    let llm = began.elapsed();
    let clause = if clause.trim().is_empty() { SENTENCE.to_owned() } else { clause };
    let mut chunks = engines.tts.speak(SpeechRequest::new(Requester::local(), clause));
    chunks.next().await.context("the voice said nothing")??;
    let total = began.elapsed();
    Ok(vec![
        ("total", total),
        ("stt", stt),
        ("llm", llm.saturating_sub(stt)),
        ("tts", total.saturating_sub(llm)),
    ]
    .into())
}

/// A call in which the speech is the person's only turn.
async fn turn(bench: &Bench) -> Result<Iteration> {
    let (transport, mut said) = FileTransport::new(bench.speech.to_vec(), false);
    let Stack { engines, agent, .. } = &bench.stack;
    let desk = Desk::local(engines.clone(), agent.clone(), Arc::new(Metrics::new()));
    let call = async move {
        let line = desk.admit(file::NAME, None)?;
        desk.take(line, Caller::by(file::NAME), |agent| Connected::to(agent, transport)).await?;
        anyhow::Ok(())
    };
    let call = tokio::spawn(call);
    let mut answered = None;
    while let Some(said) = said.recv().await {
        match said {
            Said::Turn(turn) if turn.latency_ms.total > Duration::ZERO => {
                answered = Some(turn.latency_ms);
                break;
            }
            Said::Failed(error) => bail!("the turn failed: {error}"),
            Said::Turn(_) | Said::Audio(_) => {}
        }
    }
    call.abort();
    let latency = answered.context("the question was not answered")?;
    Ok(vec![
        ("total", latency.total),
        ("end_of_turn", latency.end_of_turn),
        ("stt", latency.stt),
        ("first_token", latency.llm_ttft),
        ("first_audio", latency.tts_ttfb),
        ("overhead", latency.overhead),
    ]
    .into())
}
