//! Replies outside the conversation. A client requests them; they are not stored and do not delay other replies.

use antiphon_core::call::Outbound;
use antiphon_core::session::ReplyRequest;
use antiphon_core::{Event, ReplyId, ReplyStatus, Result};
use tokio::time::Instant;

use super::ActiveReply;
use crate::playback::Playback;
use crate::reply::ReplyPart;
use crate::session::{MAX_OUT_OF_BAND, Session};

/// A reply outside the conversation.
pub(in crate::session) struct OutOfBandReply {
    pub(in crate::session) active: ActiveReply,
    playback: Playback,
}

impl Session {
    /// Begins a reply outside the conversation. Returns false when too many are running.
    pub(in crate::session) fn begin_out_of_band(&mut self, request: ReplyRequest) -> bool {
        if self.out_of_band.len() >= MAX_OUT_OF_BAND {
            return false;
        }
        self.stop_prefetch();
        let chat = self.chat_request(&request);
        let reply = self.asking().generate(self.last_said(), chat, &request);
        let active = self.open_reply(self.turn(), request, Some(reply));
        let playback = Playback::new(self.transport.output(), self.config.voice.frame);
        self.out_of_band.push(OutOfBandReply { active, playback });
        true
    }

    /// A part of a reply outside the conversation has come.
    pub(in crate::session) fn out_of_band_on(&mut self, at: usize, part: Option<Result<ReplyPart>>) {
        let OutOfBandReply { active, playback } = &mut self.out_of_band[at];
        let (events, play) = active.take(part);
        let made = active.is_made();
        if let Some(ReplyPart::Audio(chunk)) = play {
            playback.push(&chunk);
        }
        if made {
            playback.finish();
        }
        for event in events {
            self.emit(event);
        }
        let OutOfBandReply { active, playback } = &mut self.out_of_band[at];
        if let Some(item) = active.output.message() {
            while let Some(samples) = playback.pop(Instant::now()) {
                let (turn, reply, item) = (active.turn, active.id.clone(), item.clone());
                self.transport.send(Outbound::Audio { turn, reply, item, samples });
            }
        }
        if made {
            self.end_out_of_band(at, None);
        }
    }

    /// Ends a reply outside the conversation.
    pub(in crate::session) fn end_out_of_band(&mut self, at: usize, status: Option<ReplyStatus>) {
        let OutOfBandReply { mut active, .. } = self.out_of_band.remove(at);
        active.log_trouble(self.engines.llm.card().model);
        let status = status.unwrap_or(active.status);
        for event in active.output.close(status.item_status()) {
            self.emit(event);
        }
        let output = active.output.items().to_vec();
        let (turn, usage, from_cache) = (active.turn, active.usage, active.times.cache_hit());
        self.emit(Event::ReplyDone { reply: active.id, turn, status, usage, output, from_cache });
    }

    /// The index of the reply outside the conversation that has this id.
    pub(in crate::session) fn out_of_band_reply(&self, id: &ReplyId) -> Option<usize> {
        self.out_of_band.iter().position(|other| other.active.id == *id)
    }
}
