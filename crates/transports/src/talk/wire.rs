//! The JSON messages that the talk page is sent.

use antiphon_core::{Event, ReplyStatus};
use serde_json::{Value, json};

/// The message for an event; `None` for events that the page does not show.
pub(super) fn event(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Phase(phase) => json!({ "type": "phase", "phase": phase.name() }),
        Event::UserText { item, text, done, .. } => {
            json!({ "type": "user_text", "item": item, "text": text, "done": done })
        }
        Event::SpeechDropped { item, .. } => json!({ "type": "speech_dropped", "item": item }),
        Event::ReplyStarted { reply, turn, .. } => {
            json!({ "type": "reply_started", "reply": reply, "turn": turn })
        }
        Event::OutputText { reply, delta, .. } => {
            json!({ "type": "reply_text", "reply": reply, "delta": delta })
        }
        Event::ReplyDone { reply, status, .. } => {
            json!({ "type": "reply_done", "reply": reply, "status": status_name(status) })
        }
        Event::Interrupted { reply, text, .. } => {
            json!({ "type": "interrupted", "reply": reply, "text": text })
        }
        Event::Latency { turn, latency, from_cache, .. } => {
            let cached = from_cache.is_some();
            json!({ "type": "latency", "turn": turn, "latency_ms": latency, "served_from_cache": cached })
        }
        Event::TurnContext { turn, emotion, .. } => {
            let (emotion, confidence) = (*emotion)?;
            json!({ "type": "emotion", "turn": turn, "emotion": emotion, "confidence": confidence })
        }
        Event::Failed(error) | Event::UserTextFailed { error, .. } => failure(&error.to_string()),
        _ => return None,
    })
}

/// A message that shows an error.
pub(super) fn failure(message: &str) -> Value {
    json!({ "type": "error", "message": message })
}

fn status_name(status: &ReplyStatus) -> &'static str {
    match status {
        ReplyStatus::Completed => "completed",
        ReplyStatus::Interrupted => "interrupted",
        ReplyStatus::Cancelled => "cancelled",
        ReplyStatus::TooLong => "too_long",
        ReplyStatus::Filtered => "filtered",
        ReplyStatus::Failed(_) => "failed",
    }
}
