//! The events that the server sends: the events of a call, translated to those of the Realtime protocol in
//! their order.

use std::fmt::Write;

use antiphon_agent::ids;
use antiphon_core::{
    ConversationItem, Error, Event, ItemContent, ItemId, Part, ReplyId, ReplyStatus, StableText, ToolCall,
    Usage,
};
use serde_json::{Map, Value, json};

use super::invalid::Invalid;
use super::item;
use super::media::Format;
use super::session::Session;

/// The metadata key of a response that says `exact` or `semantic` when the response came from a cache. OpenAI's
/// protocol has no field for this.
const SERVED_FROM_CACHE: &str = "antiphon_served_from_cache";
/// Most utterances whose transcripts are unfinished at the same time.
const MAX_USERS: usize = 16;

/// Writes the events of one connection, and remembers as much about those already sent as later ones depend on.
pub(super) struct EventWriter {
    session_id: String,
    conversation_id: String,
    /// How many events have been written. Their ids are made from it.
    count: u64,
    created: bool,
    /// The replies that have begun and not ended.
    replies: Vec<Reply>,
    users: Vec<(ItemId, StableText)>,
    bytes: Vec<u8>,
}

/// A reply that has begun and not ended.
struct Reply {
    id: ReplyId,
    /// The output format at the time when the reply began.
    format: Format,
    spoken: bool,
    out_of_band: bool,
    metadata: Value,
    items: Vec<OutputItem>,
}

/// An item of a reply that has begun and not ended.
struct OutputItem {
    item: ItemId,
    index: usize,
    /// Whether the beginning of its content part was sent.
    part: bool,
    /// Whether the end of its content part was sent.
    done: bool,
}

