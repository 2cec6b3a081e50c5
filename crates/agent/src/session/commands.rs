//! The commands that a client may give to the session.

use antiphon_core::call::{Command, CommandKind, Place};
use antiphon_core::dialog::Input;
use antiphon_core::session::{ReplyInput, ReplyRequest, SessionConfig};
use antiphon_core::{ConversationItem, Event, ReplyId, ReplyStatus};

use super::Session;
use super::begin::PendingReply;
use super::refusal::{Refusal, no_item, refuse};
use crate::history::{LONGEST_GIVEN, TEXT_GIVEN};

impl Session {
    /// Carries out a command, or reports why it could not.
    pub(super) fn carry_out(&mut self, command: Command) {
        self.stop_prefetch();
        let done = match command.kind {
            CommandKind::Configure(config) => {
                self.configure(*config);
                Ok(())
            }
            CommandKind::CommitInput => self.commit_input(),
            CommandKind::ClearInput => {
                self.clear_input();
                Ok(())
            }
            CommandKind::AddItem { item, place, audio } => self.insert_item(item, &place, audio),
            CommandKind::DeleteItem(id) => match self.history.remove(&id) {
                Some(_) => {
                    self.emit(Event::ItemDeleted(id));
                    Ok(())
                }
                None => no_item(&id),
            },
            CommandKind::RetrieveItem(id) => match self.history.get(&id).cloned() {
                Some(item) => {
                    self.emit(Event::ItemRetrieved(item));
                    Ok(())
                }
                None => no_item(&id),
            },
            CommandKind::TruncateItem { item, audio_end } => self.truncate(item, audio_end),
            CommandKind::Reply(request) => self.asked_to_reply(*request),
            CommandKind::CancelReply(id) => self.cancel_reply(id.as_ref()),
        };
        if let Err(Refusal { code, message }) = done {
            self.emit(Event::CommandFailed { request_id: command.request_id, code, message });
        }
    }

    fn configure(&mut self, config: SessionConfig) {
        self.config = config;
        self.open_vad();
        self.restart_prefetch();
        self.emit(Event::Configured(Box::new(self.config.clone())));
    }

    fn commit_input(&mut self) -> Result<(), Refusal> {
        if self.ear.utterance().is_none() {
            return refuse(
                "input_audio_buffer_commit_empty",
                "there is no audio to commit: append some first, and with turn detection on let it be speech",
            );
        }
        self.input(Input::Commit);
        Ok(())
    }

    fn clear_input(&mut self) {
        self.input(Input::Clear);
        // Without turn detection the dialog does not know the utterance, so it is ended here.
        self.ear.end();
        self.emit(Event::InputCleared);
    }

    fn insert_item(&mut self, item: ConversationItem, place: &Place, audio: Vec<i16>) -> Result<(), Refusal> {
        if self.history.get(&item.id).is_some() {
            return refuse("item_exists", format!("there is an item '{}' already", item.id));
        }
        if item.held_bytes() > LONGEST_GIVEN {
            let kib = TEXT_GIVEN >> 10;
            let message = format!("'{}' has more than {kib} KiB of text: send it in parts", item.id);
            return refuse("item_too_long", message);
        }
        if !audio.is_empty() && !self.can_transcribe(audio.len()) {
            let message = "too many messages, or more than 10 minutes of audio, wait for their words: add more when their \
                           transcripts have come";
            return refuse("too_many_transcriptions", message);
        }
        match self.history.insert(item.clone(), place) {
            Ok(previous) => {
                self.emit(Event::ItemAdded { item: item.clone(), previous: previous.clone() });
                self.emit(Event::ItemDone { item: item.clone(), previous });
                if !audio.is_empty() {
                    self.transcribe_item(item.id, audio);
                }
                Ok(())
            }
            Err(missing) => no_item(&missing),
        }
    }

    fn asked_to_reply(&mut self, request: ReplyRequest) -> Result<(), Refusal> {
        if self.config.listening.transcribe_only {
            return refuse("invalid_session_type", "a transcription session does not reply");
        }
        for input in request.input.iter().flatten() {
            if let ReplyInput::Reference(id) = input
                && self.history.get(id).is_none()
            {
                return no_item(id);
            }
        }
        if request.out_of_band {
            if self.begin_out_of_band(request) {
                return Ok(());
            }
            return refuse(
                "too_many_responses",
                "too many responses outside the conversation are in progress",
            );
        }
        if let Some(id) = self.active_reply() {
            return refuse(
                "conversation_already_has_active_response",
                format!("'{id}' is in progress: wait for it to be done, or cancel it first"),
            );
        }
        // What the client is still playing is for the client to stop.
        self.end_playing();
        let answers = self.latest_committed();
        self.want(PendingReply::asked(self.turn(), answers, request));
        Ok(())
    }

    fn cancel_reply(&mut self, id: Option<&ReplyId>) -> Result<(), Refusal> {
        if let Some(at) = id.and_then(|id| self.out_of_band_reply(id)) {
            self.end_out_of_band(at, Some(ReplyStatus::Cancelled));
            return Ok(());
        }
        match (self.active_reply(), id) {
            (Some(active), id) if id.is_none_or(|id| id == active) => {
                self.stop_reply(ReplyStatus::Cancelled);
                self.input(Input::ReplyFinished);
                Ok(())
            }
            _ => refuse("response_cancel_not_active", "no response is in progress"),
        }
    }
}
