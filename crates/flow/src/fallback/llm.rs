//! Language models with fallback: the next model goes on in the middle of the sentence.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_core::{
    BoxFuture, BoxStream, ChatDelta, ChatRequest, Error, ErrorKind, Llm, LlmCard, Message, Priority,
    Requester, Result, Role, Tool,
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::route::{Attempt, Failure, Route};
use super::seam::{Hold, Seam};
use super::{Fallback, FallbackStage};

/// The message that asks for the rest of a reply. It has the user's role, because the templates of many open models refuse any
/// other role after the assistant's.
const GO_ON: &str = "Your reply was cut off here. Go on with the very next word, in the same language, as if nothing \
    had happened. Do not repeat what you said and do not mention this message.";

impl FallbackStage for dyn Llm {
    const STAGE: &'static str = "llm";
    const COMPONENT: &'static str = "fallback llm";

    fn engine_name(&self) -> &'static str {
        self.card().name
    }

    fn probe(&self) -> BoxFuture<'static, Result<()>> {
        let request = ChatRequest {
            max_tokens: Some(1),
            priority: Priority::Batch,
            ..ChatRequest::new(Requester::local(), vec![Message::new(Role::User, "Hi")])
        };
        let mut answers = self.chat(request);
        Box::pin(async move {
            let silent = || Err(Error::new(ErrorKind::Protocol, "the model ended without an answer"));
            answers.next().await.map_or_else(silent, |answer| answer.map(drop))
        })
    }
}

/// While another engine could go on, text is passed on in whole words only. The usage is that of the engine that reached the
/// end: one that breaks off reports none.
impl Llm for Fallback<dyn Llm> {
    fn card(&self) -> LlmCard<'_> {
        self.first().card()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let completion = Completion {
            route: self.route(request.priority),
            request,
            attempt: None,
            said: String::new(),
            called: false,
            hold: Hold::default(),
            seam: None,
            ready: VecDeque::new(),
            over: false,
        };
        let next = async |mut completion: Completion| {
            let delta = completion.next().await?;
            Some((delta, completion))
        };
        stream::unfold(completion, next).boxed()
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engines.engine(self.engines.in_use()).prepare(request);
    }

    fn check_tools(&self, tools: &[Tool]) -> Result<()> {
        self.first().check_tools(tools)
    }
}

/// One completion, by whichever engines.
struct Completion {
    route: Route<dyn Llm>,
    request: ChatRequest,
    attempt: Option<Attempt<ChatDelta>>,
    /// All text passed on so far.
    said: String,
    /// Whether a tool call was passed on: another engine cannot go on within one.
    called: bool,
    hold: Hold,
    /// Joins this engine's text to that of the engine before.
    seam: Option<Seam>,
    ready: VecDeque<ChatDelta>,
    over: bool,
}

impl Completion {
    async fn next(&mut self) -> Option<Result<ChatDelta>> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                return Some(Ok(delta));
            }
            if self.over {
                return None;
            }
            if self.attempt.is_none() && !self.begin() {
                self.over = true;
                return Some(Err(self.route.error()));
            }
            let attempt = self.attempt.as_mut()?;
            let failure = match attempt.next(is_useful, Duration::ZERO).await {
                Ok(Some(delta)) => {
                    self.take(delta);
                    continue;
                }
                Ok(None) => attempt.broke_off(),
                Err(failure) => failure,
            };
            if let Err(error) = self.fail(failure) {
                self.over = true;
                return Some(Err(error));
            }
        }
    }

    /// Asks the next engine, if there is one.
    fn begin(&mut self) -> bool {
        let Some(leg) = self.route.next() else { return false };
        let mut request = self.request.clone();
        if !self.said.trim().is_empty() {
            request.messages.push(Message::new(Role::Assistant, self.said.trim_end()));
            request.messages.push(Message::new(Role::User, GO_ON));
            // The completion of another engine's words must not be kept as an answer to the question.
            request.reuse = None;
            self.seam = Some(Seam::new(&self.said));
        }
        self.attempt = Some(Attempt::new(leg.engine.card().name, leg.engine.chat(request), leg.bounds));
        true
    }

    fn fail(&mut self, failure: Failure) -> Result<()> {
        self.attempt = None;
        self.hold = Hold::default();
        self.seam = None;
        let original = self.called.then(|| failure.error.clone());
        self.route.failed(failure);
        original.map_or(Ok(()), Err)
    }

    fn take(&mut self, delta: ChatDelta) {
        match delta {
            ChatDelta::Text(text) => {
                let text = match &mut self.seam {
                    Some(seam) => seam.push(&text, Instant::now()),
                    None => text,
                };
                let text = if self.route.has_more() { self.hold.push(&text) } else { text };
                self.say(text);
            }
            ChatDelta::FromCache(_) => self.ready.push_back(delta),
            ChatDelta::ToolCall { .. } => {
                self.release();
                self.called = true;
                self.ready.push_back(delta);
            }
            ChatDelta::Done { .. } => {
                self.release();
                self.ready.push_back(delta);
                self.route.succeeded();
                self.over = true;
            }
        }
    }

    /// Passes on what was withheld, since no more text follows that could belong to it.
    fn release(&mut self) {
        let joined = self.seam.take().map(|mut seam| seam.finish()).unwrap_or_default();
        let text = self.hold.push(&joined) + &self.hold.finish();
        self.say(text);
    }

    fn say(&mut self, text: String) {
        if !text.is_empty() {
            self.said.push_str(&text);
            self.ready.push_back(ChatDelta::Text(text));
        }
    }
}

fn is_useful(delta: &ChatDelta) -> bool {
    !matches!(delta, ChatDelta::Text(text) if text.is_empty())
}
