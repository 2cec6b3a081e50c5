//! The person's side of the session: utterances, their words, and the end of the turn.

use std::time::Duration;

use antiphon_core::dialog::pause::Expected;
use antiphon_core::dialog::{self, DialogOutput, Input, PauseId, Phase};
use antiphon_core::{
    CallControl, ConversationItem, Error, ErrorKind, Event, HangUpReason, ItemContent, ItemId, MediaTime,
    Part, ReplyStatus, Result, Role, SttOptions, Transcript, TurnId,
};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::Session;
use super::begin::PendingReply;
use crate::ear::Utterance;
use crate::ids;
use antiphon_core::call::{Outbound, Pacing};
use antiphon_core::session::{IdleReply, ReplyRequest};

/// How long speech recognition may take for one turn: ten times as long as the slowest embedded model on the
/// longest segment.
const WORDS_WITHIN: Duration = Duration::from_secs(10);
/// The same of a recording, which gives way to calls.
const RECORDED_WORDS_WITHIN: Duration = Duration::from_mins(1);
/// Turns of a recording that wait for their words, after which no more of it is taken in until these have come.
const RECORDED_AHEAD: usize = 2;
/// Most turns that wait for their words.
const MAX_COMMITTED: usize = 8;
/// Most samples of messages that wait for speech recognition: ten minutes, which are 19 MB.
const MAX_WAITING: usize = 10 * 60 * 16_000;
/// Most bytes of a typed turn; the rest is cut off, because it would not fit into the context of a model.
const MAX_TYPED: usize = 16_000;

/// How late an echo of the agent's voice may be.
const ECHOES_WITHIN: Duration = Duration::from_millis(1_500);

/// Fewer words of the agent's may be an answer.
const LONG_FOR_AN_ANSWER: usize = 7;

/// A turn that is over but whose words are not known yet.
pub(super) struct Committed {
    utterance: Utterance,
    /// When it is given up without words.
    due: Instant,
}

/// When the stages of the present turn happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// When the last sample of speech was received.
    pub(super) speech_end: Option<Instant>,
    /// When the turn was found to be over.
    pub(super) turn_end: Option<Instant>,
    /// When the transcript was requested.
    flushed: Option<Instant>,
    /// When the transcript was requested, and when it came.
    pub(super) transcribed: Option<(Instant, Instant)>,
    /// When the person's latest speech began.
    onset: Option<Instant>,
    /// Time from then until the reply's audio was stopped.
    pub(super) stopped_after: Option<Duration>,
}

impl Times {
    /// Speech recognition has answered the request for a transcript.
    fn answered(&mut self) {
        self.transcribed = self.flushed.take().map(|flushed| (flushed, Instant::now())).or(self.transcribed);
    }

    /// How long speech recognition took.
    pub(super) fn stt(&self) -> Duration {
        self.transcribed.map_or(Duration::ZERO, |(asked, answered)| answered.duration_since(asked))
    }
}

impl Session {
    /// Carries out what the dialog asks for.
    pub(super) fn obey(&mut self, output: DialogOutput) {
        match output {
            DialogOutput::SpeechStarted { at } => self.speech_started(at),
            DialogOutput::SpeechPaused { .. } => self.speech_paused(),
            DialogOutput::AskTurn(pause) => self.ask_turn(pause),
            DialogOutput::SpeechResumed => self.speech_resumed(),
            DialogOutput::TurnEnded { turn, speech_end, respond } => {
                self.turn_ended(turn, speech_end, respond);
            }
            DialogOutput::UtteranceDropped => self.utterance_dropped(),
            DialogOutput::HoldReply => self.hold_reply(),
            DialogOutput::ResumeReply => self.playback.resume(),
            DialogOutput::CancelReply => {
                self.times.stopped_after = self.times.stopped_after.or_else(|| self.since_onset());
                self.stop_reply(ReplyStatus::Interrupted);
            }
            DialogOutput::Reprompt(n) => self.reprompt(n),
            DialogOutput::Goodbye => {
                let goodbye = PendingReply::saying(self.turn(), self.config.sayings.goodbye.clone());
                self.want(goodbye.then(CallControl::HangUp(HangUpReason::Silence)));
            }
        }
    }

    fn speech_started(&mut self, at: MediaTime) {
        self.stop_prefetch();
        let received = self.received_at(at);
        self.times.onset = Some(self.clock.heard_at(at));
        self.times.transcribed = None;
        self.times.stopped_after = None;
        self.dialog.expect(Expected::after(&self.last_of(Role::Assistant)));
        let item = self.begin_utterance(received.saturating_sub(self.config.listening.prefix_padding));
        self.emit(Event::SpeechStarted { item, at: received });
        if !self.config.listening.transcribe_only {
            // The language model can already read the conversation so far while the person speaks.
            self.engines.llm.prepare(&self.chat_request(&ReplyRequest::default()));
        }
    }

