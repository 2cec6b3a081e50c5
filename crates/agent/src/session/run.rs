//! The agent's side of the session: replies prepared, begun, played, cut off.

mod side;

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_core::call::{Outbound, ReplyInput, ReplyRequest};
use antiphon_core::dialog::{EndOfTurn, Input};
use antiphon_core::{
    ChatRequest, Error, ErrorKind, Event, FinishReason, Item, ItemContent, ItemId, Priority, ReplyId,
    ReplyStatus, Result, Role, Step, Style, Transport, TurnId, TurnLatency, Usage,
};
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::{HANGUP_AFTER, Session};
use crate::ids;
use crate::lookup::Lookup;
use crate::output::Output;
use crate::playback::{Heard, Playback};
use crate::prompt;
use crate::reply::{Planning, Reply, ReplyPart, ReplyTimes, Speaker};
pub(super) use side::Side;

/// A reply of which nothing new came for this long has failed.
const STALLED: Duration = Duration::from_secs(20);
/// A prepared reply makes no more audio than this: it may be thrown away.
const PREPARED_AUDIO: Duration = Duration::from_secs(2);

/// A reply that is wanted but not begun.
pub(super) struct Wanted {
    turn: TurnId,
    /// The person's message it answers, whose words may still be missing.
    answers: Option<ItemId>,
    /// A client asked for it: it comes whatever the person said.
    asked: bool,
    prompt: Prompt,
    hang_up: bool,
}

/// What a reply is made from.
enum Prompt {
    /// The model.
    Model(ReplyRequest),
    /// A fixed text.
    Text(String),
}

impl Wanted {
    pub(super) fn answering(turn: TurnId, answers: Option<ItemId>) -> Self {
        let prompt = Prompt::Model(ReplyRequest::default());
        Self { turn, answers, asked: false, prompt, hang_up: false }
    }

    pub(super) fn asked(turn: TurnId, answers: Option<ItemId>, request: ReplyRequest) -> Self {
        Self { turn, answers, asked: true, prompt: Prompt::Model(request), hang_up: false }
    }

    pub(super) fn saying(turn: TurnId, text: String) -> Self {
        Self { turn, answers: None, asked: false, prompt: Prompt::Text(text), hang_up: false }
    }

    pub(super) fn then_hang_up(self) -> Self {
        Self { hang_up: true, ..self }
    }
}

/// A reply prepared in a pause.
pub(super) struct Prepared {
    /// What it answers.
    text: String,
    reply: Option<Reply>,
    times: ReplyTimes,
    made: VecDeque<Result<ReplyPart>>,
    audio: Duration,
}

impl Prepared {
    pub(super) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReplyPart>>> {
        match &mut self.reply {
            Some(reply) if self.audio < PREPARED_AUDIO => reply.poll_next_unpin(cx),
            _ => Poll::Pending,
        }
    }
}

/// How far a reply got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of it went out.
    Waiting,
    /// Something of it went out.
    Begun,
    /// All of it went out, and `ReplyDone` was told.
    Told,
}

/// A reply under way.
pub(super) struct Run {
    id: ReplyId,
    turn: TurnId,
    /// `None` when all of it was made.
    reply: Option<Reply>,
    times: ReplyTimes,
    /// Made while it was only prepared.
    made: VecDeque<Result<ReplyPart>>,
    output: Output,
    spoken: bool,
    status: ReplyStatus,
    usage: Usage,
    stage: Stage,
    latest: Instant,
    /// Made by the model: its failure is worth an apology.
    generated: bool,
    hang_up: bool,
}

impl Run {
    pub(super) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReplyPart>>> {
        if let Some(part) = self.made.pop_front() {
            return Poll::Ready(Some(part));
        }
        match &mut self.reply {
            Some(reply) => reply.poll_next_unpin(cx),
            None => Poll::Pending,
        }
    }

