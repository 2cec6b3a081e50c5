//! What the language model answered, given again: [`CachedLlm`].

#[cfg(test)]
mod tests;

use std::sync::Arc;

use antiphon_core::{
    BoxStream, CacheHit, ChatDelta, ChatRequest, FinishReason, Llm, Priority, Result, Reuse, Role, Usage,
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::question::{is_time_dependent, normalise, stands_alone, tells_the_time};
use super::{Cache, Draft, Entry, Key, KeyBuilder, Kind};

/// Longer answers are not worth keeping: nobody listens to ten minutes of speech.
const MAX_ANSWER: usize = 8_192;
/// Longer questions are never asked twice.
const MAX_QUESTION: usize = 500;

/// Which replies are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyRules {
    /// A question that can be understood by itself is answered by what was answered to it at the beginning of a
    /// conversation, whatever was said before it in this one.
    pub standalone: bool,
    /// Also what is soon out of date: the time, the weather, "yesterday".
    pub time_dependent: bool,
}

/// An engine whose answers are kept and given again, to requests that say so ([`ChatRequest::reuse`]).
///
/// The key holds everything that the model reads and is told: engine, model, instructions, the conversation, what was looked
/// up, tools, sampling; and the tenant, the person whose memories are among it, and the version of what is known. Only the
/// question itself is compared by its words: see `question.rs`.
///
/// Neither kept nor answered are requests that do not end with a question of the person, such as those after a tool was
/// called; answers that call a tool, are cut short or fail; and, unless allowed, what is soon out of date.
pub struct CachedLlm {
    engine: Arc<dyn Llm>,
    model: String,
    cache: Arc<Cache>,
    rules: ReplyRules,
}

impl CachedLlm {
    /// Keeps the answers of `engine` in `cache`. `model` names the engine and its model: what another one said is not used.
    pub fn new(engine: Arc<dyn Llm>, model: String, cache: Arc<Cache>, rules: ReplyRules) -> Self {
        Self { engine, model, cache, rules }
    }

    /// What the request asks, if its answer may come from the cache.
    fn question(&self, request: &ChatRequest) -> Option<Question> {
        let reuse = request.reuse.as_ref().filter(|_| self.cache.is_on())?;
        let asked = request.messages.last().filter(|message| message.role == Role::User)?;
        if asked.content.len() > MAX_QUESTION {
            return None;
        }
        let words = normalise(&asked.content);
        if words.is_empty() || (!self.rules.time_dependent && is_time_dependent(&words)) {
            return None;
        }
        let key = key(request, reuse, &self.model, &words, true);
        let mut keys = vec![key];
        if self.rules.standalone && stands_alone(&words) {
            let alone = self::key(request, reuse, &self.model, &words, false);
            keys.extend(Some(alone).filter(|alone| *alone != key));
        }
        let (tenant, label) = (reuse.tenant.clone(), asked.content.clone());
        Some(Question { tenant, keys, label, priority: request.priority })
    }
}

/// A question that may have been answered before.
struct Question {
    tenant: Arc<str>,
    /// What the answer may be found by; it is kept by the first.
    keys: Vec<Key>,
    label: String,
    priority: Priority,
}

impl Llm for CachedLlm {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn model(&self) -> &str {
        self.engine.model()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let Some(question) = self.question(&request) else { return self.engine.chat(request) };
        let now = question.keys.iter().find_map(|key| match question.priority {
            // What is only made ahead is no request of anybody's.
            Priority::Batch => self.cache.peek_ahead(&question.tenant, key),
            _ => self.cache.get_now(&question.tenant, key),
        });
        if let Some(answer) = now.and_then(|entry| given(&entry, CacheHit::Exact)) {
            return answer;
        }
        let (engine, cache, rules) = (self.engine.clone(), self.cache.clone(), self.rules);
        let answer = async move {
            let found = match question.priority {
                Priority::Batch => None,
                _ => cache.get_first(&question.tenant, &question.keys).await,
            };
            if let Some(answer) = found.and_then(|entry| given(&entry, CacheHit::Exact)) {
                return answer;
            }
            let asked = Instant::now();
            let answers = engine.chat(request);
            stream::unfold(
                Kept { answers, cache, question, rules, asked, said: Some(Said::default()) },
                Kept::next,
            )
            .boxed()
        };
        stream::once(answer).flatten().boxed()
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engine.prepare(request);
    }
}

