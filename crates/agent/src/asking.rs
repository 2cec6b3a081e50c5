//! Builds the requests for replies. Calls, prefetching and warming up all build them here, so that an answer made for
//! one of them is found in the cache by the others.

use std::sync::Arc;

use antiphon_core::session::{ReplyRequest, ReplyReuse, SessionConfig};
use antiphon_core::trace::TraceContext;
use antiphon_core::{ChatRequest, ConversationItem, Identity, ItemId, Part, Priority, Reuse, Role, Style};

use crate::history::History;
use crate::plan::Plan;
use crate::prompt;
use crate::reply::{Planning, Reply, Speaker};
use crate::turn_context::{Sources, TurnContext};
use crate::{Agent, Engines};

/// The engines and the agent for which a reply is requested.
pub(crate) struct Asking<'a> {
    pub(crate) engines: &'a Engines,
    pub(crate) agent: &'a Agent,
    pub(crate) identity: &'a Identity,
    pub(crate) config: &'a SessionConfig,
    pub(crate) sources: &'a Sources,
    pub(crate) lookup: &'a Arc<Plan<TurnContext>>,
    pub(crate) trace: Option<TraceContext>,
}

impl Asking<'_> {
    /// The request to the model for a reply to `items`.
    pub(crate) fn request<'i>(
        &self,
        asked: &ReplyRequest,
        items: impl Iterator<Item = &'i ConversationItem>,
        priority: Priority,
    ) -> ChatRequest {
        let requester = self.identity.requester();
        let mut request = prompt::chat_request(requester, self.config, asked, items);
        (request.priority, request.trace) = (priority, self.trace);
        let ours = self.agent.tools_beside(&request.tools, asked);
        request.tools.extend(ours);
        request
    }

    /// Requests a reply to `said`, the person's latest words. If the client gives its own input instead of the
    /// conversation, nothing is looked up for it, because the client is responsible for it.
    pub(crate) fn generate(&self, said: String, mut request: ChatRequest, asked: &ReplyRequest) -> Reply {
        let priority = request.priority;
        request.reuse = self.reuse(asked);
        let said = if asked.input.is_some() { String::new() } else { said };
        let planning = Planning {
            planned: self.lookup.clone().start(TurnContext::new(said, priority)),
            llm: self.engines.llm.clone(),
            request,
            confidence: self.sources.confidence(),
        };
        Reply::generate(planning, self.speaker(asked, priority))
    }

    /// Requests a reply to `question`, which is not yet part of the conversation.
    pub(crate) fn answer(&self, history: &History, question: String, priority: Priority) -> Reply {
        let asked = ReplyRequest::default();
        let part = Part::Audio { transcript: Some(question.clone()) };
        let user = ConversationItem::message(ItemId::new(""), Role::User, part);
        let request = self.request(&asked, history.items().chain(std::iter::once(&user)), priority);
        self.generate(question, request, &asked)
    }

    /// Speaks a fixed text.
    pub(crate) fn say(&self, text: &str, priority: Priority) -> Reply {
        Reply::say(text, self.speaker(&ReplyRequest::default(), priority))
    }

    /// Whether the answer may be used again, and by whom.
    fn reuse(&self, asked: &ReplyRequest) -> Option<Reuse> {
        let reuse = self.agent.reuse;
        let allowed = asked.reuse.unwrap_or(reuse != ReplyReuse::Never) && asked.input.is_none();
        allowed.then(|| Reuse {
            person: self.identity.person.clone(),
            looked_up: None,
            knowledge: self.sources.knowledge.as_ref().map_or(0, |knowledge| knowledge.version().changes),
            other_words: reuse == ReplyReuse::OtherWords,
        })
    }

    fn speaker(&self, asked: &ReplyRequest, priority: Priority) -> Option<Speaker> {
        asked.spoken.unwrap_or(self.config.voice.spoken).then(|| Speaker {
            tts: self.engines.tts.clone(),
            requester: self.identity.requester(),
            voice: asked.voice.clone().or_else(|| self.config.voice.name.clone()),
            speed: self.config.voice.speed,
            style: Style::Plain,
            priority,
        })
    }
}
