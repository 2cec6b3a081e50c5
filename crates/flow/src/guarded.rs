//! Engines that are asked only while they work, only as much as they can take, and for urgent requests first: [`Guarded`] round
//! any of core's traits.

mod answers;
mod request;
mod transcripts;

use std::sync::Arc;

use antiphon_core::{
    AudioChunk, BoxFuture, BoxStream, ChatDelta, ChatRequest, Embed, EmbedCard, Llm, LlmCard, Priority,
    Result, Share, SpeechRequest, Stt, SttInput, SttOptions, Tool, Transcript, Tts, TtsCard,
};
use tokio::time::timeout_at;

use crate::breaker::BreakerState;
use crate::target::Target;
use answers::{AnswerKind, watch};
use request::Request;

/// An engine behind a breaker and a scheduler, whose answers must come in time.
///
/// A request that is answered too late fails with `Timeout`; one that is not let through fails with the error of
/// [`Breaker::allow`](crate::Breaker::allow) or [`Scheduler::acquire`](crate::Scheduler::acquire). Empty pieces of an answer
/// are not passed on.
pub struct Guarded<E: ?Sized> {
    engine: Arc<E>,
    target: Arc<Target>,
}

impl<E: ?Sized> Guarded<E> {
    /// Guards `engine` with the breaker and the scheduler of `target`.
    pub fn new(engine: Arc<E>, target: Arc<Target>) -> Self {
        Self { engine, target }
    }
}

impl Llm for Guarded<dyn Llm> {
    fn card(&self) -> LlmCard<'_> {
        self.engine.card()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        const KIND: AnswerKind<ChatDelta> = AnswerKind {
            piece: "token",
            is_useful: |delta| !matches!(delta, ChatDelta::Text(text) if text.is_empty()),
            is_last: |delta| matches!(delta, ChatDelta::Done { .. }),
        };
        let (engine, counted) = (self.engine.clone(), (request.priority, request.requester.share.clone()));
        watch(self.target.clone(), counted, move || engine.chat(request), &KIND)
    }

    /// Passed on only while the engine works: it is an optimisation that nobody waits for.
    fn prepare(&self, request: &ChatRequest) {
        if self.target.breaker().state() == BreakerState::Closed {
            self.engine.prepare(request);
        }
    }

    fn check_tools(&self, tools: &[Tool]) -> Result<()> {
        self.engine.check_tools(tools)
    }
}

impl Tts for Guarded<dyn Tts> {
    fn card(&self) -> TtsCard<'_> {
        self.engine.card()
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        const KIND: AnswerKind<AudioChunk> =
            AnswerKind { piece: "audio", is_useful: |chunk| !chunk.samples.is_empty(), is_last: |_| false };
        let (engine, counted) = (self.engine.clone(), (request.priority, request.requester.share.clone()));
        watch(self.target.clone(), counted, move || engine.speak(request), &KIND)
    }
}

impl Embed for Guarded<dyn Embed> {
    fn card(&self) -> EmbedCard<'_> {
        self.engine.card()
    }

    fn tokens(&self, text: &str) -> u64 {
        self.engine.tokens(text)
    }

    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let (engine, target) = (self.engine.clone(), self.target.clone());
        Box::pin(async move {
            // An embedding is counted on nobody's account: identical texts of several callers are embedded together.
            let mut request = Request::admit(target, priority, Share::Server).await?;
            let embedded = timeout_at(request.first_by(), engine.embed(texts, priority)).await;
            let embedded = embedded.unwrap_or_else(|_| Err(request.late("vector")));
            match &embedded {
                Ok(_) => {
                    request.answered();
                    request.ended();
                }
                Err(error) => request.failed(error),
            }
            embedded
        })
    }
}

impl Stt for Guarded<dyn Stt> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn only_language(&self) -> Option<&'static str> {
        self.engine.only_language()
    }

    /// Needs no permit: an utterance would hold one for as long as somebody speaks, so that people would have to speak in turn.
    /// Instead the flushes that are not answered yet count as in flight and adapt the limit. The breaker is told of the first
    /// answer, or of an error.
    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let counted = (options.priority, options.requester.share.clone());
        transcripts::watch(self.target.clone(), counted, audio, |audio| {
            self.engine.transcribe(options, audio)
        })
    }
}

#[cfg(test)]
mod tests;
