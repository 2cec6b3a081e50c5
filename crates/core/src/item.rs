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

    /// How many bytes it holds: its text, its names, and what the list of its parts takes.
    pub fn held_bytes(&self) -> usize {
        let part_bytes = |part: &Part| size_of::<Part>() + part.text().len();
        let content = match &self.content {
            ItemContent::Message { parts, .. } => parts.iter().map(part_bytes).sum(),
            ItemContent::ToolCall(call) => call.id.len() + call.name.len() + call.arguments.len(),
            ItemContent::ToolOutput { call_id, output } => call_id.len() + output.len(),
        };
        self.id.as_str().len() + content
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_long_counts() {
        let long = || "x".repeat(1_000);
        let item =
            |content| ConversationItem { id: ItemId::new("i"), content, status: ItemStatus::Completed };
        let call = ToolCall { id: long(), name: long(), arguments: long() };
        for (content, at_least) in [
            (ItemContent::ToolCall(call), 3_000),
            (ItemContent::ToolOutput { call_id: long(), output: long() }, 2_000),
            (ItemContent::Message { role: Role::User, parts: vec![Part::Text(long())] }, 1_000),
            (ItemContent::Message { role: Role::User, parts: vec![Part::Text(String::new()); 100] }, 1_000),
        ] {
            let held = item(content.clone()).held_bytes();
            assert!((at_least..2 * at_least + 2_000).contains(&held), "{held}: {content:?}");
        }
        let named = ConversationItem::message(ItemId::new(long()), Role::User, Part::Text(String::new()));
        assert!(named.held_bytes() >= 1_000);
    }
}
