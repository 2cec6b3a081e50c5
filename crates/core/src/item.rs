//! The items of a conversation: what was said, what tools were called, what they answered.

use crate::chat::{Role, ToolCall};
use crate::id::ItemId;

/// One item, in the order of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationItem {
    /// Unique within the call.
    pub id: ItemId,
    /// What was said, called or answered.
    pub content: ItemContent,
    /// How far it got.
    pub status: ItemStatus,
}

/// How far an item got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemStatus {
    /// It is still being made, and more content will follow.
    InProgress,
    /// All of it is there.
    Completed,
    /// Cut short: an interrupted or failed reply.
    Incomplete,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemContent {
    /// The person or the agent said or wrote something.
    Message {
        /// Whose words these are.
        role: Role,
        /// The content, in the order in which it was said or written.
        parts: Vec<Part>,
    },
    /// The model called a tool.
    ToolCall(ToolCall),
    /// The output of a tool that the model called.
    ToolOutput {
        /// The [`ToolCall::id`] it answers.
        call_id: String,
        /// Whatever the tool gave, as text.
        output: String,
    },
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that was written, not spoken.
    Text(String),
    /// Speech; its words once they are known.
    Audio {
        /// The words that were said; `None` until they are known.
        transcript: Option<String>,
    },
}

impl Part {
    /// The words, as far as they are known.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Audio { transcript } => transcript.as_deref().unwrap_or_default(),
        }
    }
}

impl ConversationItem {
    /// A completed message of one part.
    pub fn message(id: ItemId, role: Role, part: Part) -> Self {
        let content = ItemContent::Message { role, parts: vec![part] };
        Self { id, content, status: ItemStatus::Completed }
    }

    /// How many bytes of text it holds.
    pub fn text_bytes(&self) -> usize {
        match &self.content {
            ItemContent::Message { parts, .. } => parts.iter().map(|part| part.text().len()).sum(),
            ItemContent::ToolCall(call) => call.name.len() + call.arguments.len(),
            ItemContent::ToolOutput { output, .. } => output.len(),
        }
    }

    /// The words of a message, its parts joined by spaces; empty for anything else.
    pub fn text(&self) -> String {
        match &self.content {
            ItemContent::Message { parts, .. } => {
                let texts: Vec<&str> = parts.iter().map(Part::text).filter(|t| !t.is_empty()).collect();
                texts.join(" ")
            }
            _ => String::new(),
        }
    }
}