    /// Takes account of a part; gives what is to be told, and audio or a clause to play.
    fn take(&mut self, part: Option<Result<ReplyPart>>) -> (Vec<Event>, Option<ReplyPart>) {
        self.latest = Instant::now();
        if let Some(reply) = &self.reply {
            self.times = reply.times();
        }
        match part {
            Some(Ok(ReplyPart::Text(text))) => (self.output.text(&text), None),
            Some(Ok(ReplyPart::ToolCall { index, id, name, arguments })) => {
                (self.output.tool_call(index, id, name, &arguments), None)
            }
            Some(Ok(ReplyPart::Written)) => (self.output.written(), None),
            Some(Ok(ReplyPart::Done { finish, usage })) => {
                self.usage = usage;
                self.status = match finish {
                    FinishReason::Stop | FinishReason::ToolCalls => ReplyStatus::Completed,
                    FinishReason::Length => ReplyStatus::TooLong,
                    FinishReason::ContentFilter => ReplyStatus::Filtered,
                };
                self.reply = None;
                (Vec::new(), None)
            }
            Some(Ok(play)) => (Vec::new(), Some(play)),
            Some(Err(error)) => {
                self.reply = None;
                self.made.clear();
                self.status = ReplyStatus::Failed(error.clone());
                (vec![Event::Failed(error)], None)
            }
            None => {
                self.reply = None;
                (Vec::new(), None)
            }
        }
    }

    fn is_told(&self) -> bool {
        self.stage == Stage::Told
    }

    fn is_made(&self) -> bool {
        self.reply.is_none() && self.made.is_empty()
    }
}

impl<T: Transport> Session<T> {
    /// Says the greeting, if there is one.
    pub(super) fn greet(&mut self) {
        if !self.config.greeting.trim().is_empty() && !self.config.transcribe_only {
            self.want(Wanted::saying(TurnId::default(), self.config.greeting.clone()));
        }
    }

    /// Asks for a reply as soon as the floor is free.
    pub(super) fn want(&mut self, wanted: Wanted) {
        self.wanted = Some(wanted);
    }

    /// The request to the model.
    pub(super) fn chat_request(&self, request: &ReplyRequest) -> ChatRequest {
        let chat = match &request.input {
            Some(input) => {
                let items = input.iter().filter_map(|input| match input {
                    ReplyInput::Item(item) => Some(item),
                    ReplyInput::Reference(id) => self.history.get(id),
                });
                prompt::chat_request(&self.config, request, items, Priority::LiveTurn)
            }
            None => prompt::chat_request(&self.config, request, self.history.items(), Priority::LiveTurn),
        };
        ChatRequest { trace: Some(self.call.trace), ..chat }
    }

    /// Asks for a reply to `said`, the person's latest words. What a client gives to be answered instead of the
    /// conversation is its own affair: nothing is looked up for it.
    fn generate(&self, said: String, request: ChatRequest, asked: &ReplyRequest) -> Reply {
        let priority = request.priority;
        let said = if asked.input.is_some() { String::new() } else { said };
        let planning = Planning {
            planned: self.lookup.clone().start(Lookup::new(said, priority)),
            llm: self.engines.llm.clone(),
            request,
            confidence: self.sources.confidence(),
        };
        Reply::generate(planning, self.speaker(asked, priority))
    }

    /// What the person said last.
    fn last_said(&self) -> String {
        let of_person = |item: &&Item| matches!(item.content, ItemContent::Message { role: Role::User, .. });
        self.history.items().filter(of_person).last().map(Item::text).unwrap_or_default()
    }

    fn speaker(&self, request: &ReplyRequest, priority: Priority) -> Option<Speaker> {
        request.spoken.unwrap_or(self.config.spoken).then(|| Speaker {
            tts: self.engines.tts.clone(),
            voice: request.voice.clone().or_else(|| self.config.voice.clone()),
            speed: self.config.speed,
            style: Style::Plain,
            priority,
        })
    }

    /// Prepares a reply to `text`, which is not yet part of the conversation.
    pub(super) fn prepare(&mut self, text: String) {
        if self.prepared.as_ref().is_some_and(|p| p.text == text) {
            return;
        }
        let asked = ReplyRequest::default();
        let user = Item::message(
            ItemId::new(""),
            Role::User,
            antiphon_core::Part::Audio { transcript: Some(text.clone()) },
        );
        let items = self.history.items().chain(std::iter::once(&user));
        let request = ChatRequest {
            trace: Some(self.call.trace),
            ..prompt::chat_request(&self.config, &asked, items, Priority::Speculation)
        };
        let reply = self.generate(text.clone(), request, &asked);
        let times = reply.times();
        self.prepared =
            Some(Prepared { text, reply: Some(reply), times, made: VecDeque::new(), audio: Duration::ZERO });
    }