/// The key of `words`, with what was said before them or without.
fn key(request: &ChatRequest, reuse: &Reuse, model: &str, words: &str, with_conversation: bool) -> Key {
    let mut key = KeyBuilder::new(Kind::Reply, &reuse.tenant);
    key.add(model)
        .add(request.model.as_deref().unwrap_or_default())
        .add(reuse.person.as_deref().unwrap_or_default())
        .add(reuse.knowledge.to_le_bytes());
    let number = |value: Option<f32>| value.map_or([0xFF; 4], f32::to_le_bytes);
    key.add(number(request.temperature)).add(number(request.top_p));
    key.add(request.max_tokens.map_or([0xFF; 4], u32::to_le_bytes));
    key.add(request.seed.map_or([0xFF; 8], u64::to_le_bytes)).add(format!("{:?}", request.tool_choice));
    key.add(request.stop.len().to_le_bytes());
    for text in &request.stop {
        key.add(text);
    }
    key.add(request.tools.len().to_le_bytes());
    for tool in &request.tools {
        key.add(&tool.name).add(&tool.description).add(tool.parameters.to_string());
    }
    let before = &request.messages[..request.messages.len() - 1];
    let instructions = before.iter().take_while(|message| message.role == Role::System).count();
    for (at, message) in before.iter().enumerate() {
        if !with_conversation && at >= instructions && reuse.looked_up != Some(at) {
            continue;
        }
        key.add(format!("{:?}", message.role))
            .add(&message.content)
            .add(message.tool_calls.len().to_le_bytes());
        for call in &message.tool_calls {
            key.add(&call.name).add(&call.arguments);
        }
    }
    key.add(words).build()
}

/// The answer of an entry; `None` if it holds none.
fn given(entry: &Entry, hit: CacheHit) -> Option<BoxStream<'static, Result<ChatDelta>>> {
    let text = std::str::from_utf8(&entry.value).ok()?.to_owned();
    let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
    Some(stream::iter([ChatDelta::FromCache(hit), ChatDelta::Text(text), done].map(Ok)).boxed())
}

/// An answer on its way, of which a copy is kept.
struct Kept {
    answers: BoxStream<'static, Result<ChatDelta>>,
    cache: Arc<Cache>,
    question: Question,
    rules: ReplyRules,
    asked: Instant,
    /// `None` once it is not worth keeping.
    said: Option<Said>,
}

#[derive(Default)]
struct Said {
    text: String,
    first: Option<Instant>,
}

impl Kept {
    async fn next(mut self) -> Option<(Result<ChatDelta>, Self)> {
        let delta = self.answers.next().await?;
        self.take(&delta);
        Some((delta, self))
    }

    fn take(&mut self, delta: &Result<ChatDelta>) {
        let Some(mut said) = self.said.take() else { return };
        match delta {
            Ok(ChatDelta::Text(text)) if said.text.len() + text.len() <= MAX_ANSWER => {
                said.first.get_or_insert_with(Instant::now);
                said.text.push_str(text);
                self.said = Some(said);
            }
            Ok(ChatDelta::Done { finish: FinishReason::Stop, .. }) => self.keep(said),
            _ => {}
        }
    }

    fn keep(&self, said: Said) {
        let Said { text, first } = said;
        let Some(first) = first.filter(|_| !text.trim().is_empty()) else { return };
        if !self.rules.time_dependent && tells_the_time(&normalise(&text)) {
            return;
        }
        let Question { tenant, keys, label, priority } = &self.question;
        self.cache.put(Draft {
            key: keys[0],
            tenant: tenant.clone(),
            label: label.clone(),
            value: text.into(),
            cost: first.duration_since(self.asked),
            priority: *priority,
        });
    }
}
