//! The keys of answers.

use antiphon_core::{ChatRequest, PersonId, Reuse, Role};

use crate::wording::Wording;
use crate::{Key, KeyBuilder, Kind};

/// Everything that an answer depends on, except the question.
pub(super) struct Situation<'a> {
    pub(super) request: &'a ChatRequest,
    pub(super) reuse: &'a Reuse,
    /// The engine and its model.
    pub(super) model: &'a str,
}

/// How much of the conversation before the question is part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// All of it, that is, what was said and the instructions.
    Said,
    /// Nothing that was said, only the instructions.
    Nothing,
}

impl Situation<'_> {
    /// The key of the answer to a question in these words.
    pub(super) fn key(&self, wording: &Wording, before: Before) -> Key {
        let mut key = self.builder(before, true);
        wording.add_to(&mut key);
        key.build()
    }

    /// The scope of a question: two questions with the same scope may have the same answer if they mean the same. What was looked
    /// up is not part of it, since other words find other passages of the same knowledge.
    pub(super) fn scope(&self, before: Before) -> Key {
        self.builder(before, false).build()
    }

    fn builder(&self, before: Before, with_looked_up: bool) -> KeyBuilder {
        let Self { request, reuse, model } = self;
        let mut key = KeyBuilder::new(Kind::Reply, request.requester.tenant.as_str());
        key.add(model)
            .add(request.model.as_deref().unwrap_or_default())
            .add(reuse.person.as_ref().map_or("", PersonId::as_str))
            .add(reuse.knowledge.to_le_bytes());
        let number = |value: Option<f32>| value.map_or([0xFF; 4], f32::to_le_bytes);
        key.add(number(request.temperature)).add(number(request.top_p));
        key.add(request.max_tokens.map_or([0xFF; 4], u32::to_le_bytes));
        key.add(request.seed.map_or([0xFF; 8], u64::to_le_bytes)).add(format!("{:?}", request.tool_choice));
        key.add([u8::from(request.single_call)]);
        key.add(format!("{:?}", request.form)).add(request.stop.len().to_le_bytes());
        for text in &request.stop {
            key.add(text);
        }
        key.add(request.tools.len().to_le_bytes());
        for tool in &request.tools {
            key.add(&tool.name).add(&tool.description).add(tool.parameters.to_string());
        }
        let messages = &request.messages[..request.messages.len() - 1];
        let instructions = messages.iter().take_while(|message| message.role == Role::System).count();
        for (at, message) in messages.iter().enumerate() {
            let looked_up = reuse.looked_up == Some(at);
            let matters =
                if looked_up { with_looked_up } else { before == Before::Said || at < instructions };
            if !matters {
                continue;
            }
            key.add(format!("{:?}", message.role))
                .add(&message.content)
                .add(message.tool_calls.len().to_le_bytes());
            for call in &message.tool_calls {
                key.add(&call.name).add(&call.arguments);
            }
        }
        key
    }
}
