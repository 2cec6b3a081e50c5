//! Engines whose requests are counted: [`Observed`] round any of core's traits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use antiphon_core::measure::account::SpeechUnit;
use antiphon_core::{
    AudioChunk, BoxFuture, BoxStream, ChatDelta, ChatRequest, Embed, EmbedCard, Llm, LlmCard, Observer,
    Priority, RequestOutcome, Result, SpeechRequest, Stream, Stt, SttInput, SttOptions, Tool, Transcript,
    Tts, TtsCard,
};
use futures_util::StreamExt;

use crate::meter::{Bill, Meter, Meters};

/// An engine whose requests are reported to an observer.
pub struct Observed<E: ?Sized> {
    engine: Arc<E>,
    observer: Arc<dyn Observer>,
    meter: Option<Arc<Meter>>,
}

impl<E: ?Sized> Observed<E> {
    /// Reports to `observer` how each request to `engine` ends.
    pub fn new(engine: Arc<E>, observer: Arc<dyn Observer>) -> Self {
        Self { engine, observer, meter: None }
    }

    fn request(&self, engine: &'static str) -> Request {
        Request { observer: Arc::clone(&self.observer), engine, outcome: RequestOutcome::Cancelled }
    }

    /// The bill of a request, charged to the call that this thread works for; `None` if the engine is not metered.
    fn bill(&self) -> Option<Bill> {
        self.meter.as_ref().map(Bill::open)
    }
}

impl Observed<dyn Stt> {
    /// Counts the audio that the engine takes, as `name` ("stt deepgram"). An hour of it costs `hour_price`.
    #[must_use]
    pub fn metered(mut self, meters: &Meters, name: &Arc<str>, hour_price: Option<f64>) -> Self {
        self.meter = Some(meters.add(name, SpeechUnit::Sample, hour_price));
        self
    }
}

impl Observed<dyn Tts> {
    /// Counts the characters that the engine is asked to speak, as `name` ("tts piper").
    /// A million of them cost `million_price`.
    #[must_use]
    pub fn metered(mut self, meters: &Meters, name: &Arc<str>, million_price: Option<f64>) -> Self {
        self.meter = Some(meters.add(name, SpeechUnit::Character, million_price));
        self
    }
}

impl Stt for Observed<dyn Stt> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn only_language(&self) -> Option<&'static str> {
        self.engine.only_language()
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let audio = match self.bill() {
            Some(bill) => metered(audio, bill),
            None => audio,
        };
        let answers = self.engine.transcribe(options, audio);
        Box::pin(Counted {
            answers,
            answered: |t: &Transcript| t.flushed,
            request: self.request(self.name()),
        })
    }
}

impl Llm for Observed<dyn Llm> {
    fn card(&self) -> LlmCard<'_> {
        self.engine.card()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let answers = self.engine.chat(request);
        let answered = |delta: &ChatDelta| matches!(delta, ChatDelta::Done { .. });
        Box::pin(Counted { answers, answered, request: self.request(self.card().name) })
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engine.prepare(request);
    }

    fn check_tools(&self, tools: &[Tool]) -> Result<()> {
        self.engine.check_tools(tools)
    }
}

impl Tts for Observed<dyn Tts> {
    fn card(&self) -> TtsCard<'_> {
        self.engine.card()
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        if let Some(mut bill) = self.bill() {
            bill.add(request.text.chars().count());
        }
        let answers = self.engine.speak(request);
        Box::pin(Counted {
            answers,
            answered: |_: &AudioChunk| false,
            request: self.request(self.card().name),
        })
    }
}

impl Embed for Observed<dyn Embed> {
    fn card(&self) -> EmbedCard<'_> {
        self.engine.card()
    }

    fn tokens(&self, text: &str) -> u64 {
        self.engine.tokens(text)
    }

    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let mut request = self.request(self.card().name);
        let vectors = self.engine.embed(texts, priority);
        Box::pin(async move {
            let vectors = vectors.await;
            request.end(if vectors.is_ok() { RequestOutcome::Ok } else { RequestOutcome::Error });
            vectors
        })
    }
}

/// The audio of one utterance, billed piece by piece as the engine takes it.
fn metered(audio: BoxStream<'static, SttInput>, mut bill: Bill) -> BoxStream<'static, SttInput> {
    let count = move |input: &SttInput| {
        if let SttInput::Audio(samples) = input {
            bill.add(samples.len());
        }
    };
    audio.inspect(count).boxed()
}

/// One request, counted when it is dropped.
struct Request {
    observer: Arc<dyn Observer>,
    engine: &'static str,
    outcome: RequestOutcome,
}

impl Request {
    fn end(&mut self, outcome: RequestOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.observer.request_ended(self.engine, self.outcome);
    }
}

/// The answers to one request.
struct Counted<T> {
    answers: BoxStream<'static, Result<T>>,
    /// Whether an item completes the answer, so that nobody has to wait for the end of the stream.
    answered: fn(&T) -> bool,
    request: Request,
}

impl<T> Stream for Counted<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = self.get_mut();
        let polled = this.answers.as_mut().poll_next(cx);
        match &polled {
            Poll::Ready(Some(Err(_))) => this.request.end(RequestOutcome::Error),
            Poll::Ready(Some(Ok(answer))) if (this.answered)(answer) => this.request.end(RequestOutcome::Ok),
            Poll::Ready(None) if this.request.outcome == RequestOutcome::Cancelled => {
                this.request.end(RequestOutcome::Ok);
            }
            _ => {}
        }
        polled
    }
}

#[cfg(test)]
mod tests;
