//! What the language model answered, given again: [`CachedLlm`].

mod kept;
mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use antiphon_core::{
    BoxStream, CacheHit, ChatDelta, ChatRequest, FinishReason, Llm, Priority, Result, Role, Usage,
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::by_meaning::{Answered, Near, SemanticReplies, Sought, Trial};
use crate::question::{is_time_dependent, normalise, stands_alone};
use crate::{Cache, Entry, Key};
use kept::{Kept, Said};
use key::{Before, Situation};

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
/// question itself is compared by its words: see `question.rs`; or, by choice, by its meaning: see [`SemanticReplies`]. What
/// came of a person's memories is given again to the same words only.
///
/// Neither kept nor answered are requests that do not end with a question of the person, such as those after a tool was
/// called; answers that call a tool, are cut short or fail; and, unless allowed, what is soon out of date.
pub struct CachedLlm {
    engine: Arc<dyn Llm>,
    model: String,
    cache: Arc<Cache>,
    rules: ReplyRules,
    semantic: Option<Arc<SemanticReplies>>,
}

impl CachedLlm {
    /// Keeps the answers of `engine` in `cache`. `model` names the engine and its model: what another one said is not used.
    pub fn new(engine: Arc<dyn Llm>, model: String, cache: Arc<Cache>, rules: ReplyRules) -> Self {
        Self { engine, model, cache, rules, semantic: None }
    }

    /// Answers questions in other words as well.
    #[must_use]
    pub fn with_semantic(self, semantic: Option<Arc<SemanticReplies>>) -> Self {
        Self { semantic, ..self }
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
        let situation = Situation { request, reuse, model: &self.model };
        let alone = self.rules.standalone && stands_alone(&words);
        let all = |key: &dyn Fn(Before) -> Key| {
            let said = key(Before::Said);
            let nothing = alone.then(|| key(Before::Nothing)).filter(|nothing| *nothing != said);
            std::iter::once(said).chain(nothing).collect()
        };
        let by_meaning = self.semantic.is_some() && reuse.other_words && reuse.person.is_none();
        Some(Question {
            tenant: (&request.requester.tenant).into(),
            keys: all(&|before| situation.key(&words, before)),
            scopes: if by_meaning { all(&|before| situation.scope(before)) } else { Vec::new() },
            asked: asked.content.clone(),
            priority: request.priority,
        })
    }
}

/// A question that may have been answered before.
struct Question {
    tenant: Arc<str>,
    /// What the answer may be found by; it is kept by the first.
    keys: Vec<Key>,
    /// Within which it may be found by its meaning, one for each of the keys. None if it may not.
    scopes: Vec<Key>,
    asked: String,
    priority: Priority,
}

impl Question {
    /// As it is looked for by its meaning.
    fn sought(&self) -> Sought<'_> {
        let Self { tenant, scopes, asked, priority, .. } = self;
        Sought { tenant, scopes, question: asked, priority: *priority }
    }

    /// Its answer under `key`, to be taken in; `None` if it may not be found by its meaning.
    fn answered(&self, key: &Key, trial: Option<(Trial, String)>) -> Option<Answered> {
        let scopes = self.keys.iter().zip(&self.scopes);
        let (_, scope) = scopes.into_iter().find(|(own, _)| *own == key)?;
        Some(Answered { scope: *scope, key: *key, question: self.asked.clone(), trial })
    }
}

/// An answer that is given to the same words is also to be found by its meaning: after a restart it is not yet.
fn note(semantic: Option<&Arc<SemanticReplies>>, question: &Question, key: &Key) {
    if let Some(semantic) = semantic.filter(|semantic| !semantic.knows(key))
        && let Some(answered) = question.answered(key, None)
    {
        semantic.learn(answered);
    }
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
        // What is only made ahead is no request of anybody's.
        let is_ahead = question.priority == Priority::Batch;
        let now = question.keys.iter().find_map(|key| {
            if is_ahead {
                self.cache.peek_ahead(&question.tenant, key)
            } else {
                self.cache.get_now(&question.tenant, key)
            }
        });
        if let Some(entry) = now
            && let Some(answer) = given(&entry, CacheHit::Exact)
        {
            note(self.semantic.as_ref(), &question, &entry.key);
            return answer;
        }
        let (engine, cache, rules, semantic) =
            (self.engine.clone(), self.cache.clone(), self.rules, self.semantic.clone());
        let answer = async move {
            let mut trial = None;
            if !is_ahead {
                let exact = cache.get_first(&question.tenant, &question.keys).await;
                if let Some(entry) = exact
                    && let Some(answer) = given(&entry, CacheHit::Exact)
                {
                    note(semantic.as_ref(), &question, &entry.key);
                    return answer;
                }
                let near = match &semantic {
                    Some(semantic) => semantic.find(&cache, &question.sought()).await,
                    None => Near::Nothing,
                };
                match near {
                    Near::Reply(entry) => {
                        if let Some(answer) = given(&entry, CacheHit::Semantic) {
                            return answer;
                        }
                    }
                    Near::Trial(near) => trial = Some(near),
                    Near::Nothing => {}
                }
                cache.missed();
            }
            let asked = Instant::now();
            let answers = engine.chat(request);
            let said = Some(Said::default());
            let kept = Kept { answers, cache, question, rules, asked, said, semantic, trial };
            stream::unfold(kept, Kept::next).boxed()
        };
        stream::once(answer).flatten().boxed()
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engine.prepare(request);
    }
}

/// The answer of an entry; `None` if it holds none.
fn given(entry: &Entry, hit: CacheHit) -> Option<BoxStream<'static, Result<ChatDelta>>> {
    let text = std::str::from_utf8(&entry.value).ok()?.to_owned();
    let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
    Some(stream::iter([ChatDelta::FromCache(hit), ChatDelta::Text(text), done].map(Ok)).boxed())
}
