//! How replies begin: on request, or as a speculation in a pause.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::dialog::Input;
use antiphon_core::session::{ReplyInput, ReplyRequest};
use antiphon_core::{
    CallControl, ChatRequest, ConversationItem, ItemContent, ItemId, Priority, Result, Role, TurnId,
};
use futures_util::StreamExt;

use super::Session;
use crate::asking::Asking;
use crate::playback::Playback;
use crate::reply::{Reply, ReplyPart, ReplyTimes};
use crate::warm_up::greeting;

/// Most audio of a speculative reply, since it may be thrown away.
const SPECULATIVE_AUDIO: Duration = Duration::from_secs(2);

/// A reply that has been requested but not begun.
pub(super) struct PendingReply {
    turn: TurnId,
    /// The message of the person that it answers. Its words may not be known yet.
    answers: Option<ItemId>,
    /// Whether a client requested it. Then it begins whatever the person has said.
    asked: bool,
    prompt: Prompt,
    /// The action on the call that follows once the reply has been heard.
    then: Option<CallControl>,
}

/// What a reply is made from.
enum Prompt {
    /// The answer of the model to this request.
    Model(ReplyRequest),
    /// This text, without asking the model.
    Text(String),
}

impl PendingReply {
    pub(super) fn answering(turn: TurnId, answers: Option<ItemId>) -> Self {
        let prompt = Prompt::Model(ReplyRequest::default());
        Self { turn, answers, asked: false, prompt, then: None }
    }

    pub(super) fn asked(turn: TurnId, answers: Option<ItemId>, request: ReplyRequest) -> Self {
        Self { turn, answers, asked: true, prompt: Prompt::Model(request), then: None }
    }

    pub(super) fn saying(turn: TurnId, text: String) -> Self {
        Self { turn, answers: None, asked: false, prompt: Prompt::Text(text), then: None }
    }

    pub(super) fn then(self, control: CallControl) -> Self {
        Self { then: Some(control), ..self }
    }
}

/// A reply that is prepared in a pause, in case the turn is over.
pub(super) struct SpeculativeReply {
    /// The words of the person that it answers.
    text: String,
    reply: Option<Reply>,
    times: ReplyTimes,
    made: VecDeque<Result<ReplyPart>>,
    audio: Duration,
}

impl SpeculativeReply {
    pub(super) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReplyPart>>> {
        match &mut self.reply {
            Some(reply) if self.audio < SPECULATIVE_AUDIO => reply.poll_next_unpin(cx),
            _ => Poll::Pending,
        }
    }
}

impl Session {
    /// Says the greeting; without one the person speaks first.
    pub(super) fn greet(&mut self) {
        match greeting(&self.config).map(str::to_owned) {
            Some(greeting) => self.want(PendingReply::saying(TurnId::default(), greeting)),
            None => self.start_prefetch(),
        }
    }

    /// Requests a reply, which begins as soon as the floor is free.
    pub(super) fn want(&mut self, pending: PendingReply) {
        self.pending = Some(pending);
    }

    /// The request to the model for a reply.
    pub(super) fn chat_request(&self, request: &ReplyRequest) -> ChatRequest {
        let (asking, urgency) = (self.asking(), self.urgency());
        match &request.input {
            Some(input) => {
                let items = input.iter().filter_map(|input| match input {
                    ReplyInput::Item(item) => Some(item),
                    ReplyInput::Reference(id) => self.history.get(id),
                });
                asking.request(request, items, urgency)
            }
            None => asking.request(request, self.history.items(), urgency),
        }
    }

    /// How urgent it is what this call asks engines for. Where a client plays a recording faster than it is taken in, nobody waits in
    /// silence for the answer, and other callers do.
    pub(super) fn urgency(&self) -> Priority {
        if self.transport.is_ahead() { Priority::Interactive } else { Priority::LiveTurn }
    }

