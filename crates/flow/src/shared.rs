//! Identical requests to a language model, answered by one call: [`Shared`].

mod call;
mod key;
mod readers;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon_core::measure::{Component, Counter};
use antiphon_core::{AudioChunk, BoxStream, ChatDelta, ChatRequest, Llm, LlmCard, Result, Tool};

pub use call::{Piece, SharedCalls, SharedReader};
use key::Key;

/// An engine of which identical requests in flight share one call.
///
/// Requests are shared if they ask for the same answer each time, by a temperature of 0 or a seed, or if their answer may be
/// used again anyway. Others are not: sending the same request several times at once is how samples are drawn. Tools make no
/// difference, since a call of the model only names them. Requests that differ only in priority and trace are the same, but a
/// request never joins a call that was made with less urgency than its own.
///
/// A request that joins late is first given what has been said. The call is cancelled when its last reader is dropped. Requests
/// that come on two threads within the same microseconds may each make a call.
pub struct Shared {
    engine: Arc<dyn Llm>,
    calls: Arc<SharedCalls<Key, ChatDelta>>,
    requests: AtomicU64,
    joined: AtomicU64,
}

impl Shared {
    /// Shares the calls of `engine`.
    pub fn new(engine: Arc<dyn Llm>) -> Self {
        let calls = Arc::new(SharedCalls::default());
        Self { engine, calls, requests: AtomicU64::new(0), joined: AtomicU64::new(0) }
    }
}

impl Llm for Shared {
    fn card(&self) -> LlmCard<'_> {
        self.engine.card()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let repeatable =
            request.temperature == Some(0.0) || request.seed.is_some() || request.reuse.is_some();
        if !repeatable {
            return self.engine.chat(request);
        }
        let priority = request.priority;
        let key = Key::new(request);
        if let Some(reader) = self.calls.join(&key, priority) {
            self.joined.fetch_add(1, Ordering::Relaxed);
            return Box::pin(reader);
        }
        let answers = self.engine.chat(key.request());
        Box::pin(self.calls.begin(key, priority, answers))
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engine.prepare(request);
    }

    fn check_tools(&self, tools: &[Tool]) -> Result<()> {
        self.engine.check_tools(tools)
    }
}

impl Piece for ChatDelta {
    fn heap(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::ToolCall { id, name, arguments, .. } => {
                arguments.len() + id.as_ref().map_or(0, String::len) + name.as_ref().map_or(0, String::len)
            }
            Self::FromCache(_) | Self::Done { .. } => 0,
        }
    }
}

/// Speech is shared by the cache of spoken clauses.
impl Piece for AudioChunk {
    fn heap(&self) -> usize {
        size_of_val(&*self.samples)
    }
}

impl Component for Shared {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn counters(&self) -> Vec<Counter> {
        let engine = self.engine.card().name;
        let count =
            |what, value: &AtomicU64| Counter::new(format!("{engine} {what}"), value.load(Ordering::Relaxed));
        vec![count("requests", &self.requests), count("shared", &self.joined)]
    }
}
