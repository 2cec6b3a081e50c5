//! Conversations in the form that Anthropic and Google require: the instructions are separate, user and assistant
//! alternate, the user begins, and every tool call is followed by its result.

use std::collections::HashMap;

use antiphon_core::{Message, Role, ToolCall};
use serde_json::{Value, json};

/// Inserted as the user's turn where the assistant speaks first, which both vendors refuse.
const BEGIN: &str = "(The conversation begins.)";
/// Inserted as the result of a call whose tool has not answered: both vendors refuse a call without a result.
const NO_RESULT: &str = "(There is no result yet.)";

/// A conversation in this form.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Conversation<'a> {
    /// The instructions at its beginning.
    pub(crate) system: String,
    /// The turns of user and assistant in alternation; the first is the user's. There is at least one.
    pub(crate) turns: Vec<Vec<Block<'a>>>,
}

/// A piece of a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Block<'a> {
    /// A text that is more than spaces.
    Text(&'a str),
    /// A tool call of the assistant.
    Call(&'a ToolCall),
    /// The result of a call. Results come first in their turn.
    Result(&'a ToolCall, &'a str),
}

impl<'a> Conversation<'a> {
    /// Converts messages. Instructions in the middle of the conversation become the user's words; results without a
    /// call are left out.
    pub(crate) fn new(messages: &'a [Message]) -> Self {
        let first = messages.iter().position(|m| m.role != Role::System).unwrap_or(messages.len());
        let (system, messages) = messages.split_at(first);
        let results = messages.iter().filter(|m| m.role == Role::Tool);
        let results =
            results.filter_map(|m| Some((m.tool_call_id.as_deref()?, m.content.as_str()))).collect();
        let mut this = Self::default();
        for message in messages {
            this.answer(&results);
            let mut blocks = Vec::new();
            if !message.content.trim().is_empty() && message.role != Role::Tool {
                blocks.push(Block::Text(&message.content));
            }
            blocks.extend(message.tool_calls.iter().map(Block::Call));
            if !blocks.is_empty() {
                this.push(message.role == Role::Assistant, blocks);
            }
        }
        this.answer(&results);
        if this.turns.is_empty() {
            this.turns.push(vec![Block::Text(BEGIN)]);
        }
        let system: Vec<&str> =
            system.iter().map(|m| m.content.trim()).filter(|text| !text.is_empty()).collect();
        this.system = system.join("\n\n");
        this
    }

    /// Whether the turn at `index` is the assistant's.
    pub(crate) fn assistant(index: usize) -> bool {
        index % 2 == 1
    }

    fn push(&mut self, assistant: bool, blocks: Vec<Block<'a>>) {
        if assistant && self.turns.is_empty() {
            self.turns.push(vec![Block::Text(BEGIN)]);
        }
        match self.turns.len().checked_sub(1) {
            Some(last) if Self::assistant(last) == assistant => self.turns[last].extend(blocks),
            _ => self.turns.push(blocks),
        }
    }

    /// Adds the results of the calls in the last turn, if that is the assistant's.
    fn answer(&mut self, results: &HashMap<&str, &'a str>) {
        let Some(last) = self.turns.last().filter(|_| Self::assistant(self.turns.len() - 1)) else { return };
        let result = |block: &Block<'a>| match block {
            Block::Call(call) => {
                Some(Block::Result(call, results.get(call.id.as_str()).copied().unwrap_or(NO_RESULT)))
            }
            _ => None,
        };
        let answers: Vec<_> = last.iter().filter_map(result).collect();
        if !answers.is_empty() {
            self.turns.push(answers);
        }
    }
}

/// The arguments that the model wrote, as the JSON object that both vendors require.
pub(crate) fn arguments(call: &ToolCall) -> Value {
    match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ if call.arguments.trim().is_empty() => json!({}),
        _ => json!({ "malformed": call.arguments }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() }
    }

    fn calls(ids: &[&str]) -> Message {
        Message { tool_calls: ids.iter().map(|id| call(id)).collect(), ..Message::new(Role::Assistant, "") }
    }

    fn result(id: &str, text: &str) -> Message {
        Message { tool_call_id: Some(id.to_owned()), ..Message::new(Role::Tool, text) }
    }

    #[test]
    fn turns_alternate_and_the_user_begins() {
        let said = |role, text: &str| Message::new(role, text);
        let messages = [
            said(Role::System, "Be brief."),
            said(Role::System, " "),
            said(Role::Assistant, "Hello."),
            said(Role::User, "One."),
            said(Role::User, "Two."),
            said(Role::Assistant, "  "),
            said(Role::System, "Be kind."),
        ];
        let conversation = Conversation::new(&messages);
        assert_eq!(conversation.system, "Be brief.");
        let text = Block::Text;
        let user = vec![text("One."), text("Two."), text("Be kind.")];
        assert_eq!(conversation.turns, [vec![text(BEGIN)], vec![text("Hello.")], user]);
        assert_eq!(Conversation::new(&[]).turns, [[text(BEGIN)]]);
    }

    #[test]
    fn every_call_is_followed_by_its_result() {
        let late = [
            Message::new(Role::User, "?"),
            calls(&["a", "b"]),
            Message::new(Role::User, "Well?"),
            result("a", "1"),
            result("forgotten", "2"),
            calls(&["c"]),
        ];
        let (a, b, c) = (call("a"), call("b"), call("c"));
        let turns = Conversation::new(&late).turns;
        assert_eq!(turns[1], [Block::Call(&a), Block::Call(&b)]);
        assert_eq!(turns[2], [Block::Result(&a, "1"), Block::Result(&b, NO_RESULT), Block::Text("Well?")]);
        assert_eq!(turns[3..], [[Block::Call(&c)], [Block::Result(&c, NO_RESULT)]]);
        let then = [
            Message::new(Role::User, "?"),
            calls(&["a"]),
            result("a", ""),
            Message::new(Role::Assistant, "So."),
        ];
        let turns = Conversation::new(&then).turns;
        assert_eq!(turns[2..], [[Block::Result(&a, "")], [Block::Text("So.")]]);
    }

    proptest! {
        #[test]
        fn any_conversation_becomes_a_valid_one(kinds in prop::collection::vec((0_usize..5, 0_usize..4), 0..12)) {
            let messages: Vec<Message> = kinds.iter().map(|(kind, id)| match kind {
                0 => Message::new(Role::System, "s"),
                1 => Message::new(Role::User, "u"),
                2 => Message::new(Role::Assistant, "a"),
                3 => calls(&[&id.to_string()]),
                _ => result(&id.to_string(), "r"),
            }).collect();
            let turns = Conversation::new(&messages).turns;
            prop_assert!(!turns.is_empty() && turns.iter().all(|turn| !turn.is_empty()));
            for (index, turn) in turns.iter().enumerate() {
                let calls = turn.iter().filter(|block| matches!(block, Block::Call(_))).count();
                let answers = turns.get(index + 1).into_iter().flatten();
                let answers = answers.take_while(|block| matches!(block, Block::Result(..))).count();
                prop_assert_eq!(calls, answers);
                prop_assert!(calls == 0 || Conversation::assistant(index));
            }
        }
    }
}
