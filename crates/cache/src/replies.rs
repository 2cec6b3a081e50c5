//! Replies of the language model from the cache: [`CachedLlm`].

mod kept;
mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use antiphon_core::{
    BoxStream, CacheHit, ChatDelta, ChatRequest, FinishReason, Llm, LlmCard, Priority, Result, Role, Tool,
    Usage,
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::by_meaning::{Answered, Near, SemanticReplies, Sought, Trial};
use crate::question::{is_time_dependent, normalise, stands_alone};
use crate::wording::Wording;
use crate::{Cache, Entry, Key};
use kept::{KeptAnswer, PartialAnswer};
use key::{Before, Situation};

/// The longest question that is cached, in bytes: longer ones are never asked twice.
const MAX_QUESTION: usize = 500;

/// Which replies may be used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyRules {
    /// A question that can be understood by itself is answered with the reply to it at the beginning of another conversation,
    /// whatever was said before it in this one.
    pub standalone: bool,
    /// Also replies that are soon out of date: the time, the weather, "yesterday".
    pub time_dependent: bool,
}

/// An engine whose answers are kept and used again, for requests that allow it ([`ChatRequest::reuse`]).
///
/// The key contains everything that the model reads and is told: engine, model, instructions, the conversation, what was looked
/// up, tools, sampling; and the tenant, the person whose memories are in the prompt, and the version of the knowledge. Only the
/// question itself is compared by its normalised words (`question.rs`) or, if chosen, by its meaning ([`SemanticReplies`]).
/// An answer that a person's memories went into is used again for the same words only.
///
/// Not cached are requests that do not end with a question of the person, such as those after a tool was called; answers that
/// call a tool, are cut short or fail; and, unless allowed, what is soon out of date.
pub struct CachedLlm {
    engine: Arc<dyn Llm>,
    model: String,
    cache: Arc<Cache>,
    rules: ReplyRules,
    semantic: Option<Arc<SemanticReplies>>,
}

impl CachedLlm {
    /// Keeps the answers of `engine` in `cache`. `model` names the engine and its model, and is part of the key.
    pub fn new(engine: Arc<dyn Llm>, model: String, cache: Arc<Cache>, rules: ReplyRules) -> Self {
        Self { engine, model, cache, rules, semantic: None }
    }

    /// Also answers questions in other words.
    #[must_use]
    pub fn with_semantic(self, semantic: Option<Arc<SemanticReplies>>) -> Self {
        Self { semantic, ..self }
    }

    /// The question of a request, if its answer may come from the cache.
    fn question(&self, request: &ChatRequest) -> Option<Question> {
        let reuse = request.reuse.as_ref().filter(|_| self.cache.is_on())?;
        let asked = request.messages.last().filter(|message| message.role == Role::User)?;
        if asked.content.len() > MAX_QUESTION {
            return None;
        }
        let (words, wording) = (normalise(&asked.content), Wording::of(&asked.content, asked.recognised));
        if words.is_empty() || wording.is_empty() || (!self.rules.time_dependent && is_time_dependent(&words))
        {
            return None;
        }
        let situation = Situation { request, reuse, model: &self.model };
        let alone = self.rules.standalone && stands_alone(&words);
        let all = |key: &dyn Fn(Before) -> Key| {
            let said = key(Before::Said);
            let nothing = alone.then(|| key(Before::Nothing)).filter(|nothing| *nothing != said);
            std::iter::once(said).chain(nothing).collect()
        };
        let is_prepared = asked.recognised && request.priority == Priority::Batch;
        let by_meaning = self.semantic.is_some() && reuse.other_words && reuse.person.is_none();
        Some(Question {
            tenant: (&request.requester.tenant).into(),
            keys: all(&|before| situation.key(&wording, before)),
            also: is_prepared.then(|| situation.key(&Wording::of(&asked.content, false), Before::Said)),
            scopes: if by_meaning { all(&|before| situation.scope(before)) } else { Vec::new() },
            asked: asked.content.clone(),
            label: request.requester.label(&asked.content),
            priority: request.priority,
        })
    }
}

/// A question that may have been answered before.
struct Question {
    tenant: Arc<str>,
    /// The keys under which the answer is looked up; it is kept under the first.
    keys: Vec<Key>,
    /// Another key under which it is kept: an answer that was prepared for those who ask it aloud is there for those who write it, too.
    also: Option<Key>,
    /// The scopes in which it may be found by its meaning, one for each of the keys; empty if it may not.
    scopes: Vec<Key>,
    asked: String,
    /// What people are shown of it.
    label: String,
    priority: Priority,
}

impl Question {
    /// The question as it is looked up by its meaning.
    fn sought(&self) -> Sought<'_> {
        let Self { tenant, scopes, asked, priority, .. } = self;
        Sought { tenant, scopes, question: asked, priority: *priority }
    }

    /// The answer kept under `key`, to be found by its meaning from now on; `None` if that is not allowed.
    fn answered(&self, key: &Key, trial: Option<(Trial, String)>) -> Option<Answered> {
        let scopes = self.keys.iter().zip(&self.scopes);
        let (_, scope) = scopes.into_iter().find(|(own, _)| *own == key)?;
        Some(Answered { scope: *scope, key: *key, question: self.asked.clone(), trial })
    }
}

/// Makes an answer that was found by its words also findable by its meaning, which after a restart it is not yet.
fn note(semantic: Option<&Arc<SemanticReplies>>, question: &Question, key: &Key) {
    if let Some(semantic) = semantic.filter(|semantic| !semantic.knows(key))
        && let Some(answered) = question.answered(key, None)
    {
        semantic.learn(answered);
    }
}

impl Llm for CachedLlm {
    fn card(&self) -> LlmCard<'_> {
        self.engine.card()
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let Some(question) = self.question(&request) else { return self.engine.chat(request) };
        // A warm-up or a prefetch counts neither a hit nor a miss.
        let is_prefetch = question.priority == Priority::Batch;
        let now = question.keys.iter().find_map(|key| {
            if is_prefetch {
                self.cache.peek_for_prefetch(&question.tenant, key)
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
            if !is_prefetch {
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
            let said = Some(PartialAnswer::default());
            let kept = KeptAnswer { answers, cache, question, rules, asked, said, semantic, trial };
            stream::unfold(kept, KeptAnswer::next).boxed()
        };
        stream::once(answer).flatten().boxed()
    }

    fn prepare(&self, request: &ChatRequest) {
        self.engine.prepare(request);
    }

    fn check_tools(&self, tools: &[Tool]) -> Result<()> {
        self.engine.check_tools(tools)
    }
}

/// The answer in an entry; `None` if its value is not text.
fn given(entry: &Entry, hit: CacheHit) -> Option<BoxStream<'static, Result<ChatDelta>>> {
    let text = std::str::from_utf8(&entry.value).ok()?.to_owned();
    let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
    Some(stream::iter([ChatDelta::FromCache(hit), ChatDelta::Text(text), done].map(Ok)).boxed())
}