    /// Begins to transcribe what is said from the position `at` of the received audio.
    pub(super) fn begin_utterance(&mut self, at: MediaTime) -> ItemId {
        let item = ItemId::new(ids::unique("item_"));
        // Nobody reads along with a recording.
        let (partials, is_speech) = (!self.transport.is_ahead(), self.vad.is_some());
        let options = SttOptions { partials, is_speech, ..self.stt_options() };
        let transcripts = self.ear.begin(self.engines.stt.as_ref(), options, item.clone(), at);
        self.transcripts.push(transcripts);
        item
    }

    fn stt_options(&self) -> SttOptions {
        let requester = self.call.identity.requester();
        let (language, priority) = (self.config.listening.language.clone(), self.urgency());
        SttOptions { language, priority, ..SttOptions::new(requester) }
    }

    fn speech_paused(&mut self) {
        self.times.flushed = Some(Instant::now());
        if let Some(utterance) = self.ear.utterance() {
            utterance.pause(self.transport.is_ahead());
        }
    }

    fn ask_turn(&mut self, pause: PauseId) {
        if let Some(detector) = &self.engines.turn {
            let answer = detector.complete(self.ear.turn_window(), self.urgency());
            self.turn_score = Some(answer.map(move |score| (pause, score)).boxed());
        }
    }

    /// The turn detector has answered.
    pub(super) fn score(&mut self, pause: PauseId, score: Result<f32>) {
        match score {
            Ok(score) => self.input(Input::TurnScore(pause, score)),
            // Without the detector, the limit on silence still ends the turn.
            Err(error) => self.emit(Event::Failed(error)),
        }
    }

    fn speech_resumed(&mut self) {
        self.speculative = None;
        self.turn_score = None;
        if let Some(utterance) = self.ear.utterance() {
            utterance.resume();
        }
    }

    fn utterance_dropped(&mut self) {
        self.speculative = None;
        self.turn_score = None;
        let at = self.ear.received();
        if self.transport.output().pacing == Pacing::Client {
            // The client has been told of the speech and waits for its words, though there are none.
            self.commit_utterance(at);
        } else if let Some(utterance) = self.ear.end() {
            self.emit(Event::SpeechDropped { item: utterance.item, at });
        }
    }

    fn hold_reply(&mut self) {
        self.times.stopped_after = self.since_onset();
        self.playback.hold(Instant::now());
        self.echo.stopped(self.ear.received());
        self.transport.send(Outbound::Clear);
    }

    fn since_onset(&self) -> Option<Duration> {
        self.times.onset.map(|onset| onset.elapsed())
    }

    /// A transcript has come; `None` means that no more will come.
    pub(super) fn understand(&mut self, item: &ItemId, transcript: Option<Result<Transcript>>) {
        if self.ear.utterance().is_some_and(|u| u.item == *item) {
            self.understand_current(transcript);
        } else if let Some(at) = self.committed.iter().position(|c| c.utterance.item == *item) {
            self.understand_committed(at, transcript);
        }
    }

    fn understand_current(&mut self, transcript: Option<Result<Transcript>>) {
        let Some(utterance) = self.ear.utterance() else { return };
        let item = utterance.item.clone();
        match transcript {
            Some(Ok(transcript)) => {
                let changed = transcript.text != utterance.text;
                let settled = utterance.understand(transcript);
                let (text, audio) = (utterance.text.clone(), utterance.audio);
                if settled {
                    self.times.answered();
                }
                let own = self.is_own_echo(&text);
                self.input(Input::Transcript { text: if own { "" } else { &text }, flushed: settled });
                if changed {
                    self.emit(Event::UserText { item, text: text.clone(), done: false, audio });
                }
                if settled && !own {
                    self.speculate(text);
                }
            }
            Some(Err(error)) => {
                utterance.fail();
                let unheard = utterance.is_unheard();
                self.input(Input::Unheard);
                self.tell_recognition_failed(item, error, unheard);
            }
            None => utterance.end(),
        }
    }

    /// Whether these words are only what the agent said when they were heard, or just before. It is the last guard against answering
    /// itself, where the echo was not known by its sound.
    fn is_own_echo(&self, text: &str) -> bool {
        let Some((onset, ends)) = self.times.onset.zip(self.playback.ends_at()) else { return false };
        if self.echo.is_clean() {
            return false;
        }
        // People also answer with the words they were offered, when the agent has finished.
        let is_long = text.split_whitespace().count() >= LONG_FOR_AN_ANSWER;
        (onset < ends || (is_long && onset < ends + ECHOES_WITHIN))
            && dialog::repeats(&format!("{} {}", self.last_of(Role::Assistant), self.playback.said()), text)
    }

