//! Language models that think before they speak: [`WithoutThoughts`] keeps their thoughts from callers, pages and caches.

mod filter;
mod marks;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::{BoxStream, ChatDelta, ChatRequest, FinishReason, Llm, LlmCard, Result, Tool, lock};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use filter::{Filter, Opening};

/// How long an answer without a mark is held back while it is not known whether the model's template opens a thought. It is less
/// than the 400 ms that ITU-T G.114 allows a conversation to be delayed, and only the first answer of an engine waits for it.
const HOLD: Duration = Duration::from_millis(300);
/// The same for models whose name says that they think: their thoughts take seconds, and to speak one is worse than to be late once.
const HOLD_THINKER: Duration = Duration::from_secs(5);
/// Models whose templates open the thought are called so: "Qwen3-30B-A3B-Thinking-2507", "DeepSeek-R1-Distill-Qwen-7B", "QwQ-32B".
const THINKERS: [&str; 3] = ["thinking", "-r1", "qwq"];
/// How many answers in succession must show the opposite of what is believed of a template. With fewer, a caller who has the
/// model write a mark could hold up the answers of others.
const AGAINST: u8 = 3;

/// A language model whose thoughts are dropped. Marked thoughts are dropped wherever they stand at the beginning of a line, and a
/// text that begins without a mark is passed on at once.
///
/// The templates of some models open the thought in the prompt, and only the closing mark is sent. Whether that is so, answers
/// show: until the first one is complete, a text without a mark is held back for 300 ms (for 5 s if the model's name says that it
/// thinks); afterwards not at all, or else until the closing mark.
pub struct WithoutThoughts {
    engine: Arc<dyn Llm>,
    belief: Arc<Mutex<Belief>>,
}

impl WithoutThoughts {
    /// Drops the thoughts of `engine`.
    pub fn new(engine: Arc<dyn Llm>) -> Self {
        Self { engine, belief: Arc::new(Mutex::new(Belief { opening: Opening::Unknown, against: 0 })) }
    }
}

impl Llm for WithoutThoughts {
    fn card(&self) -> LlmCard<'_> {
        self.engine.card()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let model = request.model.as_deref().unwrap_or(self.card().model).to_lowercase();
        let thinker = THINKERS.iter().any(|name| model.contains(name));
        let opening = lock(&self.belief).opening;
        let hold = match opening {
            Opening::Unknown if thinker => Some(HOLD_THINKER),
            Opening::Unknown => Some(HOLD),
            Opening::Model | Opening::Template => None,
        };
        let answer = Answer {
            deltas: self.engine.chat(request),
            filter: Filter::new(opening),
            belief: self.belief.clone(),
            hold,
            release_at: None,
            ready: VecDeque::new(),
            over: false,
        };
        stream::unfold(answer, |mut answer| async move { Some((answer.next().await?, answer)) }).boxed()
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engine.prepare(request);
    }

    fn check_tools(&self, tools: &[Tool]) -> Result<()> {
        self.engine.check_tools(tools)
    }
}

/// What is believed of a model's template.
#[derive(Debug)]
struct Belief {
    opening: Opening,
    /// How many answers in succession have shown the opposite.
    against: u8,
}

impl Belief {
    fn learn(&mut self, shown: Opening) {
        self.against = if shown == self.opening { 0 } else { self.against + 1 };
        if self.opening == Opening::Unknown || self.against == AGAINST {
            *self = Self { opening: shown, against: 0 };
        }
    }
}

/// An answer that is being read.
struct Answer {
    deltas: BoxStream<'static, Result<ChatDelta>>,
    filter: Filter,
    belief: Arc<Mutex<Belief>>,
    /// How long text may be held back; `None`: for as long as it takes.
    hold: Option<Duration>,
    /// When that ends, once text is held back.
    release_at: Option<Instant>,
    /// What may be passed on.
    ready: VecDeque<Result<ChatDelta>>,
    over: bool,
}

impl Answer {
    async fn next(&mut self) -> Option<Result<ChatDelta>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.over {
                return None;
            }
            match self.release_at.filter(|_| self.filter.is_holding()) {
                None => {
                    let delta = self.deltas.next().await;
                    self.take(delta);
                }
                Some(at) => {
                    if let Ok(delta) = timeout_at(at, self.deltas.next()).await {
                        self.take(delta);
                    } else {
                        let held = self.filter.release();
                        self.say(held);
                    }
                }
            }
        }
    }

    fn take(&mut self, delta: Option<Result<ChatDelta>>) {
        match delta {
            Some(Ok(ChatDelta::Text(text))) => {
                let said = self.filter.push(&text);
                self.say(said);
                if self.filter.is_holding() && self.release_at.is_none() {
                    self.release_at = self.hold.map(|hold| Instant::now() + hold);
                }
            }
            // What is held before a call was a thought, or else a sentence before the call.
            Some(Ok(call @ ChatDelta::ToolCall { .. })) => self.end(true, Some(Ok(call))),
            Some(Ok(done @ ChatDelta::Done { finish, .. })) => {
                self.end(finish != FinishReason::Stop, Some(Ok(done)));
                self.over = true;
            }
            Some(Ok(hit @ ChatDelta::FromCache(_))) => self.ready.push_back(Ok(hit)),
            Some(Err(error)) => {
                self.end(true, Some(Err(error)));
                self.over = true;
            }
            None => {
                self.end(true, None);
                self.over = true;
            }
        }
    }

    /// The text is over, and `then` follows. `cut`: there might have been more text.
    fn end(&mut self, cut: bool, then: Option<Result<ChatDelta>>) {
        let rest = self.filter.end(cut);
        self.say(rest);
        if let Some(shown) = self.filter.take_shown() {
            lock(&self.belief).learn(shown);
        }
        self.ready.extend(then);
    }

    fn say(&mut self, text: String) {
        if !text.is_empty() {
            self.ready.push_back(Ok(ChatDelta::Text(text)));
        }
    }
}
