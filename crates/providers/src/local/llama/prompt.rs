//! From the messages of a request to the tokens of a prompt.

use antiphon_core::{ChatRequest, Error, Message, Result, Role, ToolChoice};
use llama_cpp_2::model::{LlamaChatMessage, LlamaChatTemplate, LlamaModel};
use llama_cpp_2::token::LlamaToken;

use super::{LlamaOptions, tools};

/// Builds the prompts for one model, with its own chat template.
pub(super) struct Prompts<'a> {
    model: &'a LlamaModel,
    template: LlamaChatTemplate,
    options: &'a LlamaOptions,
}

impl<'a> Prompts<'a> {
    /// Reads the model's chat template; a model without one gets `ChatML`.
    pub(super) fn new(model: &'a LlamaModel, options: &'a LlamaOptions) -> Result<Self> {
        let chatml = || LlamaChatTemplate::new("chatml").map_err(|e| Error::internal(e.to_string()));
        let template = model.chat_template(None).or_else(|_| chatml())?;
        Ok(Self { model, template, options })
    }

    /// The tokens of the prompt. When it is too long the oldest messages are dropped, but never the instructions.
    pub(super) fn build(&self, chat: &ChatRequest, answers: bool) -> Result<Vec<LlamaToken>> {
        let reply = self.options.longest_reply(chat);
        // One conversation may fill half the cache, so that there is room for others.
        let limit = (self.options.settings.context / 2).saturating_sub(reply) as usize;
        let given = with_tools(chat);
        let mut messages: Vec<&Message> = given.iter().collect();
        loop {
            let tokens = self.tokens(&messages, answers)?;
            if tokens.len() <= limit {
                return Ok(tokens);
            }
            let oldest = messages.iter().position(|m| m.role != Role::System);
            let Some(at) = oldest.filter(|&at| at + 1 < messages.len()) else {
                return Err(Error::invalid(format!(
                    "the message is {} tokens long; {limit} fit with [llm] context = {}",
                    tokens.len(),
                    self.options.settings.context
                )));
            };
            // A quarter at a time, because each try tokenises the whole prompt again.
            let spare = messages.len() - 1 - at;
            messages.drain(at..at + (spare / 4).max(1));
        }
    }

    fn tokens(&self, messages: &[&Message], answers: bool) -> Result<Vec<LlamaToken>> {
        let invalid = |e: &dyn std::fmt::Display| Error::invalid(format!("the prompt cannot be built: {e}"));
        let message = |m: &&Message| {
            let role = match m.role {
                Role::System => "system",
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            let content = match m.role {
                Role::Assistant if !m.tool_calls.is_empty() => tools::written(m),
                Role::Tool => tools::response(&m.content),
                _ => m.content.clone(),
            };
            LlamaChatMessage::new(role.to_owned(), content.replace('\0', "")).map_err(|e| invalid(&e))
        };
        let messages = messages.iter().map(message).collect::<Result<Vec<_>>>()?;
        let text =
            self.model.apply_chat_template(&self.template, &messages, answers).map_err(|e| invalid(&e))?;
        Ok(self.model.vocab().tokenize(text.as_bytes(), true, true))
    }
}

/// The messages of a request, with the instructions extended by the description of the tools.
fn with_tools(chat: &ChatRequest) -> Vec<Message> {
    let mut messages = chat.messages.clone();
    if chat.tools.is_empty() || chat.tool_choice == ToolChoice::None {
        return messages;
    }
    let told = tools::instructions(&chat.tools);
    match messages.first_mut() {
        Some(first) if first.role == Role::System => {
            first.content.push_str("\n\n");
            first.content.push_str(&told);
        }
        _ => messages.insert(0, Message::new(Role::System, told)),
    }
    messages
}
