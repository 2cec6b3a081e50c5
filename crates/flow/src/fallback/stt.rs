//! Speech recognisers with fallback: another one is given the utterance from its first sample on.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{
    BoxFuture, BoxStream, Error, ErrorKind, Priority, Requester, Result, SampleRate, Stt, SttInput,
    SttOptions, Transcript,
};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use super::route::{Failure, Leg, Route};
use super::tape::Tape;
use super::{Fallback, FallbackStage};

/// The length of a probe: a second of silence.
const PROBE_SAMPLES: usize = SampleRate::HZ_16000.hz() as usize;

impl FallbackStage for dyn Stt {
    const STAGE: &'static str = "stt";
    const COMPONENT: &'static str = "fallback stt";

    fn engine_name(&self) -> &'static str {
        self.name()
    }

    fn probe(&self) -> BoxFuture<'static, Result<()>> {
        let audio = stream::iter([SttInput::Audio(vec![0; PROBE_SAMPLES].into()), SttInput::Flush]);
        let options = SttOptions { priority: Priority::Batch, ..SttOptions::new(Requester::local()) };
        let mut answers = self.transcribe(options, audio.boxed());
        Box::pin(async move {
            let silent = || Err(Error::new(ErrorKind::Protocol, "the recogniser ended without an answer"));
            answers.next().await.map_or_else(silent, |answer| answer.map(drop))
        })
    }
}

/// A minute of audio is kept for the next engine. When an engine fails in a longer utterance, the utterance ends with its error.
/// A flush must be answered within the bound for first items; the last engine and work nobody waits for have in addition as
/// long as the utterance lasts.
impl Stt for Fallback<dyn Stt> {
    fn name(&self) -> &'static str {
        self.first().name()
    }

    fn only_language(&self) -> Option<&'static str> {
        self.first().only_language()
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let utterance = Utterance {
            route: self.route(options.priority),
            options,
            input: audio,
            tape: Arc::default(),
            leg: None,
            due: 0,
            deadline: Instant::now(),
            heard: Duration::ZERO,
            unasked: false,
            told_ms: 0,
            over: false,
            failed: false,
        };
        let next = async |mut utterance: Utterance| {
            let transcript = utterance.next().await?;
            Some((transcript, utterance))
        };
        stream::unfold(utterance, next).boxed()
    }
}

type Answers = BoxStream<'static, Result<Transcript>>;

/// One utterance, by whichever engines.
struct Utterance {
    route: Route<dyn Stt>,
    options: SttOptions,
    input: BoxStream<'static, SttInput>,
    tape: Arc<Tape>,
    leg: Option<(Leg<dyn Stt>, Answers)>,
    /// Flushes that are not answered yet, the end of the input included.
    due: usize,
    /// When the first of them must be answered.
    deadline: Instant,
    heard: Duration,
    /// Whether audio has come since the last flush.
    unasked: bool,
    /// The length of audio that the last transcript covered, in milliseconds.
    told_ms: u64,
    /// The input has ended.
    over: bool,
    /// There is no engine that could go on.
    failed: bool,
}

enum Happened {
    Came(Option<SttInput>),
    Answered(Option<Result<Transcript>>),
    Late,
}

impl Utterance {
    async fn next(&mut self) -> Option<Result<Transcript>> {
        while !self.is_done() {
            if self.leg.is_none() && !self.begin() {
                self.failed = true;
                return Some(Err(self.route.error()));
            }
            let (leg, answers) = self.leg.as_mut()?;
            let who = leg.engine.name();
            let happened = tokio::select! {
                biased;
                answer = answers.next() => Happened::Answered(answer),
                input = next_input(&self.tape, &mut self.input), if !self.over => Happened::Came(input),
                () = sleep_until(self.deadline), if self.due > 0 => Happened::Late,
            };
            let failure = match happened {
                Happened::Came(input) => {
                    self.hear(input);
                    continue;
                }
                Happened::Answered(Some(Ok(transcript))) => match self.tell(transcript) {
                    Some(transcript) => return Some(Ok(transcript)),
                    None => continue,
                },
                Happened::Answered(Some(Err(error))) => Failure::new(error, self.told_ms > 0),
                Happened::Answered(None) => Failure::broke_off(who, self.told_ms > 0),
                Happened::Late => Failure::silent(who, leg.bounds.first, self.told_ms > 0),
            };
            if let Err(error) = self.fail(failure) {
                return Some(Err(error));
            }
        }
        None
    }

    /// Whether no more transcripts follow.
    fn is_done(&self) -> bool {
        self.failed || (self.over && self.due == 0)
    }

    /// Asks the next engine, if there is one.
    fn begin(&mut self) -> bool {
        let Some(leg) = self.route.next() else { return false };
        let answers = leg.engine.transcribe(self.options.clone(), self.tape.read().boxed());
        self.leg = Some((leg, answers));
        self.wait();
        true
    }

    /// Sets the time by which a flush must be answered.
    fn wait(&mut self) {
        let Some((leg, _)) = &self.leg else { return };
        let patience = if leg.patient { self.heard } else { Duration::ZERO };
        self.deadline = Instant::now() + leg.bounds.first + patience;
    }

    fn hear(&mut self, input: Option<SttInput>) {
        let asks = match &input {
            Some(SttInput::Audio(samples)) => {
                self.heard += SampleRate::HZ_16000.duration_of(samples.len());
                self.unasked |= !samples.is_empty();
                false
            }
            Some(SttInput::Flush) => true,
            None => {
                self.over = true;
                self.unasked
            }
        };
        if asks {
            self.unasked = false;
            self.due += 1;
            if self.due == 1 {
                self.wait();
            }
        }
        self.tape.push(input);
    }

    /// The transcript to pass on of an engine's answer. `None` if it covers less than was told already, as the first answers of
    /// an engine do that was given the utterance late.
    fn tell(&mut self, mut transcript: Transcript) -> Option<Transcript> {
        if transcript.flushed {
            self.due = self.due.checked_sub(1)?;
            self.tape.answered();
            self.route.succeeded();
            self.wait();
            transcript.audio_ms = transcript.audio_ms.max(self.told_ms);
        }
        let news = transcript.audio_ms >= self.told_ms;
        self.told_ms = self.told_ms.max(transcript.audio_ms);
        news.then_some(transcript)
    }

    fn fail(&mut self, failure: Failure) -> Result<()> {
        self.leg = None;
        let original = failure.error.clone();
        self.route.failed(failure);
        if self.tape.is_whole() {
            return Ok(());
        }
        self.failed = true;
        Err(original)
    }
}

async fn next_input(tape: &Tape, input: &mut BoxStream<'static, SttInput>) -> Option<SttInput> {
    std::future::poll_fn(|cx| tape.poll_room(cx)).await;
    input.next().await
}