    /// A part of the prepared reply came.
    pub(super) fn prepare_on(&mut self, part: Option<Result<ReplyPart>>) {
        let Some(prepared) = &mut self.prepared else { return };
        if let Some(reply) = &prepared.reply {
            prepared.times = reply.times();
        }
        match part {
            // A failed preparation is no failure yet: the reply is tried again when it is due.
            Some(Err(_)) => self.prepared = None,
            Some(Ok(part)) => {
                if let ReplyPart::Audio(chunk) = &part {
                    prepared.audio += chunk.duration();
                }
                prepared.made.push_back(Ok(part));
            }
            None => prepared.reply = None,
        }
    }

    /// Begins the wanted reply once its words are known and the one before is over.
    pub(super) fn start_wanted(&mut self) {
        self.give_up_late_words();
        let Some(wanted) = &self.wanted else { return };
        let waits = wanted.answers.as_ref().is_some_and(|item| self.awaits_words(item));
        if waits || self.reply.is_some() {
            return;
        }
        let Some(wanted) = self.wanted.take() else { return };
        let words =
            wanted.answers.as_ref().map(|item| self.history.get(item).map(Item::text).unwrap_or_default());
        if !wanted.asked && words.as_ref().is_some_and(|text| text.trim().is_empty()) {
            self.prepared = None;
            self.input(Input::ReplyFinished);
            return;
        }
        self.begin(wanted, words.as_deref());
    }

    fn begin(&mut self, wanted: Wanted, words: Option<&str>) {
        let Wanted { turn, prompt, hang_up, .. } = wanted;
        self.input(Input::ReplyRequested);
        self.playback = Playback::new(self.transport.output(), self.config.audio_frame);
        let prepared = self.prepared.take().filter(|p| Some(p.text.as_str()) == words);
        let generated = matches!(prompt, Prompt::Model(_));
        let run = match prompt {
            Prompt::Text(text) => {
                let request = ReplyRequest::default();
                let reply = Reply::say(&text, self.speaker(&request, Priority::LiveTurn));
                self.open_run(turn, request, Some(reply))
            }
            Prompt::Model(request) => {
                let adopted = prepared.filter(|_| request == ReplyRequest::default());
                if let Some(Prepared { mut reply, times, made, .. }) = adopted {
                    if let Some(reply) = &mut reply {
                        reply.adopt();
                    }
                    Run { times, made, ..self.open_run(turn, request, reply) }
                } else {
                    let reply = self.generate(self.last_said(), self.chat_request(&request), &request);
                    self.open_run(turn, request, Some(reply))
                }
            }
        };
        self.reply = Some(Run { generated, hang_up, ..run });
    }

    fn open_run(&mut self, turn: TurnId, request: ReplyRequest, reply: Option<Reply>) -> Run {
        let id = ReplyId::new(ids::unique("resp_"));
        let ReplyRequest { out_of_band, spoken, metadata, .. } = request;
        let spoken = spoken.unwrap_or(self.config.spoken);
        self.emit(Event::ReplyStarted { reply: id.clone(), turn, spoken, out_of_band, metadata });
        Run {
            output: Output::new(id.clone(), spoken),
            id,
            turn,
            reply,
            times: ReplyTimes::default(),
            made: VecDeque::new(),
            spoken,
            status: ReplyStatus::Completed,
            usage: Usage::default(),
            stage: Stage::Waiting,
            latest: Instant::now(),
            generated: true,
            hang_up: false,
        }
    }

    /// A part of the conversation's reply came.
    pub(super) fn reply_on(&mut self, part: Option<Result<ReplyPart>>) {
        let Some(run) = &mut self.reply else { return };
        let (events, play) = run.take(part);
        let made = run.is_made();
        let written = !run.spoken && run.stage == Stage::Waiting && !events.is_empty();
        match play {
            Some(ReplyPart::Clause(text)) => self.playback.clause(text),
            Some(ReplyPart::Audio(chunk)) => self.playback.push(&chunk),
            _ => {}
        }
        for event in events {
            self.tell_output(event);
        }
        if written {
            self.reply_begins();
        }
        if made {
            self.playback.finish();
            self.apologise();
        }
    }

    /// A reply that failed before anything was heard is replaced by words, so that the call does not go silent.
    fn apologise(&mut self) {
        let Some(run) = &self.reply else { return };
        let failed = matches!(run.status, ReplyStatus::Failed(_)) && run.generated;
        if failed && run.output.items().is_empty() && !self.config.apology.is_empty() {
            let (turn, text) = (run.turn, self.config.apology.clone());
            self.wanted = Some(Wanted::saying(turn, text));
        }
    }

