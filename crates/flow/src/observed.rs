//! Engines whose requests are counted: [`Observed`] round any of core's traits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use antiphon_core::{
    AudioChunk, BoxFuture, BoxStream, ChatDelta, ChatRequest, Embed, Llm, Observer, Priority, RequestOutcome,
    Result, SpeechRequest, Stream, Stt, SttInput, SttOptions, Transcript, Tts, Voice,
};

/// An engine whose requests are told to an observer.
pub struct Observed<E: ?Sized> {
    engine: Arc<E>,
    observer: Arc<dyn Observer>,
}

impl<E: ?Sized> Observed<E> {
    /// Tells `observer` how each request to `engine` ends.
    pub fn new(engine: Arc<E>, observer: Arc<dyn Observer>) -> Self {
        Self { engine, observer }
    }

    fn request(&self, engine: &'static str) -> Request {
        Request { observer: Arc::clone(&self.observer), engine, outcome: RequestOutcome::Cancelled }
    }
}

impl Stt for Observed<dyn Stt> {
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

impl Llm for Observed<dyn Llm> {
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

impl Tts for Observed<dyn Tts> {
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

impl Embed for Observed<dyn Embed> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn model(&self) -> &str {
        self.engine.model()
    }

    fn dimensions(&self) -> usize {
        self.engine.dimensions()
    }

    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let mut request = self.request(self.name());
        let vectors = self.engine.embed(texts, priority);
        Box::pin(async move {
            let vectors = vectors.await;
            request.end(if vectors.is_ok() { RequestOutcome::Ok } else { RequestOutcome::Error });
            vectors
        })
    }
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
mod tests {
    use std::sync::Mutex;

    use antiphon_core::{CallId, CallOutcome, CallStart, Error, Event, FinishReason, Usage};
    use futures_util::{StreamExt, stream};

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<(&'static str, RequestOutcome)>>);

    impl Observer for Seen {
        fn call_started(&self, _: &CallStart) {}

        fn event(&self, _: &CallId, _: &Event) {}

        fn call_ended(&self, _: &CallId, _: &'static str, _: CallOutcome) {}

        fn request_ended(&self, engine: &'static str, outcome: RequestOutcome) {
            self.0.lock().expect("no test panics while it holds a lock").push((engine, outcome));
        }
    }

    /// Answers, fails, or never ends, as the request's temperature says.
    struct Model;

    impl Llm for Model {
        fn name(&self) -> &'static str {
            "model"
        }

        fn model(&self) -> &'static str {
            "m"
        }

        fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
            let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
            match request.temperature {
                None => stream::iter([Ok(ChatDelta::Text("a".to_owned())), Ok(done)]).boxed(),
                Some(_) => stream::iter([Err(Error::unavailable("down"))]).boxed(),
            }
        }
    }

    #[tokio::test]
    async fn every_request_is_told_once_however_it_ends() {
        let seen = Arc::new(Seen::default());
        let model: Arc<dyn Llm> = Arc::new(Model);
        let observed = Observed::new(model, seen.clone());
        let request = ChatRequest::new(Vec::new());
        observed.chat(request.clone()).collect::<Vec<_>>().await;
        observed.chat(ChatRequest { temperature: Some(1.0), ..request.clone() }).collect::<Vec<_>>().await;
        drop(observed.chat(request).next().await);
        let seen = seen.0.lock().expect("no test panics while it holds a lock").clone();
        let outcomes = [RequestOutcome::Ok, RequestOutcome::Error, RequestOutcome::Cancelled];
        assert_eq!(seen, outcomes.map(|outcome| ("model", outcome)));
    }
}
