//! What the language model reads. The instructions come first and never change, so that engines can cache them. Then
//! comes the conversation as it was heard.

use antiphon_core::session::{ReplyRequest, SessionConfig};
use antiphon_core::{ChatRequest, ConversationItem, ItemContent, Message, Part, Requester, Role};

/// The request for a reply to `items`, with the changes that `asked` makes.
pub(crate) fn chat_request<'a>(
    requester: Requester,
    config: &SessionConfig,
    asked: &ReplyRequest,
    items: impl Iterator<Item = &'a ConversationItem>,
) -> ChatRequest {
    let instructions = asked.instructions.as_ref().unwrap_or(&config.instructions);
    let mut messages = Vec::new();
    if !instructions.trim().is_empty() {
        messages.push(Message::new(Role::System, instructions.trim()));
    }
    for item in items {
        append(&mut messages, item);
    }
    ChatRequest {
        model: config.model.name.clone(),
        tools: asked.tools.clone().unwrap_or_else(|| config.model.tools.clone()),
        tool_choice: asked.tool_choice.clone().unwrap_or_else(|| config.model.tool_choice.clone()),
        single_call: asked.single_call.unwrap_or(config.model.single_call),
        temperature: asked.temperature.or(config.model.temperature),
        max_tokens: asked.max_tokens.or(config.model.max_tokens),
        ..ChatRequest::new(requester, messages)
    }
}

/// Inserts what was looked up for this turn before the person's last words. Everything before it stays as it was, for
/// engines that cache what they have read. Returns its index.
pub(crate) fn add_context(messages: &mut Vec<Message>, context: String) -> usize {
    let last = messages.iter().rposition(|message| message.role == Role::User).unwrap_or(messages.len());
    messages.insert(last, Message::new(Role::System, context));
    last
}

fn append(messages: &mut Vec<Message>, item: &ConversationItem) {
    match &item.content {
        ItemContent::Message { role, parts } => {
            let text = words(parts);
            if text.is_empty() {
                return;
            }
            // A person who went on after the turn seemed over has two items in the history but has said one thing.
            let recognised = parts.iter().all(|part| matches!(part, Part::Audio { .. }));
            match messages.last_mut() {
                Some(last) if last.role == *role && last.tool_calls.is_empty() && *role != Role::System => {
                    last.content.push(' ');
                    last.content.push_str(&text);
                    last.recognised &= recognised;
                }
                _ => messages.push(Message { recognised, ..Message::new(*role, text) }),
            }
        }
        ItemContent::ToolCall(call) => match messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.tool_calls.push(call.clone()),
            _ => messages.push(Message {
                tool_calls: vec![call.clone()],
                ..Message::new(Role::Assistant, String::new())
            }),
        },
        ItemContent::ToolOutput { call_id, output } => {
            messages.push(Message {
                tool_call_id: Some(call_id.clone()),
                ..Message::new(Role::Tool, output.clone())
            });
        }
    }
}

fn words(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts.iter().map(|p| p.text().trim()).filter(|t| !t.is_empty()).collect();
    texts.join(" ")
}