impl EventWriter {
    pub(super) fn new() -> Self {
        Self {
            session_id: ids::unique("sess_"),
            conversation_id: ids::unique("conv_"),
            count: 0,
            created: false,
            replies: Vec::new(),
            users: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// The answer to an invalid event of the client.
    pub(super) fn error(&mut self, invalid: &Invalid, event_id: Option<&str>) -> String {
        self.event("error", json!({ "error": invalid.to_json(event_id) }))
    }

    /// The event with audio of a reply. It begins with [`EventWriter::audio_prefix`].
    pub(super) fn audio(&mut self, reply: &ReplyId, item: &ItemId, samples: &[i16]) -> Vec<String> {
        let mut events = self.part_added(reply, item);
        let Some(known) = self.replies.iter().find(|known| known.id == *reply) else { return events };
        let index = known.items.iter().find(|output| output.item == *item).map_or(0, |output| output.index);
        let format = known.format;
        self.count += 1;
        let mut event = Self::audio_prefix(reply);
        event.reserve(samples.len() * 8 / 3 + 160);
        // Writing to a string cannot fail.
        let _ = write!(
            event,
            ",\"event_id\":\"event_{}\",\"item_id\":{},\"output_index\":{index},\"content_index\":0,\"delta\":\"",
            self.count,
            Value::from(item.as_str()),
        );
        format.encode(samples, &mut self.bytes, &mut event);
        event.push_str("\"}");
        events.push(event);
        events
    }

    /// The beginning of every event with audio of this reply. It tells such events from others without parsing them.
    pub(super) fn audio_prefix(reply: &ReplyId) -> String {
        let id = Value::from(reply.as_str());
        format!("{{\"type\":\"response.output_audio.delta\",\"response_id\":{id}")
    }

    /// The unfinished reply that is part of the conversation, if there is one.
    pub(super) fn conversation_reply(&self) -> Option<&ReplyId> {
        self.replies.iter().find(|reply| !reply.out_of_band).map(|reply| &reply.id)
    }

    /// The events that the client is sent for an event of the call.
    pub(super) fn write(&mut self, event: &Event, session: &Session) -> Vec<String> {
        match event {
            Event::Configured(_) => {
                let kind = if self.created { "session.updated" } else { "session.created" };
                self.created = true;
                let session = session.to_json(&self.session_id);
                vec![self.event(kind, json!({ "session": session }))]
            }
            Event::CommandFailed { request_id, code, message } => {
                vec![self.error(&Invalid::new(code, message.clone()), request_id.as_deref())]
            }
            Event::SpeechStarted { item, at } => {
                let start = at.saturating_sub(session.padding()).as_millis();
                vec![self.event(
                    "input_audio_buffer.speech_started",
                    json!({ "item_id": item, "audio_start_ms": start }),
                )]
            }
            Event::SpeechStopped { item, at } | Event::SpeechDropped { item, at } => {
                self.users.retain(|(known, _)| known != item || matches!(event, Event::SpeechStopped { .. }));
                vec![self.event(
                    "input_audio_buffer.speech_stopped",
                    json!({ "item_id": item, "audio_end_ms": at.as_millis() }),
                )]
            }
            Event::IdleTimeout { item, from, to } => vec![self.event(
                "input_audio_buffer.timeout_triggered",
                json!({
                    "item_id": item,
                    "audio_start_ms": from.as_millis(),
                    "audio_end_ms": to.as_millis(),
                }),
            )],
            Event::InputCommitted { item, previous } => vec![self.event(
                "input_audio_buffer.committed",
                json!({ "item_id": item, "previous_item_id": previous }),
            )],
            Event::InputCleared => vec![self.event("input_audio_buffer.cleared", json!({}))],
            Event::UserText { item, text, done, audio } => {
                if session.audio.input.transcription.is_none() {
                    return Vec::new();
                }
                self.user_text(item, text, *done, audio.as_secs_f64())
            }
            Event::UserTextFailed { item, error } if session.audio.input.transcription.is_some() => {
                self.users.retain(|(known, _)| known != item);
                vec![self.event(
                    "conversation.item.input_audio_transcription.failed",
                    json!({ "item_id": item, "content_index": 0, "error": error_json(error) }),
                )]
            }
            Event::ItemAdded { item, previous } => {
                vec![self.event(
                    "conversation.item.added",
                    json!({ "item": item::to_json(item), "previous_item_id": previous }),
                )]
            }
            Event::ItemDone { item, previous } => {
                let mut events = self.content_done(item);
                events.push(self.event(
                    "conversation.item.done",
                    json!({ "item": item::to_json(item), "previous_item_id": previous }),
                ));
                events
            }
            Event::ItemDeleted(item) => {
                vec![self.event("conversation.item.deleted", json!({ "item_id": item }))]
            }
            Event::ItemRetrieved(item) => {
                vec![self.event("conversation.item.retrieved", json!({ "item": item::to_json(item) }))]
            }
            Event::ItemTruncated { item, audio_end } => vec![self.event(
                "conversation.item.truncated",
                json!({ "item_id": item, "content_index": 0, "audio_end_ms": audio_end.as_millis() as u64 }),
            )],
            Event::ReplyStarted { .. }
            | Event::OutputStarted { .. }
            | Event::OutputText { .. }
            | Event::OutputArguments { .. }
            | Event::OutputDone { .. }
            | Event::ReplyDone { .. } => self.write_reply(event, session),
            // The client plays the audio, so it knows about interruptions itself. A failure is reported with the
            // reply or the transcript that failed.
            Event::Phase(_)
            | Event::Failed(_)
            | Event::UserTextFailed { .. }
            | Event::Interrupted { .. }
            | Event::TurnContext { .. }
            | Event::ToolRan { .. }
            | Event::Latency { .. } => Vec::new(),
        }
    }

    fn write_reply(&mut self, event: &Event, session: &Session) -> Vec<String> {
        match event {
            Event::ReplyStarted { reply, spoken, out_of_band, metadata, .. } => {
                let reply = Reply {
                    id: reply.clone(),
                    format: session.audio.output.format,
                    spoken: *spoken,
                    out_of_band: *out_of_band,
                    metadata: if metadata.is_empty() { Value::Null } else { json!(metadata) },
                    items: Vec::new(),
                };
                let response = self.response(&reply, session, "in_progress", &Value::Null, &[], None);
                self.replies.push(reply);
                vec![self.event("response.created", json!({ "response": response }))]
            }
            Event::OutputStarted { reply, index, item } => {
                if let Some(reply) = self.replies.iter_mut().find(|known| known.id == *reply) {
                    let item = item.id.clone();
                    reply.items.push(OutputItem { item, index: *index, part: false, done: false });
                }
                vec![self.event(
                    "response.output_item.added",
                    json!({ "response_id": reply, "output_index": index, "item": item::to_json(item) }),
                )]
            }
            Event::OutputText { reply, item, index, delta } => {
                let mut events = self.part_added(reply, item);
                let kind = if self.is_spoken(reply) {
                    "response.output_audio_transcript.delta"
                } else {
                    "response.output_text.delta"
                };
                let mut fields = place(reply, item, *index);
                fields["delta"] = Value::from(delta.as_str());
                events.push(self.event(kind, fields));
                events
            }
            Event::OutputArguments { reply, item, index, call_id, delta } => vec![self.event(
                "response.function_call_arguments.delta",
                json!({
                    "response_id": reply, "item_id": item, "output_index": index, "call_id": call_id,
                    "delta": delta,
                }),
            )],
            Event::OutputDone { reply, index, item } => {
                let mut events = self.content_done(item);
                events.push(self.event(
                    "response.output_item.done",
                    json!({ "response_id": reply, "output_index": index, "item": item::to_json(item) }),
                ));
                events
            }
            Event::ReplyDone { reply, status, usage, output, from_cache, .. } => {
                let Some(at) = self.replies.iter().position(|known| known.id == *reply) else {
                    return Vec::new();
                };
                let mut reply = self.replies.remove(at);
                if let Some(hit) = from_cache {
                    reply.metadata[SERVED_FROM_CACHE] = json!(hit);
                }
                let (status, details) = status_json(status);
                let response = self.response(&reply, session, status, &details, output, Some(usage));
                vec![
                    self.event("response.done", json!({ "response": response })),
                    self.event("rate_limits.updated", json!({ "rate_limits": [] })),
                ]
            }
            _ => Vec::new(),
        }
    }

    /// The transcript of the person's speech: first deltas of words that will not change any more, then the
    /// whole text.
    fn user_text(&mut self, item: &ItemId, text: &str, done: bool, seconds: f64) -> Vec<String> {
        let at = self.users.iter().position(|(known, _)| known == item).unwrap_or_else(|| {
            if self.users.len() == MAX_USERS {
                self.users.remove(0);
            }
            self.users.push((item.clone(), StableText::default()));
            self.users.len() - 1
        });
        let delta = self.users[at].1.hear(text, done);
        let mut events = Vec::new();
        if let Some(delta) = delta {
            events.push(self.event(
                "conversation.item.input_audio_transcription.delta",
                json!({ "item_id": item, "content_index": 0, "delta": delta }),
            ));
        }
        if done {
            self.users.remove(at);
            events.push(self.event(
                "conversation.item.input_audio_transcription.completed",
                json!({
                    "item_id": item,
                    "content_index": 0,
                    "transcript": text,
                    "usage": { "type": "duration", "seconds": seconds },
                }),
            ));
        }
        events
    }

    fn is_spoken(&self, reply: &ReplyId) -> bool {
        self.replies.iter().any(|known| known.id == *reply && known.spoken)
    }

    /// The event that precedes the first content of a message.
    fn part_added(&mut self, reply: &ReplyId, item: &ItemId) -> Vec<String> {
        let Some(known) = self.replies.iter_mut().find(|known| known.id == *reply) else {
            return Vec::new();
        };
        let spoken = known.spoken;
        let output = known.items.iter_mut().find(|output| output.item == *item && !output.part);
        let Some(output) = output else { return Vec::new() };
        output.part = true;
        let index = output.index;
        let mut fields = place(reply, item, index);
        fields["part"] = part(spoken, "");
        vec![self.event("response.content_part.added", fields)]
    }

    /// The events that precede the end of an item of a reply. A second call for the same item returns none.
    fn content_done(&mut self, item: &ConversationItem) -> Vec<String> {
        let found = self.replies.iter_mut().find_map(|reply| {
            let output = reply.items.iter_mut().find(|output| output.item == item.id && !output.done)?;
            output.done = true;
            Some((reply.id.clone(), reply.spoken, output.index, output.part))
        });
        let Some((reply, spoken, index, has_part)) = found else { return Vec::new() };
        match &item.content {
            ItemContent::Message { parts, .. } if has_part => {
                let text = parts.first().map(Part::text).unwrap_or_default();
                self.message_done(&place(&reply, &item.id, index), spoken, text)
            }
            ItemContent::ToolCall(ToolCall { id, name, arguments }) => vec![self.event(
                "response.function_call_arguments.done",
                json!({
                    "response_id": reply, "item_id": item.id, "output_index": index, "call_id": id,
                    "name": name, "arguments": arguments,
                }),
            )],
            ItemContent::Message { .. } | ItemContent::ToolOutput { .. } => Vec::new(),
        }
    }

    fn message_done(&mut self, place: &Value, spoken: bool, text: &str) -> Vec<String> {
        let with = |name: &str, value: Value| {
            let mut fields = place.clone();
            fields[name] = value;
            fields
        };
        let mut events = Vec::new();
        if spoken {
            events.push(self.event("response.output_audio.done", place.clone()));
            let fields = with("transcript", Value::from(text));
            events.push(self.event("response.output_audio_transcript.done", fields));
        } else {
            events.push(self.event("response.output_text.done", with("text", Value::from(text))));
        }
        events.push(self.event("response.content_part.done", with("part", part(spoken, text))));
        events
    }

    fn response(
        &self,
        reply: &Reply,
        session: &Session,
        status: &str,
        details: &Value,
        output: &[ConversationItem],
        usage: Option<&Usage>,
    ) -> Value {
        let output: Vec<Value> = output.iter().map(item::to_json).collect();
        let mut response = json!({
            "object": "realtime.response",
            "id": reply.id,
            "status": status,
            "status_details": details,
            "output": output,
            "output_modalities": [if reply.spoken { "audio" } else { "text" }],
            "max_output_tokens": session.max_output_tokens,
            "audio": { "output": { "format": reply.format, "voice": session.audio.output.voice } },
            "usage": usage.map(usage_json),
            "metadata": reply.metadata,
        });
        if !reply.out_of_band {
            response["conversation_id"] = Value::from(self.conversation_id.as_str());
        }
        response
    }

    fn event(&mut self, kind: &str, fields: Value) -> String {
        self.count += 1;
        let mut event = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        event.insert("type".to_owned(), Value::from(kind));
        event.insert("event_id".to_owned(), Value::from(format!("event_{}", self.count)));
        Value::Object(event).to_string()
    }
}

/// The fields that say to which part of which message of a reply an event belongs.
fn place(reply: &ReplyId, item: &ItemId, index: usize) -> Value {
    json!({ "response_id": reply, "item_id": item, "output_index": index, "content_index": 0 })
}

/// A content part. Parts are called `audio` and `text` where items say `output_audio` and `output_text`.
fn part(spoken: bool, text: &str) -> Value {
    if spoken {
        json!({ "type": "audio", "transcript": text })
    } else {
        json!({ "type": "text", "text": text })
    }
}

fn status_json(status: &ReplyStatus) -> (&'static str, Value) {
    let details = |kind: &str, reason: &str| json!({ "type": kind, "reason": reason });
    match status {
        ReplyStatus::Completed => ("completed", Value::Null),
        ReplyStatus::Interrupted => ("cancelled", details("cancelled", "turn_detected")),
        ReplyStatus::Cancelled => ("cancelled", details("cancelled", "client_cancelled")),
        ReplyStatus::TooLong => ("incomplete", details("incomplete", "max_output_tokens")),
        ReplyStatus::Filtered => ("incomplete", details("incomplete", "content_filter")),
        ReplyStatus::Failed(error) => ("failed", json!({ "type": "failed", "error": error_json(error) })),
    }
}

fn error_json(error: &Error) -> Value {
    let code = match error.kind() {
        antiphon_core::ErrorKind::RateLimited => "rate_limit_exceeded",
        antiphon_core::ErrorKind::Timeout => "timeout",
        antiphon_core::ErrorKind::Unavailable => "unavailable",
        antiphon_core::ErrorKind::Invalid => "invalid_value",
        _ => "internal_error",
    };
    json!({ "type": "server_error", "code": code, "message": error.to_string() })
}

/// The token counts of a response. The language model reads and writes text only, so no tokens count as audio even
/// when the reply is spoken.
fn usage_json(usage: &Usage) -> Value {
    json!({
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_token_details": {
            "text_tokens": usage.input_tokens,
            "audio_tokens": 0,
            "cached_tokens": usage.cached_tokens,
        },
        "output_token_details": { "text_tokens": usage.output_tokens, "audio_tokens": 0 },
    })
}
