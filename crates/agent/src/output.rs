//! The items of a reply, and the events that report how they grow.

use antiphon_core::{
    ConversationItem, Event, ItemContent, ItemId, ItemStatus, Part, ReplyId, Role, ToolCall,
};

use crate::ids;

/// The items of one reply. The last of them may be unfinished.
#[derive(Debug)]
pub(crate) struct ReplyOutput {
    reply: ReplyId,
    spoken: bool,
    items: Vec<ConversationItem>,
    /// The index of the tool call in the completion that is growing.
    tool: Option<usize>,
}

impl ReplyOutput {
    pub(crate) fn new(reply: ReplyId, spoken: bool) -> Self {
        Self { reply, spoken, items: Vec::new(), tool: None }
    }

    /// The items so far.
    pub(crate) fn items(&self) -> &[ConversationItem] {
        &self.items
    }

    /// The message that is growing, or else the last one.
    pub(crate) fn message(&self) -> Option<&ItemId> {
        self.items.iter().rfind(|i| matches!(i.content, ItemContent::Message { .. })).map(|i| &i.id)
    }

    /// The message, if it is still growing.
    pub(crate) fn growing_message(&self) -> Option<&ConversationItem> {
        self.items
            .iter()
            .rfind(|item| is_growing(item) && matches!(item.content, ItemContent::Message { .. }))
    }

    /// Adds text to the agent's message.
    pub(crate) fn text(&mut self, delta: &str) -> Vec<Event> {
        let mut events = Vec::new();
        if !self.growing().is_some_and(|item| matches!(item.content, ItemContent::Message { .. })) {
            events.extend(self.close(ItemStatus::Completed));
            let part = if self.spoken {
                Part::Audio { transcript: Some(String::new()) }
            } else {
                Part::Text(String::new())
            };
            events.push(self.open(ItemContent::Message { role: Role::Assistant, parts: vec![part] }));
        }
        let index = self.items.len() - 1;
        if let ItemContent::Message { parts, .. } = &mut self.items[index].content
            && let Some(Part::Text(text) | Part::Audio { transcript: Some(text) }) = parts.first_mut()
        {
            text.push_str(delta);
        }
        events.push(Event::OutputText {
            reply: self.reply.clone(),
            item: self.items[index].id.clone(),
            index,
            delta: delta.to_owned(),
        });
        events
    }

    /// Adds to a tool call; `call` is its index among the calls of the completion.
    pub(crate) fn tool_call(
        &mut self,
        call: usize,
        id: Option<String>,
        name: Option<String>,
        delta: &str,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        if self.tool != Some(call) {
            events.extend(self.written());
            self.tool = Some(call);
            let tool = ToolCall {
                id: id.unwrap_or_else(|| ids::unique("call_")),
                name: name.unwrap_or_default(),
                arguments: String::new(),
            };
            events.push(self.open(ItemContent::ToolCall(tool)));
        }
        let index = self.items.len() - 1;
        let item = &mut self.items[index];
        if let ItemContent::ToolCall(tool) = &mut item.content {
            tool.arguments.push_str(delta);
            if !delta.is_empty() {
                events.push(Event::OutputArguments {
                    reply: self.reply.clone(),
                    item: item.id.clone(),
                    index,
                    call_id: tool.id.clone(),
                    delta: delta.to_owned(),
                });
            }
        }
        events
    }

    /// The model has finished writing, so tools can be called even while the message before them is still
    /// being spoken.
    pub(crate) fn written(&mut self) -> Vec<Event> {
        let spoken = self.spoken;
        self.close_where(ItemStatus::Completed, |item| {
            !spoken || matches!(item.content, ItemContent::ToolCall(_))
        })
    }

    /// Ends all items that are still growing, with the events that tell so.
    pub(crate) fn close(&mut self, status: ItemStatus) -> Vec<Event> {
        self.close_where(status, |_| true)
    }

    fn close_where(&mut self, status: ItemStatus, over: impl Fn(&ConversationItem) -> bool) -> Vec<Event> {
        self.tool = None;
        let growing = self.items.iter_mut().enumerate().filter(|(_, item)| is_growing(item) && over(item));
        growing
            .map(|(index, item)| {
                item.status = status;
                Event::OutputDone { reply: self.reply.clone(), index, item: item.clone() }
            })
            .collect()
    }

    /// The last item, if it is unfinished.
    fn growing(&self) -> Option<&ConversationItem> {
        self.items.last().filter(|item| is_growing(item))
    }

    fn open(&mut self, content: ItemContent) -> Event {
        let id = ItemId::new(ids::unique("item_"));
        let item = ConversationItem { id, content, status: ItemStatus::InProgress };
        let index = self.items.len();
        self.items.push(item.clone());
        Event::OutputStarted { reply: self.reply.clone(), index, item }
    }
}

fn is_growing(item: &ConversationItem) -> bool {
    item.status == ItemStatus::InProgress
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_called_while_the_message_before_it_is_still_spoken() {
        let mut output = ReplyOutput::new(ReplyId::new("r"), true);
        let mut events = output.text("Let me ");
        events.extend(output.text("look."));
        events.extend(output.tool_call(0, Some("a".into()), Some("weather".into()), "{\"x\""));
        events.extend(output.tool_call(0, None, None, ":1}"));
        events.extend(output.tool_call(1, Some("b".into()), Some("time".into()), ""));
        events.extend(output.written());
        events.extend(output.close(ItemStatus::Completed));
        let kinds: Vec<&str> = events
            .iter()
            .map(|e| match e {
                Event::OutputStarted { .. } => "started",
                Event::OutputText { .. } => "text",
                Event::OutputArguments { .. } => "arguments",
                Event::OutputDone { .. } => "done",
                _ => "other",
            })
            .collect();
        let expected = [
            "started",
            "text",
            "text",
            "started",
            "arguments",
            "arguments",
            "done",
            "started",
            "done",
            "done",
        ];
        assert_eq!(kinds, expected);
        assert_eq!(output.items()[0].text(), "Let me look.");
        let calls: Vec<_> = output.items()[1..]
            .iter()
            .map(|i| match &i.content {
                ItemContent::ToolCall(c) => (c.id.as_str(), c.arguments.as_str()),
                ItemContent::Message { .. } | ItemContent::ToolOutput { .. } => ("", ""),
            })
            .collect();
        assert_eq!(calls, [("a", "{\"x\":1}"), ("b", "")]);
    }
}
