//! The agent's side of the session: plays replies, reports them, and cuts them off.

mod latency;
mod out_of_band;

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::call::Outbound;
use antiphon_core::dialog::Input;
use antiphon_core::session::ReplyRequest;
use antiphon_core::{
    CallControl, ConversationItem, Error, ErrorKind, Event, FinishReason, ItemContent, ItemId, ReplyId,
    ReplyStatus, Result, Role, TurnId, Usage,
};
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::begin::PendingReply;
use super::refusal::{Refusal, no_item, refuse};
use super::tools::ServerCalls;
use super::{HANGUP_AFTER, Session};
use crate::ids;
use crate::output::ReplyOutput;
use crate::playback::{Heard, Playback};
use crate::reply::{Reply, ReplyPart, ReplyTimes, STALLED, stalled};
pub(super) use out_of_band::OutOfBandReply;

/// How far a reply got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of it has been sent.
    Waiting,
    /// Some of it has been sent.
    Begun,
    /// All of it has been sent, and `ReplyDone` was reported.
    Told,
}

/// A reply that is being made or played.
pub(super) struct ActiveReply {
    pub(super) id: ReplyId,
    turn: TurnId,
    /// `None` when all of it has been made, or while a tool has to answer first.
    pub(super) reply: Option<Reply>,
    pub(super) times: ReplyTimes,
    /// The parts that were made while the reply was still speculative.
    pub(super) made: VecDeque<Result<ReplyPart>>,
    output: ReplyOutput,
    spoken: bool,
    status: ReplyStatus,
    usage: Usage,
    /// The calls that it makes of the server's tools.
    pub(super) calls: ServerCalls,
    /// The request for it, which is needed again when it continues after a tool has answered.
    pub(super) request: ReplyRequest,
    stage: Stage,
    pub(super) latest: Instant,
    /// Since when the person has waited in silence for it, unless some of it was heard.
    pub(super) waited_since: Instant,
    /// What is said meanwhile, while it is being made.
    pub(super) filler: Option<Reply>,
    /// How many silences were bridged.
    pub(super) bridged: usize,
    /// What was wrong with it, for the log.
    trouble: Option<String>,
    /// Whether the model made it. Only then is its failure followed by an apology.
    pub(super) generated: bool,
    /// The action on the call that follows once the reply has been heard.
    pub(super) then: Option<CallControl>,
}

impl ActiveReply {
    pub(super) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReplyPart>>> {
        if let Some(part) = self.made.pop_front() {
            return Poll::Ready(Some(part));
        }
        match &mut self.reply {
            Some(reply) => reply.poll_next_unpin(cx),
            None => Poll::Pending,
        }
    }

    /// Takes in a part. Returns the events to report, and the audio or clause to play.
    fn take(&mut self, part: Option<Result<ReplyPart>>) -> (Vec<Event>, Option<ReplyPart>) {
        self.latest = Instant::now();
        if let Some(reply) = &self.reply {
            self.times = reply.times();
        }
        match part {
            Some(Ok(ReplyPart::Text(text))) => (self.output.text(&text), None),
            Some(Ok(ReplyPart::ToolCall { index, id, name, arguments })) => {
                if self.calls.take(index, id.as_deref(), name.as_deref(), &arguments) {
                    return (Vec::new(), None);
                }
                (self.output.tool_call(index, id, name, &arguments), None)
            }
            Some(Ok(ReplyPart::Written)) => (self.output.written(), None),
            Some(Ok(ReplyPart::Done { finish, usage })) => {
                self.usage += usage;
                if self.reply.as_ref().is_some_and(Reply::is_endless) {
                    self.note("the language model did not come to an end, and was stopped");
                }
                if finish != FinishReason::ContentFilter && self.says_nothing() {
                    let message = "the language model answered nothing";
                    return self.fail(Error::new(ErrorKind::Protocol, message));
                }
                self.status = match finish {
                    FinishReason::Stop | FinishReason::ToolCalls => ReplyStatus::Completed,
                    FinishReason::Length => ReplyStatus::TooLong,
                    FinishReason::ContentFilter => ReplyStatus::Filtered,
                };
                self.reply = None;
                (Vec::new(), None)
            }
            Some(Ok(play)) => (Vec::new(), Some(play)),
            Some(Err(error)) => self.fail(error),
            None => {
                self.reply = None;
                (Vec::new(), None)
            }
        }
    }

    fn fail(&mut self, error: Error) -> (Vec<Event>, Option<ReplyPart>) {
        self.reply = None;
        self.made.clear();
        self.calls.forget();
        self.trouble = Some(error.to_string());
        self.status = ReplyStatus::Failed(error.clone());
        (vec![Event::Failed(error)], None)
    }