    /// Prepares a reply to what was said up to the pause, in case the turn is over.
    fn speculate(&mut self, text: String) {
        let replies = self.config.listening.turns.as_ref().is_some_and(|t| t.respond)
            && !self.config.listening.transcribe_only;
        let free = self.reply.is_none() && self.dialog.phase() == Phase::PossibleEnd;
        if replies && free && !text.trim().is_empty() {
            self.speculate_reply(text);
        }
    }

    fn turn_ended(&mut self, turn: TurnId, speech_end: MediaTime, respond: bool) {
        self.times.speech_end = Some(self.clock.heard_at(speech_end));
        self.times.turn_end = Some(Instant::now());
        self.turn_score = None;
        let stopped = self.received_at(speech_end);
        let item = self.typed.take().or_else(|| self.commit_utterance(stopped));
        // If the agent may not be interrupted, its reply to this turn waits for the reply before.
        let later = self.reply.is_some() && self.dialog.config().respond;
        if self.config.listening.transcribe_only || !(respond || later) {
            self.input(Input::ReplyFinished);
            return;
        }
        self.pending = Some(PendingReply::answering(turn, item));
    }

    /// Turns the utterance into a message of the conversation. `at` is where it ended in the received audio.
    fn commit_utterance(&mut self, at: MediaTime) -> Option<ItemId> {
        let mut utterance = self.ear.end()?;
        let item = utterance.item.clone();
        if self.vad.is_some() {
            self.emit(Event::SpeechStopped { item: item.clone(), at });
        }
        let waits = !utterance.settled && !utterance.has_ended();
        if waits && !utterance.is_paused() {
            self.times.flushed = Some(Instant::now());
            utterance.pause(self.transport.is_ahead());
        }
        self.emit(Event::InputCommitted { item: item.clone(), previous: self.history.last() });
        let known = !waits && !utterance.is_unheard();
        let transcript = known.then(|| utterance.text.clone());
        self.add_item(ConversationItem::message(item.clone(), Role::User, Part::Audio { transcript }));
        self.history.extend_audio(&item, utterance.length());
        if waits {
            self.await_words(utterance);
        } else {
            self.understood(&utterance);
        }
        Some(item)
    }

    fn understand_committed(&mut self, at: usize, transcript: Option<Result<Transcript>>) {
        let utterance = &mut self.committed[at].utterance;
        let ended = match transcript {
            Some(Ok(transcript)) => utterance.understand(transcript),
            Some(Err(error)) => {
                self.give_up(at, error);
                return;
            }
            None => true,
        };
        if ended {
            self.times.answered();
            let committed = self.committed.remove(at);
            self.understood(&committed.utterance);
        }
    }

    /// Whether speech recognition keeps up with a recording. One that is sent faster than it is transcribed would otherwise lose its words.
    pub(super) fn keeps_up(&self) -> bool {
        !self.transport.is_ahead() || self.committed.len() < RECORDED_AHEAD
    }

    /// Whether what is being understood turned out to be part of a recording that goes on.
    pub(super) fn defer(&mut self, is_recorded: bool) {
        self.ear.defer(is_recorded);
        for committed in &self.committed {
            committed.utterance.defer(is_recorded);
        }
    }

    /// Whether one more message of this many samples may be transcribed. Clients can add messages faster than these are
    /// transcribed.
    pub(super) fn can_transcribe(&self, samples: usize) -> bool {
        let waiting: usize = self.committed.iter().map(|turn| turn.utterance.waiting()).sum();
        self.transcripts.len() < 2 * MAX_COMMITTED && waiting + samples <= MAX_WAITING
    }

    /// Transcribes a message that came with its audio.
    pub(super) fn transcribe_item(&mut self, item: ItemId, audio: Vec<i16>) {
        let options = self.stt_options();
        let (mut utterance, transcripts) = Utterance::begin(self.engines.stt.as_ref(), options, item, audio);
        utterance.pause(self.transport.is_ahead());
        self.transcripts.push(transcripts);
        self.await_words(utterance);
    }

    fn await_words(&mut self, utterance: Utterance) {
        if self.committed.len() == MAX_COMMITTED {
            self.give_up(0, self.no_words_in_time());
        }
        let within = if self.transport.is_ahead() { RECORDED_WORDS_WITHIN } else { WORDS_WITHIN };
        self.committed.push(Committed { utterance, due: Instant::now() + within });
    }

