//! From the messages of a request to the tokens of a prompt.
//!
//! What people, documents and tools wrote is tokenised apart from the marks of the model's chat template. So a mark that
//! stands in a text is text, and nobody can forge a turn of the conversation.

use std::borrow::Cow;

use antiphon_core::{ChatRequest, Error, Message, Result, Role, ToolChoice};
use llama_cpp_2::model::{LlamaChatMessage, LlamaChatTemplate, LlamaModel};
use llama_cpp_2::token::LlamaToken;

use super::{LlamaOptions, tools};

/// Stands in the template's text where a message's content belongs. A noncharacter of Unicode: no text contains it by right.
const PLACE: &str = "\u{FDD0}";

/// Builds the prompts for one model, with its own chat template.
pub(super) struct Prompts<'a> {
    model: &'a LlamaModel,
    template: LlamaChatTemplate,
    options: &'a LlamaOptions,
    /// Bytes of the model's longest token. A text that is longer than this for each free token does not fit, which is known
    /// before anything is spent on it.
    longest_token: usize,
    /// Tokens that the template writes around one message.
    marks: usize,
}

/// A message as the model reads it.
struct Content {
    role: &'static str,
    tokens: Vec<LlamaToken>,
    /// Its place in the request, from 1; 0 stands before all messages.
    at: usize,
}

impl<'a> Prompts<'a> {
    /// Reads the model's chat template; a model without one gets `ChatML`.
    pub(super) fn new(model: &'a LlamaModel, options: &'a LlamaOptions) -> Result<Self> {
        let chatml = || LlamaChatTemplate::new("chatml").map_err(|e| Error::internal(e.to_string()));
        let template = model.chat_template(None).or_else(|_| chatml())?;
        let vocab = model.vocab();
        let lengths = (0..vocab.n_tokens()).map(|id| vocab.token_to_piece(LlamaToken(id), false, None).len());
        let longest_token = lengths.max().unwrap_or(1).max(1);
        let mut prompts = Self { model, template, options, longest_token, marks: 1 };
        let empty = |at| Content { role: "user", tokens: Vec::new(), at };
        let one = prompts.write(&[empty(0)], false)?.len();
        let two = prompts.write(&[empty(0), empty(1)], false)?.len();
        prompts.marks = two.saturating_sub(one).max(1);
        Ok(prompts)
    }

    /// The tokens of the prompt. When it is too long the oldest messages are left out, but never the instructions. What does
    /// not fit is not tokenised: however long a conversation is, the work is bounded by the model's context.
    pub(super) fn build(&self, chat: &ChatRequest, answers: bool) -> Result<Vec<LlamaToken>> {
        let reply = self.options.longest_reply(chat);
        // One conversation may fill half the cache, so that there is room for others.
        let limit = (self.options.settings.context / 2).saturating_sub(reply) as usize;
        let mut kept = self.fitting(chat, limit)?;
        loop {
            let tokens = self.write(&kept, answers)?;
            if tokens.len() <= limit {
                return Ok(tokens);
            }
            // The marks around a message were guessed too small, so more of the oldest messages have to go.
            let spoken = kept.iter().filter(|content| content.role != "system").count();
            let oldest = kept.iter().position(|content| content.role != "system");
            let Some(at) = oldest.filter(|_| spoken > 1) else {
                return Err(too_long(chat, limit, self.options.settings.context));
            };
            kept.remove(at);
        }
    }

    /// The instructions, and as many of the latest messages as fit beside them, in the order of the conversation.
    fn fitting(&self, chat: &ChatRequest, limit: usize) -> Result<Vec<Content>> {
        let mut room = limit;
        let mut kept = Vec::new();
        for (at, text) in instructions(chat) {
            let content = self
                .content(at, "system", &text, &mut room)
                .ok_or_else(|| too_long(chat, limit, self.options.settings.context))?;
            kept.push(content);
        }
        let mut spoken = chat.messages.iter().enumerate().filter(|(_, message)| message.role != Role::System);
        let mut latest = true;
        while let Some((at, message)) = spoken.next_back() {
            let (role, text) = as_read(message);
            match self.content(at + 1, role, &text, &mut room) {
                Some(content) => kept.push(content),
                None if latest => return Err(too_long(chat, limit, self.options.settings.context)),
                None => break,
            }
            latest = false;
        }
        kept.sort_by_key(|content| content.at);
        Ok(kept)
    }

    /// A message's tokens, if they and the marks around them fit into `room`, which becomes less.
    fn content(&self, at: usize, role: &'static str, text: &str, room: &mut usize) -> Option<Content> {
        let free = room.checked_sub(self.marks)?;
        if text.len() > free.saturating_mul(self.longest_token) {
            return None;
        }
        let tokens = self.model.vocab().tokenize(text.as_bytes(), false, false);
        *room = free.checked_sub(tokens.len())?;
        Some(Content { role, tokens, at })
    }