    /// Notes what is wrong with the reply, unless something else was before.
    pub(super) fn note(&mut self, trouble: &str) {
        self.trouble.get_or_insert_with(|| trouble.to_owned());
    }

    /// Logs what was wrong with the reply, in one line.
    fn log_trouble(&self, model: &str) {
        if let Some(trouble) = &self.trouble {
            tracing::warn!(reply = %self.id, model, trouble, "a reply did not come as it should");
        }
    }

    pub(super) fn is_spoken(&self) -> bool {
        self.spoken
    }

    /// Whether all of it came to nothing: no word, no call, and nothing that follows it.
    fn says_nothing(&self) -> bool {
        let says = |item: &ConversationItem| match &item.content {
            ItemContent::Message { .. } => !item.text().trim().is_empty(),
            ItemContent::ToolCall(_) | ItemContent::ToolOutput { .. } => true,
        };
        self.generated
            && self.calls.are_done()
            && self.then.is_none()
            && !self.output.items().iter().any(says)
    }

    /// The message that is still growing, with the text that the model has written so far.
    pub(super) fn said(&self) -> Option<&ConversationItem> {
        self.output.growing_message()
    }

    /// Whether it calls a tool that the client has to run.
    pub(super) fn calls_client(&self) -> bool {
        self.output.items().iter().any(|item| matches!(item.content, ItemContent::ToolCall(_)))
    }

    fn is_told(&self) -> bool {
        self.stage == Stage::Told
    }

    /// Whether the model has finished writing and has called tools that do not run yet.
    fn calls_tools(&self) -> bool {
        self.reply.is_none() && self.made.is_empty() && self.calls.are_due()
    }

    pub(super) fn is_made(&self) -> bool {
        self.reply.is_none() && self.made.is_empty() && self.calls.are_done()
    }
}

impl Session {
    /// Begins to make a reply from `reply` and reports it.
    pub(super) fn open_reply(
        &mut self,
        turn: TurnId,
        request: ReplyRequest,
        reply: Option<Reply>,
    ) -> ActiveReply {
        let id = ReplyId::new(ids::unique("resp_"));
        let ReplyRequest { out_of_band, spoken, ref metadata, .. } = request;
        let (spoken, metadata) = (spoken.unwrap_or(self.config.voice.spoken), metadata.clone());
        self.emit(Event::ReplyStarted { reply: id.clone(), turn, spoken, out_of_band, metadata });
        let names = self.server_tools(&request);
        ActiveReply {
            output: ReplyOutput::new(id.clone(), spoken),
            id,
            turn,
            reply,
            times: ReplyTimes::default(),
            made: VecDeque::new(),
            spoken,
            status: ReplyStatus::Completed,
            usage: Usage::default(),
            calls: ServerCalls::new(names),
            request,
            stage: Stage::Waiting,
            latest: Instant::now(),
            waited_since: Instant::now(),
            filler: None,
            bridged: 0,
            trouble: None,
            generated: true,
            then: None,
        }
    }

    /// A part of the conversation's reply has come.
    pub(super) fn reply_on(&mut self, part: Option<Result<ReplyPart>>) {
        let Some(active) = &mut self.reply else { return };
        let (events, play) = active.take(part);
        let written = !active.spoken && active.stage == Stage::Waiting && !events.is_empty();
        match play {
            Some(ReplyPart::Clause(text)) => {
                active.filler = None;
                self.playback.clause(text);
            }
            Some(ReplyPart::Audio(chunk)) => self.playback.push(&chunk),
            _ => {}
        }
        for event in events {
            self.tell_output(event);
        }
        if written {
            self.reply_begins();
        }
        if self.reply.as_ref().is_some_and(ActiveReply::calls_tools) {
            self.run_tools();
        } else if self.reply.as_ref().is_some_and(ActiveReply::is_made) {
            self.reply_is_made();
        }
    }

    /// All of the reply has been made.
    pub(super) fn reply_is_made(&mut self) {
        if let Some(active) = &mut self.reply {
            active.filler = None;
        }
        self.playback.finish();
        self.apologise();
    }

    /// Lets an apology follow a reply that failed, so that the call does not go silent.
    fn apologise(&mut self) {
        let Some(active) = &self.reply else { return };
        let failed = matches!(active.status, ReplyStatus::Failed(_)) && active.generated;
        if failed && self.pending.is_none() && !self.config.sayings.apology.is_empty() {
            let (turn, text) = (active.turn, self.config.sayings.apology.clone());
            self.pending = Some(PendingReply::saying(turn, text));
        }
    }

