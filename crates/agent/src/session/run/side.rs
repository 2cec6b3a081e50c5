//! Replies outside the conversation: asked for by a client, neither stored nor limiting other replies.

use antiphon_core::call::{Outbound, ReplyRequest};
use antiphon_core::{Event, ReplyId, ReplyStatus, Result, Transport};
use tokio::time::Instant;

use super::Run;
use crate::playback::Playback;
use crate::reply::ReplyPart;
use crate::session::{MAX_SIDE_REPLIES, Session};

/// A reply outside the conversation.
pub(in crate::session) struct Side {
    pub(in crate::session) run: Run,
    playback: Playback,
}

impl<T: Transport> Session<T> {
    /// Begins a reply outside the conversation; false when too many run.
    pub(in crate::session) fn begin_side(&mut self, request: ReplyRequest) -> bool {
        if self.sides.len() >= MAX_SIDE_REPLIES {
            return false;
        }
        self.stop_prefetch();
        let chat = self.chat_request(&request);
        let reply = self.asking().generate(self.last_said(), chat, &request);
        let run = self.open_run(self.turn(), request, Some(reply));
        let playback = Playback::new(self.transport.output(), self.config.audio_frame);
        self.sides.push(Side { run, playback });
        true
    }

    /// A part of a reply outside the conversation came.
    pub(in crate::session) fn side_on(&mut self, at: usize, part: Option<Result<ReplyPart>>) {
        let Side { run, playback } = &mut self.sides[at];
        let (events, play) = run.take(part);
        let made = run.is_made();
        if let Some(ReplyPart::Audio(chunk)) = play {
            playback.push(&chunk);
        }
        if made {
            playback.finish();
        }
        for event in events {
            self.emit(event);
        }
        let Side { run, playback } = &mut self.sides[at];
        if let Some(item) = run.output.message() {
            while let Some(samples) = playback.pop(Instant::now()) {
                let (turn, reply, item) = (run.turn, run.id.clone(), item.clone());
                self.transport.send(Outbound::Audio { turn, reply, item, samples });
            }
        }
        if made {
            self.end_side(at, None);
        }
    }

    /// Ends a reply outside the conversation.
    pub(in crate::session) fn end_side(&mut self, at: usize, status: Option<ReplyStatus>) {
        let Side { mut run, .. } = self.sides.remove(at);
        let status = status.unwrap_or(run.status);
        for event in run.output.close(status.item_status()) {
            self.emit(event);
        }
        let output = run.output.items().to_vec();
        let (turn, usage, from_cache) = (run.turn, run.usage, run.times.cache_hit());
        self.emit(Event::ReplyDone { reply: run.id, turn, status, usage, output, from_cache });
    }

    /// Which reply outside the conversation this is.
    pub(in crate::session) fn side(&self, id: &ReplyId) -> Option<usize> {
        self.sides.iter().position(|side| side.run.id == *id)
    }
}