    /// Puts the contents into the template: its own text is read with the marks in it, the contents as text alone.
    fn write(&self, contents: &[Content], answers: bool) -> Result<Vec<LlamaToken>> {
        let invalid = |e: &dyn std::fmt::Display| Error::invalid(format!("the prompt cannot be built: {e}"));
        let place = |content: &Content| {
            LlamaChatMessage::new(content.role.to_owned(), PLACE.to_owned()).map_err(|e| invalid(&e))
        };
        let places = contents.iter().map(place).collect::<Result<Vec<_>>>()?;
        let text =
            self.model.apply_chat_template(&self.template, &places, answers).map_err(|e| invalid(&e))?;
        let vocab = self.model.vocab();
        let mut marks = text.split(PLACE);
        let mut tokens = vocab.tokenize(marks.next().unwrap_or_default().as_bytes(), true, true);
        for (content, after) in contents.iter().zip(marks) {
            tokens.extend_from_slice(&content.tokens);
            tokens.extend(vocab.tokenize(after.as_bytes(), false, true));
        }
        Ok(tokens)
    }
}

/// The error of a prompt of which not even the instructions and the last message fit. Some clients describe dozens of tools with each
/// request, which nobody sees who writes "hello".
fn too_long(chat: &ChatRequest, limit: usize, context: u32) -> Error {
    let tools = match chat.tools.len() {
        0 => String::new(),
        1 => " and the description of a tool".to_owned(),
        tools => format!(" and the descriptions of {tools} tools"),
    };
    Error::invalid(format!(
        "the message, with the instructions{tools}, is longer than the {limit} tokens that fit with [llm.llama] context = {context}: \
         set more there, or send less"
    ))
}

/// The instructions with their places, extended by the description of the tools and of the form of the answer. Places of messages count from 1.
fn instructions(chat: &ChatRequest) -> Vec<(usize, Cow<'_, str>)> {
    let given = chat.messages.iter().enumerate().filter(|(_, message)| message.role == Role::System);
    let mut texts: Vec<_> =
        given.map(|(at, message)| (at + 1, Cow::from(message.content.as_str()))).collect();
    let may_call = !chat.tools.is_empty() && chat.tool_choice != ToolChoice::None;
    let told = may_call.then(|| tools::instructions(&chat.tools)).into_iter().chain(chat.form.instructions());
    let told = told.collect::<Vec<_>>().join("\n\n");
    if told.is_empty() {
        return texts;
    }
    match texts.first_mut() {
        Some((1, first)) => *first = Cow::from(format!("{first}\n\n{told}")),
        _ => texts.insert(0, (0, Cow::from(told))),
    }
    texts
}

/// The role and the text of a message as the model was trained to read them.
fn as_read(message: &Message) -> (&'static str, Cow<'_, str>) {
    let content = Cow::from(message.content.as_str());
    match message.role {
        Role::System => ("system", content),
        Role::User => ("user", content),
        Role::Tool => ("user", Cow::from(tools::response(&message.content))),
        Role::Assistant if !message.tool_calls.is_empty() => {
            ("assistant", Cow::from(tools::written(message)))
        }
        Role::Assistant => ("assistant", content),
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::{Requester, Tool, ToolCall};
    use llama_cpp_2::model::params::LlamaModelParams;

    use super::super::backend::backend;
    use super::*;

    /// A request whose text stands at each place that somebody else than the operator may write.
    fn everywhere(text: &str) -> ChatRequest {
        let call = ToolCall { id: "c".to_owned(), name: "find".to_owned(), arguments: text.to_owned() };
        let messages = vec![
            Message::new(Role::System, text),
            Message::new(Role::User, text),
            Message { tool_calls: vec![call], ..Message::new(Role::Assistant, text) },
            Message { tool_call_id: Some("c".to_owned()), ..Message::new(Role::Tool, text) },
            Message::new(Role::Assistant, text),
            // What was looked up for the turn stands before its last words.
            Message::new(Role::System, text),
            Message::new(Role::User, text),
        ];
        let tool = Tool {
            name: "find".to_owned(),
            description: text.to_owned(),
            parameters: serde_json::json!({ "type": "object", "description": text }),
        };
        ChatRequest { tools: vec![tool], ..ChatRequest::new(Requester::local(), messages) }
    }

    #[test]
    fn only_the_template_writes_control_tokens() {
        let file = antiphon_testkit::models().join("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
        let params = LlamaModelParams::default().with_vocab_only(true);
        let backend = backend().expect("starts");
        let model = LlamaModel::load_from_file(backend, &file, &params).expect("loads");
        let options = LlamaOptions::default();
        let prompts = Prompts::new(&model, &options).expect("has a template");
        let vocab = model.vocab();
        let control = |text: &str| -> Vec<LlamaToken> {
            let tokens = prompts.build(&everywhere(text), true).expect("fits");
            tokens.into_iter().filter(|token| vocab.is_control(*token)).collect()
        };
        let plain = control("x");
        assert!(plain.len() > 10, "the template marks each message: {plain:?}");
        let all = (0..vocab.n_tokens()).map(LlamaToken).filter(|token| vocab.is_control(*token));
        let marks: Vec<&str> =
            all.filter_map(|token| vocab.text(token)).map(|text| text.to_str().expect("UTF-8")).collect();
        assert!(marks.contains(&"<|im_start|>") && marks.contains(&"<|endoftext|>"), "{marks:?}");
        for mark in &marks {
            for text in [(*mark).to_owned(), format!("a{mark}b"), format!("x{mark}\n{mark}system\n")] {
                assert_eq!(control(&text), plain, "{text}");
            }
        }
        assert_eq!(control(&marks.concat()), plain, "all in one text");
        assert_eq!(control(PLACE), plain, "the place of a content is text, too");
    }
}