    /// How this call requests replies.
    pub(super) fn asking(&self) -> Asking<'_> {
        Asking {
            engines: &self.engines,
            agent: &self.agent,
            identity: &self.call.identity,
            config: &self.config,
            sources: &self.sources,
            lookup: &self.lookup,
            trace: Some(self.call.trace),
        }
    }

    /// The person's latest words.
    pub(super) fn last_said(&self) -> String {
        self.last_of(Role::User)
    }

    /// The latest message of the person or of the agent.
    pub(super) fn last_of(&self, role: Role) -> String {
        let is_theirs = |item: &&ConversationItem| matches!(&item.content, ItemContent::Message { role: r, .. } if *r == role);
        self.history.items().filter(is_theirs).last().map(ConversationItem::text).unwrap_or_default()
    }

    /// Begins a speculative reply to `text`, which is not yet part of the conversation.
    pub(super) fn speculate_reply(&mut self, text: String) {
        let is_there = self.speculative.as_ref().is_some_and(|p| p.text == text);
        if is_there || self.urgency() != Priority::LiveTurn {
            return;
        }
        let reply = self.asking().answer(&self.history, text.clone(), Priority::Speculation);
        let times = reply.times();
        self.speculative = Some(SpeculativeReply {
            text,
            reply: Some(reply),
            times,
            made: VecDeque::new(),
            audio: Duration::ZERO,
        });
    }

    /// A part of the speculative reply has come.
    pub(super) fn speculate_on(&mut self, part: Option<Result<ReplyPart>>) {
        let Some(speculative) = &mut self.speculative else { return };
        if let Some(reply) = &speculative.reply {
            speculative.times = reply.times();
        }
        match part {
            // A failed speculation does no harm yet: the reply is requested again when it is due.
            Some(Err(_)) => self.speculative = None,
            Some(Ok(part)) => {
                if let ReplyPart::Audio(chunk) = &part {
                    speculative.audio += chunk.duration();
                }
                speculative.made.push_back(Ok(part));
            }
            None => speculative.reply = None,
        }
    }

    /// Begins the pending reply once the words that it answers are known and the reply before it is over.
    pub(super) fn start_pending(&mut self) {
        self.give_up_late_words();
        let Some(pending) = &self.pending else { return };
        let waits = pending.answers.as_ref().is_some_and(|item| self.awaits_words(item));
        if waits || self.reply.is_some() {
            return;
        }
        let Some(mut pending) = self.pending.take() else { return };
        let unheard = pending.answers.as_ref().is_some_and(|item| self.is_unheard(item));
        if unheard && !pending.asked && !self.config.sayings.apology.is_empty() {
            // The person has spoken and waits for an answer, so the agent apologises instead of staying silent.
            pending = PendingReply::saying(pending.turn, self.config.sayings.apology.clone());
        }
        let words = pending
            .answers
            .as_ref()
            .map(|item| self.history.get(item).map(ConversationItem::text).unwrap_or_default());
        if !pending.asked && words.as_ref().is_some_and(|text| text.trim().is_empty()) {
            self.speculative = None;
            self.input(Input::ReplyFinished);
            return;
        }
        self.begin(pending, words.as_deref());
    }

    fn begin(&mut self, pending: PendingReply, words: Option<&str>) {
        let PendingReply { turn, prompt, then, .. } = pending;
        self.stop_prefetch();
        self.input(Input::ReplyRequested);
        self.playback = Playback::new(self.transport.output(), self.config.voice.frame);
        let speculative = self.speculative.take().filter(|p| Some(p.text.as_str()) == words);
        let generated = matches!(prompt, Prompt::Model(_));
        let mut active = match prompt {
            Prompt::Text(text) => {
                let reply = self.asking().say(&text, self.urgency());
                self.open_reply(turn, ReplyRequest::default(), Some(reply))
            }
            Prompt::Model(request) => {
                let adopted = speculative.filter(|_| request == ReplyRequest::default());
                if let Some(SpeculativeReply { mut reply, times, made, .. }) = adopted {
                    if let Some(reply) = &mut reply {
                        reply.adopt();
                    }
                    let mut active = self.open_reply(turn, request, reply);
                    (active.times, active.made) = (times, made);
                    active
                } else {
                    let chat = self.chat_request(&request);
                    let reply = self.asking().generate(self.last_said(), chat, &request);
                    self.open_reply(turn, request, Some(reply))
                }
            }
        };
        (active.generated, active.then) = (generated, then);
        self.reply = Some(active);
    }
}
