//! Engines whose requests are counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use antiphon_agent::Engines;
use antiphon_core::{
    AudioChunk, BoxFuture, BoxStream, ChatDelta, ChatRequest, Embed, Llm, Result, SpeechRequest, Stream, Stt,
    SttInput, SttOptions, Transcript, Tts, Voice,
};
use antiphon_telemetry::{Metrics, Outcome};

/// The same engines; their requests are counted in `metrics`. Voice activity and turn detection are left out: they
/// are asked many times a second and have no outcome of their own.
pub(crate) fn metered(engines: Engines, metrics: &Arc<Metrics>) -> Engines {
    Engines {
        stt: Arc::new(Metered { engine: engines.stt, metrics: Arc::clone(metrics) }),
        llm: Arc::new(Metered { engine: engines.llm, metrics: Arc::clone(metrics) }),
        tts: Arc::new(Metered { engine: engines.tts, metrics: Arc::clone(metrics) }),
        embed: Arc::new(Metered { engine: engines.embed, metrics: Arc::clone(metrics) }),
        ..engines
    }
}

struct Metered<E: ?Sized> {
    engine: Arc<E>,
    metrics: Arc<Metrics>,
}

impl<E: ?Sized> Metered<E> {
    fn request(&self, provider: &'static str) -> Request {
        Request { metrics: Arc::clone(&self.metrics), provider, outcome: Outcome::Cancelled }
    }
}

impl Stt for Metered<dyn Stt> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let answers = self.engine.transcribe(options, audio);
        Box::pin(Counted {
            answers,
            answered: |t: &Transcript| t.flushed,
            request: self.request(self.name()),
        })
    }
}

impl Llm for Metered<dyn Llm> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn model(&self) -> &str {
        self.engine.model()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let answers = self.engine.chat(request);
        let answered = |delta: &ChatDelta| matches!(delta, ChatDelta::Done { .. });
        Box::pin(Counted { answers, answered, request: self.request(self.name()) })
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engine.prepare(request);
    }
}

impl Tts for Metered<dyn Tts> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn voices(&self) -> Vec<Voice> {
        self.engine.voices()
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let answers = self.engine.speak(request);
        Box::pin(Counted { answers, answered: |_: &AudioChunk| false, request: self.request(self.name()) })
    }
}

impl Embed for Metered<dyn Embed> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn model(&self) -> &str {
        self.engine.model()
    }

    fn dimensions(&self) -> usize {
        self.engine.dimensions()
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let mut request = self.request(self.name());
        let vectors = self.engine.embed(texts);
        Box::pin(async move {
            let vectors = vectors.await;
            request.end(if vectors.is_ok() { Outcome::Ok } else { Outcome::Error });
            vectors
        })
    }
}

/// One request, counted when it is dropped.
struct Request {
    metrics: Arc<Metrics>,
    provider: &'static str,
    outcome: Outcome,
}

impl Request {
    fn end(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.metrics.provider_request(self.provider, self.outcome);
    }
}

/// The answers to one request.
struct Counted<T> {
    answers: BoxStream<'static, Result<T>>,
    /// Whether this was what was asked for, so that nobody need wait for the end of the stream.
    answered: fn(&T) -> bool,
    request: Request,
}

impl<T> Stream for Counted<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = self.get_mut();
        let polled = this.answers.as_mut().poll_next(cx);
        match &polled {
            Poll::Ready(Some(Err(_))) => this.request.end(Outcome::Error),
            Poll::Ready(Some(Ok(answer))) if (this.answered)(answer) => this.request.end(Outcome::Ok),
            Poll::Ready(None) if this.request.outcome == Outcome::Cancelled => this.request.end(Outcome::Ok),
            _ => {}
        }
        polled
    }
}