    /// Reports an event about the reply's items, and stores those of the conversation.
    fn tell_output(&mut self, event: Event) {
        match &event {
            Event::OutputStarted { item, .. } => {
                let item = item.clone();
                let previous = self.history.push(item.clone());
                self.emit(event);
                self.emit(Event::ItemAdded { item, previous });
            }
            Event::OutputDone { item, .. } => {
                let item = item.clone();
                self.history.update(item.clone());
                let previous = self.history.previous(&item.id);
                self.emit(Event::ItemDone { item, previous });
                self.emit(event);
            }
            _ => self.emit(event),
        }
    }

    /// Sends the audio that is due. Ends the reply in two steps: when all has been sent, and when all has been heard.
    pub(super) fn play(&mut self) {
        let now = Instant::now();
        loop {
            let is_filler = self.playback.is_filler();
            let Some(samples) = self.playback.pop(now) else { break };
            if !self.send_audio(samples, is_filler) {
                return;
            }
        }
        self.check_stalled(now);
        self.end_silence(now);
        if self.reply.as_ref().is_some_and(|r| r.is_made() && !r.is_told()) && self.playback.is_drained() {
            let status = self.reply.as_ref().map_or(ReplyStatus::Completed, |r| r.status.clone());
            self.tell_done(status);
        }
        if self.reply_ends_at().is_some_and(|at| now >= at) {
            self.end_reply();
        }
    }

    /// Sends a piece of the reply's audio, or of what bridges a silence in it. Returns whether there is a reply.
    fn send_audio(&mut self, samples: Vec<i16>, is_filler: bool) -> bool {
        let Some(active) = &self.reply else { return false };
        let (turn, reply, begins) = (active.turn, active.id.clone(), active.stage == Stage::Waiting);
        let item = active.output.message().cloned();
        // What bridges a silence belongs to no item.
        let Some(item) = item.or_else(|| is_filler.then(|| ItemId::new(""))) else { return false };
        if !is_filler {
            self.history.extend_audio(&item, self.playback.rate().duration_of(samples.len()));
        }
        if self.config.listening.cancel_echo {
            let plays_at = self.ear.received() + self.playback.plays_in(samples.len(), Instant::now());
            self.echo.sent(&samples, self.playback.rate(), plays_at);
        }
        self.transport.send(Outbound::Audio { turn, reply, item, samples });
        match (begins, is_filler) {
            (true, false) => self.reply_begins(),
            (true, true) => self.input(Input::ReplyStarted),
            (false, _) => {}
        }
        true
    }

    /// The client reports that all of the reply was heard.
    pub(super) fn played(&mut self, reply: &ReplyId) {
        if self.reply.as_ref().is_some_and(|active| active.is_told() && active.id == *reply) {
            self.end_reply();
        }
    }

    /// Carries out the action that was to follow a reply, which the caller has now heard.
    fn carry_out_control(&mut self, control: CallControl) {
        match control {
            CallControl::HangUp(reason) => self.hang_up = Some((Instant::now(), reason)),
            other => self.transport.send(Outbound::Control(other)),
        }
    }

    fn end_reply(&mut self) {
        if let Some(control) = self.reply.take().and_then(|active| active.then) {
            self.carry_out_control(control);
        }
        self.input(Input::ReplyFinished);
    }

    /// The first of the reply is being sent.
    fn reply_begins(&mut self) {
        let Some(active) = &mut self.reply else { return };
        active.stage = Stage::Begun;
        let (turn, times) = (active.turn, active.times.clone());
        if let Some(CallControl::HangUp(reason)) = active.then {
            self.hang_up = Some((Instant::now() + HANGUP_AFTER, reason));
        }
        self.input(Input::ReplyStarted);
        self.tell_latency(turn, &times);
    }

    /// When the last of the reply has been heard.
    pub(super) fn reply_ends_at(&self) -> Option<Instant> {
        let active = self.reply.as_ref().filter(|active| active.is_told())?;
        Some(self.playback.ends_at().unwrap_or(active.latest))
    }

    /// When to check whether the reply or the words of a turn are overdue.
    pub(super) fn watchdog(&self) -> Option<Instant> {
        let waits = self.reply.as_ref().filter(|r| !r.is_made() && self.makes_audio());
        let reply = waits.map(|r| r.latest + STALLED);
        let patience = self.patience_aside();
        let other = self.out_of_band.iter().map(|other| other.active.latest + patience).min();
        [reply, other, self.words_due(), self.silence_due()].into_iter().flatten().min()
    }

