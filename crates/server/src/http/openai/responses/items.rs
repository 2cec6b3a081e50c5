//! The items of a conversation that clients send: messages, tool calls and what tools gave.

use antiphon_core::{Message, Requester, Role, ToolCall};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::said_lately::SaidLately;

/// A text, which is one message of the user, or the items of a conversation.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a string or an array of items")]
pub(super) enum ResponseInput {
    Text(String),
    Items(Vec<InputItem>),
}

/// An item of type `message` (which is the default), `function_call`, `function_call_output`, or `item_reference` to a message of
/// the last hour. Items of type `reasoning` are passed over.
#[derive(Deserialize, ToSchema)]
pub(super) struct InputItem {
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Of a message.
    role: Option<InputRole>,
    /// Of a message.
    content: Option<InputContent>,
    /// Of an `item_reference`.
    id: Option<String>,
    /// Which call this is or answers.
    call_id: Option<String>,
    /// The tool that was called.
    name: Option<String>,
    /// The arguments of a call, as JSON text.
    arguments: Option<String>,
    /// What the tool gave.
    output: Option<InputContent>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum InputRole {
    User,
    Assistant,
    System,
    Developer,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a string or an array of content parts")]
enum InputContent {
    Text(String),
    Parts(Vec<InputPart>),
}

/// Only text is understood.
#[derive(Deserialize, ToSchema)]
struct InputPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

impl ResponseInput {
    /// The conversation as the engine reads it.
    pub(super) fn into_messages(
        self,
        whose: &Requester,
        kept: &SaidLately,
    ) -> Result<Vec<Message>, ApiError> {
        let items = match self {
            Self::Text(text) => return Ok(vec![Message::new(Role::User, text)]),
            Self::Items(items) => items,
        };
        let mut messages = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            item.add_to(&mut messages, whose, kept)
                .map_err(|what| ApiError::invalid_param("input", format!("input[{index}]{what}")))?;
        }
        Ok(messages)
    }
}

impl InputItem {
    fn add_to(self, messages: &mut Vec<Message>, whose: &Requester, kept: &SaidLately) -> Result<(), String> {
        match self.kind.as_deref().unwrap_or("message") {
            "message" => {
                let role = match self.role.ok_or(" is a message without a role")? {
                    InputRole::User => Role::User,
                    InputRole::Assistant => Role::Assistant,
                    InputRole::System | InputRole::Developer => Role::System,
                };
                let content = self.content.ok_or(" is a message without content")?.into_text()?;
                messages.push(Message::new(role, content));
            }
            "function_call" => {
                let call = ToolCall {
                    id: self.call_id.ok_or(" is a function_call without a call_id")?,
                    name: self.name.ok_or(" is a function_call without a name")?,
                    arguments: self.arguments.unwrap_or_default(),
                };
                add_call(messages, call);
            }
            "function_call_output" => {
                let id = self.call_id.ok_or(" is a function_call_output without a call_id")?;
                let output =
                    self.output.ok_or(" is a function_call_output without an output")?.into_text()?;
                messages.push(Message { tool_call_id: Some(id), ..Message::new(Role::Tool, output) });
            }
            "item_reference" => {
                let id = self.id.ok_or(" is an item_reference without an id")?;
                let text = kept.find(whose, &id).ok_or_else(|| {
                    format!(
                        " refers to {id:?}, which is not kept: responses are not stored; send the item itself (set store to false)"
                    )
                })?;
                messages.push(Message::new(Role::Assistant, text));
            }
            // What another model thought; no engine here reads it.
            "reasoning" => {}
            other => {
                return Err(format!(
                    " has the type {other:?}; messages, function calls and their outputs are understood"
                ));
            }
        }
        Ok(())
    }
}

/// Several calls in a row, and what was said before them, are one message of the assistant.
fn add_call(messages: &mut Vec<Message>, call: ToolCall) {
    match messages.last_mut() {
        Some(last) if last.role == Role::Assistant => last.tool_calls.push(call),
        _ => messages.push(Message { tool_calls: vec![call], ..Message::new(Role::Assistant, "") }),
    }
}

impl InputContent {
    /// All of the text; or an error about the part that is not text.
    fn into_text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Parts(parts) => parts.into_iter().map(InputPart::into_text).collect(),
        }
    }
}

impl InputPart {
    fn into_text(self) -> Result<String, String> {
        match self.kind.as_str() {
            "input_text" | "output_text" | "text" => {
                self.text.ok_or_else(|| format!(": a part of type {:?} has no text", self.kind))
            }
            "refusal" => Ok(self.refusal.unwrap_or_default()),
            other => Err(format!(": the language model reads text only, not parts of type {other:?}")),
        }
    }
}
