//! Items of the conversation in the JSON of the Realtime protocol.

use antiphon_agent::ids;
use antiphon_core::{ConversationItem, ItemContent, ItemId, ItemStatus, Part, Role, ToolCall};
use serde::Deserialize;
use serde_json::{Value, json};

use super::invalid::Invalid;
use super::media::{Format, decode_recording};

/// Longest id of an item, in characters. OpenAI allows 32, but the ids that some clients make are longer.
const MAX_ID: usize = 128;

/// An item that a client sent.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum GivenItem {
    Message { id: Option<String>, role: GivenRole, content: Vec<GivenPart> },
    FunctionCall { id: Option<String>, call_id: Option<String>, name: String, arguments: String },
    FunctionCallOutput { id: Option<String>, call_id: String, output: String },
    ItemReference { id: String },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum GivenRole {
    System,
    User,
    Assistant,
}

/// A part of a message. `text` and `audio` are the names that the protocol's responses give to what its items call
/// `output_text` and `output_audio`.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum GivenPart {
    #[serde(rename = "input_text", alias = "output_text", alias = "text")]
    Text { text: String },
    #[serde(rename = "input_audio", alias = "output_audio", alias = "audio")]
    Audio { audio: Option<String>, transcript: Option<String> },
    #[serde(rename = "input_image")]
    Image {},
}

/// An item from a client, after it has been checked.
pub(super) enum Given {
    /// A new item. If its words are not known yet, its speech at 16 kHz comes with it; otherwise that is empty.
    Item(ConversationItem, Vec<i16>),
    /// A reference to an item that is already in the conversation.
    Reference(ItemId),
}

impl GivenItem {
    /// Checks the item. `format` is the format of the audio in it, and `param` its path in error messages.
    pub(super) fn understand(self, format: Format, param: &str) -> Result<Given, Invalid> {
        let mut audio = Vec::new();
        let (id, content) = match self {
            Self::ItemReference { id } => return Ok(Given::Reference(ItemId::new(id))),
            Self::Message { id, role, content } => {
                let role = match role {
                    GivenRole::System => Role::System,
                    GivenRole::User => Role::User,
                    GivenRole::Assistant => Role::Assistant,
                };
                let parts = content.into_iter().enumerate().map(|(at, part)| {
                    part.understand(format, &mut audio, || format!("{param}.content[{at}]"))
                });
                (id, ItemContent::Message { role, parts: parts.collect::<Result<_, _>>()? })
            }
            Self::FunctionCall { id, call_id, name, arguments } => {
                let call_id = call_id.unwrap_or_else(|| ids::unique("call_"));
                (id, ItemContent::ToolCall(ToolCall { id: call_id, name, arguments }))
            }
            Self::FunctionCallOutput { id, call_id, output } => {
                (id, ItemContent::ToolOutput { call_id, output })
            }
        };
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| ids::unique("item_"));
        if id.len() > MAX_ID {
            let message = format!("the item's id is longer than {MAX_ID} bytes");
            return Err(Invalid::param(format!("{param}.id"), message));
        }
        let item = ConversationItem { id: ItemId::new(id), content, status: ItemStatus::Completed };
        Ok(Given::Item(item, audio))
    }
}

impl GivenPart {
    fn understand(
        self,
        format: Format,
        audio: &mut Vec<i16>,
        param: impl Fn() -> String,
    ) -> Result<Part, Invalid> {
        match self {
            Self::Text { text } => Ok(Part::Text(text)),
            Self::Audio { transcript: Some(text), .. } => Ok(Part::Audio { transcript: Some(text) }),
            Self::Audio { audio: Some(base64), transcript: None } => {
                let samples = decode_recording(format, &base64);
                let samples = samples
                    .ok_or_else(|| Invalid::param(format!("{}.audio", param()), "the audio is not base64"))?;
                audio.extend(samples);
                Ok(Part::Audio { transcript: None })
            }
            Self::Audio { audio: None, transcript: None } => {
                Err(Invalid::param(param(), "audio needs `audio` or `transcript`"))
            }
            Self::Image {} => {
                Err(Invalid::param(param(), "images are not understood: describe them in `input_text`"))
            }
        }
    }
}

/// The JSON of an item. Fields that its type does not have are absent, never null, because clients expect it so.
pub(super) fn to_json(item: &ConversationItem) -> Value {
    let status = match item.status {
        ItemStatus::InProgress => "in_progress",
        ItemStatus::Completed => "completed",
        ItemStatus::Incomplete => "incomplete",
    };
    let mut json = match &item.content {
        ItemContent::Message { role, parts } => {
            // A message that has only just begun has no content yet.
            let begun = item.status == ItemStatus::InProgress;
            let content: Vec<Value> =
                if begun { Vec::new() } else { parts.iter().map(|part| part_json(*role, part)).collect() };
            let role = match role {
                Role::System | Role::Tool => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            json!({ "type": "message", "role": role, "content": content })
        }
        ItemContent::ToolCall(call) => {
            let arguments = if item.status == ItemStatus::InProgress { "" } else { call.arguments.as_str() };
            json!({
                "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments,
            })
        }
        ItemContent::ToolOutput { call_id, output } => {
            json!({ "type": "function_call_output", "call_id": call_id, "output": output })
        }
    };
    json["id"] = Value::from(item.id.as_str());
    json["object"] = Value::from("realtime.item");
    json["status"] = Value::from(status);
    json
}

fn part_json(role: Role, part: &Part) -> Value {
    match (role, part) {
        (Role::Assistant, Part::Text(text)) => json!({ "type": "output_text", "text": text }),
        (Role::Assistant, Part::Audio { transcript }) => {
            json!({ "type": "output_audio", "transcript": transcript.as_deref().unwrap_or_default() })
        }
        (_, Part::Text(text)) => json!({ "type": "input_text", "text": text }),
        // The key must be present although the words are not known yet, because clients read it.
        (_, Part::Audio { transcript }) => json!({ "type": "input_audio", "transcript": transcript }),
    }
}