    /// The words of a committed turn are known, as far as they ever will be.
    fn understood(&mut self, utterance: &Utterance) {
        let (item, text) = (utterance.item.clone(), utterance.text.clone());
        if utterance.is_unheard() {
            return;
        }
        if let Some(item) = self.history.get_mut(&item)
            && let ItemContent::Message { parts, .. } = &mut item.content
        {
            *parts = vec![Part::Audio { transcript: Some(text.clone()) }];
        }
        let audio = utterance.length();
        self.emit(Event::UserText { item, text, done: true, audio });
    }

    /// Whether this turn's words are unknown for good, because speech recognition failed.
    pub(super) fn is_unheard(&self, item: &ItemId) -> bool {
        let unknown = |item: &ConversationItem| match &item.content {
            ItemContent::Message { parts, .. } => {
                parts.iter().any(|part| matches!(part, Part::Audio { transcript: None }))
            }
            _ => false,
        };
        !self.awaits_words(item) && self.history.get(item).is_some_and(unknown)
    }

    /// Whether the words of this turn are still missing.
    pub(super) fn awaits_words(&self, item: &ItemId) -> bool {
        self.committed.iter().any(|c| c.utterance.item == *item)
    }

    /// The latest turn whose words are still missing.
    pub(super) fn latest_committed(&self) -> Option<ItemId> {
        self.committed.last().map(|c| c.utterance.item.clone())
    }

    /// When the next turn without words is given up.
    pub(super) fn words_due(&self) -> Option<Instant> {
        self.committed.iter().map(|c| c.due).min()
    }

    /// Gives up turns whose words have not come in time.
    pub(super) fn give_up_late_words(&mut self) {
        while let Some(late) = self.committed.iter().position(|c| Instant::now() >= c.due) {
            self.give_up(late, self.no_words_in_time());
        }
    }

    fn no_words_in_time(&self) -> Error {
        let message = format!("speech recognition ({}) did not answer in time", self.engines.stt.name());
        Error::new(ErrorKind::Timeout, message)
    }

    /// Gives up waiting for a turn's words. What was understood until then is all there is.
    fn give_up(&mut self, at: usize, error: Error) {
        let Committed { mut utterance, .. } = self.committed.remove(at);
        utterance.fail();
        self.tell_recognition_failed(utterance.item.clone(), error, utterance.is_unheard());
        self.understood(&utterance);
    }

    /// A turn of which some words are known gets these and no failure of its own.
    fn tell_recognition_failed(&mut self, item: ItemId, error: Error, unheard: bool) {
        self.emit(if unheard { Event::UserTextFailed { item, error } } else { Event::Failed(error) });
    }

    /// The person has typed. That is a complete turn, which takes the floor at once.
    pub(super) fn typed(&mut self, mut text: String) {
        if text.trim().is_empty() {
            return;
        }
        let cut = text.floor_char_boundary(MAX_TYPED);
        text.truncate(cut);
        self.stop_prefetch();
        self.times = Times::default();
        self.stop_reply(ReplyStatus::Interrupted);
        let item = ItemId::new(ids::unique("item_"));
        self.add_item(ConversationItem::message(item.clone(), Role::User, Part::Text(text.clone())));
        self.emit(Event::UserText { item: item.clone(), text, done: true, audio: Duration::ZERO });
        self.typed = Some(item);
        self.input(Input::Typed);
        self.obey_dialog();
    }

    /// The person has pressed a key, and perhaps presses more.
    pub(super) fn pressed(&mut self, key: char) {
        self.stop_prefetch();
        self.keypad.press(key, Instant::now());
        self.input(Input::KeyPressed);
    }

    /// Makes a turn of the keys once all of them are pressed. The model is told which ones.
    pub(super) fn take_keys(&mut self) {
        if let Some(keys) = self.keypad.take(Instant::now()) {
            self.typed(format!("(pressed {keys} on the keypad)"));
        }
    }

    fn reprompt(&mut self, n: u32) {
        let (item, to) = (ItemId::new(ids::unique("item_")), self.ear.received());
        let waited = self.dialog.config().reprompt.unwrap_or_default();
        self.emit(Event::IdleTimeout { item, from: to.saturating_sub(waited), to });
        let pending = match &self.config.sayings.idle {
            IdleReply::Say(texts) if !texts.is_empty() => {
                let text = &texts[(n as usize - 1).min(texts.len() - 1)];
                PendingReply::saying(self.turn(), text.clone())
            }
            IdleReply::Say(_) | IdleReply::Generate => PendingReply::answering(self.turn(), None),
        };
        self.want(pending);
    }

    /// Appends an item to the conversation and reports it.
    pub(super) fn add_item(&mut self, item: ConversationItem) {
        let previous = self.history.push(item.clone());
        self.emit(Event::ItemAdded { item: item.clone(), previous: previous.clone() });
        self.emit(Event::ItemDone { item, previous });
    }
}