    /// Tells of the reply's items, and keeps those of the conversation.
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
                if let Some(kept) = self.history.get_mut(&item.id) {
                    *kept = item.clone();
                }
                let previous = self.history.previous(&item.id);
                self.emit(Event::ItemDone { item, previous });
                self.emit(event);
            }
            _ => self.emit(event),
        }
    }

    /// Sends the audio that is due; ends the reply when all was sent, and again when all was heard.
    pub(super) fn play(&mut self) {
        let now = Instant::now();
        while let Some(samples) = self.playback.pop(now) {
            let Some(run) = &self.reply else { return };
            let Some(item) = run.output.message().cloned() else { return };
            let (turn, reply) = (run.turn, run.id.clone());
            let first = run.stage == Stage::Waiting;
            self.history.extend_audio(&item, self.playback.rate().duration_of(samples.len()));
            self.transport.send(Outbound::Audio { turn, reply, item, samples });
            if first {
                self.reply_begins();
            }
        }
        self.check_stalled(now);
        if self.reply.as_ref().is_some_and(|r| r.is_made() && !r.is_told()) && self.playback.is_drained() {
            let status = self.reply.as_ref().map_or(ReplyStatus::Completed, |r| r.status.clone());
            self.tell_done(status);
        }
        if self.reply_ends_at().is_some_and(|at| now >= at) {
            self.end_reply();
        }
    }

    /// The client says that all of the reply was heard.
    pub(super) fn played(&mut self, reply: &ReplyId) {
        if self.reply.as_ref().is_some_and(|run| run.is_told() && run.id == *reply) {
            self.end_reply();
        }
    }

    fn end_reply(&mut self) {
        if self.reply.take().is_some_and(|run| run.hang_up) {
            self.hangup_at = Some(Instant::now());
        }
        self.input(Input::ReplyFinished);
    }

    /// The first of the reply goes out.
    fn reply_begins(&mut self) {
        let Some(run) = &mut self.reply else { return };
        run.stage = Stage::Begun;
        let (turn, times, hang_up) = (run.turn, run.times.clone(), run.hang_up);
        if hang_up {
            self.hangup_at = Some(Instant::now() + HANGUP_AFTER);
        }
        self.input(Input::ReplyStarted);
        // Taken, so that one turn is measured once: by its first reply.
        if let (Some(speech_end), Some(turn_end)) = (self.times.speech_end.take(), self.times.turn_end.take())
        {
            let (stt, total) = (self.times.stt(), speech_end.elapsed());
            let end_of_turn = turn_end.saturating_duration_since(speech_end);
            let latency = TurnLatency {
                end_of_turn,
                stt,
                llm_ttft: times.llm_ttft(),
                tts_ttfb: times.tts_ttfb(),
                total,
                overhead: total.saturating_sub(self.unavoidable(end_of_turn, stt, times.made())),
            };
            let heard = self.times.transcribed.map(|(asked, answered)| ("stt", asked, answered));
            let steps =
                std::iter::once(("end_of_turn", speech_end, turn_end)).chain(heard).chain(times.steps());
            let since = |at: Instant| match at.checked_duration_since(speech_end) {
                Some(after) => after.as_micros() as i64,
                None => -(speech_end.duration_since(at).as_micros() as i64),
            };
            let step = |(name, from, to)| Step { name, start_us: since(from), end_us: since(to) };
            let steps = steps.map(step).collect();
            self.emit(Event::Latency { turn, latency, steps });
            if let Some(looked) = times.looked() {
                self.emit(Event::Gathered { turn, emotion: looked.emotion, steps: looked.steps.clone() });
            }
        }
    }

    /// What a turn takes if nothing but the engines and the configured silence takes time: the reply is made while
    /// the silence lasts, from the pause in which it is prepared on.
    fn unavoidable(&self, end_of_turn: Duration, stt: Duration, made: Duration) -> Duration {
        let turns = self.dialog.config();
        let silence = match turns.end {
            EndOfTurn::Silence(silence) => silence.min(end_of_turn),
            // When a detector decides, its time is an engine's.
            EndOfTurn::Smart { .. } | EndOfTurn::Manual => end_of_turn,
        };
        let pause = if stt.is_zero() { Duration::ZERO } else { turns.speculate };
        silence.max(pause + stt + made)
    }

    /// When the last of the reply has been heard.
    pub(super) fn reply_ends_at(&self) -> Option<Instant> {
        let run = self.reply.as_ref().filter(|run| run.is_told())?;
        Some(self.playback.ends_at().unwrap_or(run.latest))
    }

    /// When to look whether the reply or the words of a turn are overdue.
    pub(super) fn watchdog(&self) -> Option<Instant> {
        let waits = self.reply.as_ref().filter(|r| !r.is_made() && self.makes_audio());
        let reply = waits.map(|r| r.latest + STALLED);
        let side = self.sides.iter().map(|side| side.run.latest + STALLED).min();
        [reply, side, self.words_due()].into_iter().flatten().min()
    }

    fn check_stalled(&mut self, now: Instant) {
        let room = self.makes_audio();
        if self.reply.as_ref().is_some_and(|r| !r.is_made() && room && now >= r.latest + STALLED) {
            self.reply_on(Some(Err(stalled())));
        }
        while let Some(at) = self.sides.iter().position(|side| now >= side.run.latest + STALLED) {
            self.side_on(at, Some(Err(stalled())));
        }
    }

    /// The reply's last item and the reply are over.
    fn tell_done(&mut self, status: ReplyStatus) {
        let Some(run) = &mut self.reply else { return };
        run.stage = Stage::Told;
        let done = run.output.close(status.item_status());
        let (reply, turn, usage) = (run.id.clone(), run.turn, run.usage);
        for event in done {
            self.tell_output(event);
        }
        let output = self.reply.as_ref().map(|r| r.output.items().to_vec()).unwrap_or_default();
        self.remember(&output);
        self.emit(Event::ReplyDone { reply, turn, status, usage, output });
    }

    /// Keeps what the person said, after the reply to it.
    fn remember(&mut self, output: &[Item]) {
        let Some(memory) =
            self.sources.memory.as_ref().filter(|_| self.reply.as_ref().is_some_and(|r| r.generated))
        else {
            return;
        };
        let said = self.last_said();
        if said.trim().is_empty() {
            return;
        }
        let answered = output.iter().map(Item::text).collect::<Vec<_>>().join(" ");
        let remembering = memory.remember(said, answered);
        let work = async move {
            if let Err(error) = remembering.await {
                tracing::warn!(%error, "what was said is not remembered");
            }
        };
        self.afterwards.push("remembering", work.boxed());
    }

    /// Cuts the reply off; the history keeps what was heard.
    pub(super) fn stop_reply(&mut self, status: ReplyStatus) {
        self.prepared = None;
        self.wanted = None;
        let Some(run) = &self.reply else { return };
        let heard = self.playback.heard(Instant::now());
        let (reply, spoken, told) = (run.id.clone(), run.spoken, run.is_told());
        let message = run.output.message().cloned();
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
        if self.reply.take().is_some_and(|run| run.hang_up) {
            self.hangup_at = None;
        }
    }

    /// The client says how much of an item was heard.
    pub(super) fn truncate(&mut self, item: &ItemId, audio_end: Duration) -> Result<(), &'static str> {
        /// Clients count what they play with clocks of their own.
        const SLACK: Duration = Duration::from_secs(1);
        let kept = self.history.get(item).ok_or("item_not_found")?;
        if !matches!(kept.content, ItemContent::Message { role: Role::Assistant, .. }) {
            return Err("item_not_truncatable");
        }
        let text = kept.text();
        let length = self.history.audio(item).unwrap_or_default();
        if audio_end > length + SLACK {
            return Err("audio_end_after_item");
        }
        // Only the latest reply's words are known with their times; an older one is cut in proportion.
        let heard = self.playback.heard_until(audio_end);
        let heard = if text.starts_with(heard.trim_end()) && !heard.is_empty() {
            heard
        } else {
            Playback::share(&text, audio_end.as_secs_f64() / length.as_secs_f64().max(0.001)).to_owned()
        };
        self.history.truncate(item, heard);
        Ok(())
    }

    /// The conversation's reply, while it is being made.
    pub(super) fn active_reply(&self) -> Option<&ReplyId> {
        self.reply.as_ref().filter(|run| !run.is_told()).map(|run| &run.id)
    }

    /// A reply that was sent whole counts as heard: another may begin.
    pub(super) fn end_playing(&mut self) {
        if self.reply.take_if(|run| run.is_told()).is_some() {
            self.input(Input::ReplyFinished);
        }
    }
}

fn stalled() -> Error {
    Error::new(ErrorKind::Timeout, format!("no more of the reply came for {} s", STALLED.as_secs()))
}
