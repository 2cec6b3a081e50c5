//! The turns of a conversation, in the form in which `antiphon talk` prints them.

use std::collections::BTreeMap;

use antiphon_core::{ConversationItem, Event, ReplyStatus, TurnId, TurnLatency};
use serde::Serialize;

/// One turn of a conversation, as printed by `antiphon talk --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Turn {
    /// Number of the turn from 1. Turn 0 is what the agent said on its own.
    #[serde(rename = "turn")]
    pub number: TurnId,
    /// What the person said.
    pub user: String,
    /// What the agent said. After an interruption, only the part that was heard.
    pub reply: String,
    /// Whether the person interrupted the reply.
    pub interrupted: bool,
    /// Whether the reply came from a cache.
    pub served_from_cache: bool,
    /// The latency of each stage in milliseconds.
    pub latency_ms: TurnLatency,
}

/// Assembles turns from the events of a call.
#[derive(Debug, Default)]
pub struct Turns {
    /// What the person said most recently.
    said: String,
    /// Turns that are not complete yet.
    open: BTreeMap<TurnId, Turn>,
}

impl Turns {
    /// Takes an event into account, and returns the turn that it completes, if any.
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
