//! The turns of a conversation, as `antiphon talk` prints them.

use std::collections::BTreeMap;

use antiphon_core::{ConversationItem, Event, ReplyStatus, TurnId, TurnLatency};
use serde::Serialize;

/// One turn of a conversation, as printed by `antiphon talk --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Turn {
    /// Counts from 1; 0 is what the agent said by itself.
    #[serde(rename = "turn")]
    pub number: TurnId,
    /// What the person said.
    pub user: String,
    /// What the agent said; after an interruption, what of it was heard.
    pub reply: String,
    /// Whether the person cut the reply off.
    pub interrupted: bool,
    /// Whether the reply came from a cache.
    pub served_from_cache: bool,
    /// Stage by stage.
    pub latency_ms: TurnLatency,
}

/// Puts turns together from a call's events.
#[derive(Debug, Default)]
pub struct Turns {
    /// What the person said last.
    said: String,
    /// Turns that are not complete.
    open: BTreeMap<TurnId, Turn>,
}

impl Turns {
    /// Takes an event into account; returns the turn that it completes, if any.
    pub fn take(&mut self, event: &Event) -> Option<Turn> {
        match event {
            Event::UserText { text, done: true, .. } => self.said.clone_from(text),
            Event::ReplyStarted { turn, .. } => {
                let user = std::mem::take(&mut self.said);
                self.open.insert(*turn, Turn { number: *turn, user, ..Turn::default() });
            }
            Event::Latency { turn, latency, from_cache, .. } => {
                let entry = self.open.entry(*turn).or_default();
                entry.latency_ms = *latency;
                entry.served_from_cache = from_cache.is_some();
            }
            Event::ReplyDone { turn, output, status, .. } => {
                let entry = self.open.entry(*turn).or_default();
                entry.reply = output.iter().map(ConversationItem::text).collect::<Vec<_>>().join(" ");
                entry.interrupted = *status == ReplyStatus::Interrupted;
                // The next event says how much of an interrupted reply was heard.
                if !entry.interrupted {
                    return self.open.remove(turn);
                }
            }
            Event::Interrupted { text, .. } => {
                let mut turn = self.open.pop_last()?.1;
                turn.reply.clone_from(text);
                turn.interrupted = true;
                return Some(turn);
            }
            _ => {}
        }
        None
    }
}