    fn check_stalled(&mut self, now: Instant) {
        let room = self.makes_audio();
        if self.reply.as_ref().is_some_and(|r| !r.is_made() && room && now >= r.latest + STALLED) {
            self.reply_on(Some(Err(stalled())));
        }
        let patience = self.patience_aside();
        while let Some(at) = self.out_of_band.iter().position(|other| now >= other.active.latest + patience) {
            self.out_of_band_on(at, Some(Err(stalled())));
        }
    }

    /// Ends the reply's last item and then the reply.
    fn tell_done(&mut self, status: ReplyStatus) {
        let Some(active) = &mut self.reply else { return };
        let begun = std::mem::replace(&mut active.stage, Stage::Told) == Stage::Begun;
        active.log_trouble(self.engines.llm.card().model);
        let done = active.output.close(status.item_status());
        let (reply, turn, usage, from_cache) =
            (active.id.clone(), active.turn, active.usage, active.times.cache_hit());
        for event in done {
            self.tell_output(event);
        }
        let output = self.reply.as_ref().map(|r| r.output.items().to_vec()).unwrap_or_default();
        self.remember(&output);
        self.answered(&status, begun);
        self.emit(Event::ReplyDone { reply, turn, status, usage, output, from_cache });
    }

    /// Stores what the person said in the memory, once the reply to it is done.
    fn remember(&mut self, output: &[ConversationItem]) {
        let Some(memory) =
            self.sources.memory.as_ref().filter(|_| self.reply.as_ref().is_some_and(|r| r.generated))
        else {
            return;
        };
        let said = self.last_said();
        if said.trim().is_empty() {
            return;
        }
        let answered = output.iter().map(ConversationItem::text).collect::<Vec<_>>().join(" ");
        let remembering = memory.remember(said, answered);
        let work = async move {
            if let Err(error) = remembering.await {
                tracing::warn!(%error, "the memory of this turn could not be stored");
            }
        };
        self.background_work.push("remembering", work.boxed());
    }

    /// Cuts the reply off. The history keeps only what was heard.
    pub(super) fn stop_reply(&mut self, status: ReplyStatus) {
        self.speculative = None;
        self.pending = None;
        let Some(active) = &self.reply else { return };
        let heard = self.playback.heard(Instant::now());
        let (reply, spoken, told) = (active.id.clone(), active.spoken, active.is_told());
        let message = active.output.message().cloned();
        self.transport.send(Outbound::Clear);
        if !told {
            self.tell_done(status);
        }
        if let Some(item) = message.filter(|_| spoken) {
            let Heard { audio, text } = heard;
            self.history.truncate(&item, text.clone());
            let latency = self.times.stopped_after.take();
            self.emit(Event::Interrupted { reply, item, heard: audio, text, latency });
        }
        self.reply = None;
        // A person who speaks over the goodbye wants to go on, so the call is not ended.
        self.hang_up = None;
    }

    /// The client reports that it played the audio of `item` up to `audio_end`, so the rest of its words was
    /// not heard.
    pub(super) fn truncate(&mut self, item: ItemId, audio_end: Duration) -> Result<(), Refusal> {
        /// Tolerance for `audio_end`, because clients measure what they play with clocks of their own.
        const SLACK: Duration = Duration::from_secs(1);
        let Some(kept) = self.history.get(&item) else { return no_item(&item) };
        if !matches!(kept.content, ItemContent::Message { role: Role::Assistant, .. }) {
            let message = format!("'{item}' is not a spoken message of the assistant");
            return refuse("item_not_truncatable", message);
        }
        let text = kept.text();
        let length = self.history.audio(&item).unwrap_or_default();
        if audio_end > length + SLACK {
            let ms = audio_end.as_millis();
            let message = format!("audio_end_ms {ms} lies after the end of the audio of '{item}'");
            return refuse("audio_end_after_item", message);
        }
        // Only for the latest reply is it known when each word is heard. An older one is cut in proportion to
        // its audio.
        let heard = self.playback.heard_until(audio_end);
        let heard = if text.starts_with(heard.trim_end()) && !heard.is_empty() {
            heard
        } else {
            Playback::share(&text, audio_end.as_secs_f64() / length.as_secs_f64().max(0.001)).to_owned()
        };
        self.history.truncate(&item, heard);
        self.emit(Event::ItemTruncated { item, audio_end });
        Ok(())
    }

    /// The conversation's reply, while it is being made.
    pub(super) fn active_reply(&self) -> Option<&ReplyId> {
        self.reply.as_ref().filter(|active| !active.is_told()).map(|active| &active.id)
    }

    /// A reply of which all was sent counts as heard, so that another may begin.
    pub(super) fn end_playing(&mut self) {
        if self.reply.take_if(|active| active.is_told()).is_some() {
            self.input(Input::ReplyFinished);
        }
    }
}
