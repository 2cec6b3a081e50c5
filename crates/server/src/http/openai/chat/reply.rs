//! The responses that clients get: a completion, or its chunks.

use antiphon_core::{ChatDelta, Error, ErrorKind, FinishReason, Result};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::asked::{MAX_CALLS, append};
use super::super::{random_id, unix_time};

/// A whole answer, as it is sent when it is not streamed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Completion {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: [CompletionChoice; 1],
    usage: ChatUsage,
}

#[derive(Debug, Serialize, ToSchema)]
struct CompletionChoice {
    index: usize,
    message: AnswerMessage,
    /// Always null, because no engine tells probabilities.
    logprobs: Option<bool>,
    finish_reason: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct AnswerMessage {
    role: &'static str,
    content: Option<String>,
    /// Always null: when the model refuses, it says so in `content`.
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<AnswerCall>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct AnswerCall {
    id: String,
    #[serde(rename = "type")]
    kind: FunctionKind,
    function: AnswerFunction,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct AnswerFunction {
    name: String,
    arguments: String,
}

/// The only type of tool call.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum FunctionKind {
    #[default]
    Function,
}

/// The tokens that were used; zero where the engine does not report them.
#[derive(Debug, Default, Serialize, ToSchema)]
struct ChatUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct PromptDetails {
    cached_tokens: u64,
}

impl From<antiphon_core::Usage> for ChatUsage {
    fn from(usage: antiphon_core::Usage) -> Self {
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens + usage.output_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached_tokens },
        }
    }
}

const fn reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}

impl Completion {
    /// An answer without any content yet.
    pub(super) fn new(model: &str) -> Self {
        let message =
            AnswerMessage { role: "assistant", content: None, refusal: None, tool_calls: Vec::new() };
        let finish_reason = reason(FinishReason::Stop);
        Self {
            id: random_id("chatcmpl-"),
            object: "chat.completion",
            created: unix_time(),
            model: model.to_owned(),
            choices: [CompletionChoice { index: 0, message, logprobs: None, finish_reason }],
            usage: ChatUsage::default(),
        }
    }

    /// Adds the next piece to the answer.
    pub(super) fn push(&mut self, delta: ChatDelta) -> Result<()> {
        let [choice] = &mut self.choices;
        match delta {
            ChatDelta::Text(text) => append(choice.message.content.get_or_insert_default(), &text)?,
            ChatDelta::ToolCall { index, id, name, arguments } => {
                let call = call_at(&mut choice.message.tool_calls, index)?;
                call.id.push_str(id.as_deref().unwrap_or_default());
                call.function.name.push_str(name.as_deref().unwrap_or_default());
                append(&mut call.function.arguments, &arguments)?;
            }
            ChatDelta::FromCache(_) => {}
            ChatDelta::Done { finish, usage } => {
                choice.finish_reason = reason(finish);
                self.usage = usage.into();
                if choice.message.tool_calls.is_empty() {
                    choice.message.content.get_or_insert_default();
                }
            }
        }
        Ok(())
    }
}

fn call_at(calls: &mut Vec<AnswerCall>, index: usize) -> Result<&mut AnswerCall> {
    if index >= MAX_CALLS {
        let message =
            format!("the language model numbers a tool call {index}; at most {MAX_CALLS} are possible");
        return Err(Error::new(ErrorKind::Protocol, message));
    }
    if calls.len() <= index {
        calls.resize_with(index + 1, AnswerCall::default);
    }
    Ok(&mut calls[index])
}

/// Makes the chunks of one streamed answer.
pub(super) struct Chunks {
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
}

/// A piece of a streamed answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Chunk {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<ChunkChoice>,
    /// Present only in the last chunk, and only with `include_usage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<ChatUsage>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChunkChoice {
    index: usize,
    delta: Delta,
    finish_reason: Option<&'static str>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[CallDelta; 1]>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CallDelta {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<FunctionKind>,
    function: FunctionDelta,
}

#[derive(Debug, Serialize, ToSchema)]
struct FunctionDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arguments: String,
}

impl Chunks {
    pub(super) fn new(model: &str, include_usage: bool) -> Self {
        let (id, created) = (random_id("chatcmpl-"), unix_time());
        Self { id, created, model: model.to_owned(), include_usage }
    }

    /// The first chunk, which names the role.
    pub(super) fn first(&self) -> Chunk {
        let delta = Delta { role: Some("assistant"), content: Some(String::new()), tool_calls: None };
        self.chunk(delta, None)
    }

    /// The chunk for a piece; `None` for the end of the answer.
    pub(super) fn next(&self, delta: ChatDelta) -> Option<Chunk> {
        let delta = match delta {
            ChatDelta::Text(text) => Delta { content: Some(text), ..Delta::default() },
            ChatDelta::ToolCall { index, id, name, arguments } => {
                let kind = id.is_some().then_some(FunctionKind::Function);
                let function = FunctionDelta { name, arguments };
                Delta { tool_calls: Some([CallDelta { index, id, kind, function }]), ..Delta::default() }
            }
            ChatDelta::FromCache(_) | ChatDelta::Done { .. } => return None,
        };
        Some(self.chunk(delta, None))
    }

    /// The chunk with the reason why the answer ended, and the one with the token counts if the client has asked
    /// for it.
    pub(super) fn last(&self, finish: FinishReason, usage: antiphon_core::Usage) -> Vec<Chunk> {
        let mut chunks = vec![self.chunk(Delta::default(), Some(reason(finish)))];
        if self.include_usage {
            chunks.push(Chunk { choices: Vec::new(), usage: Some(usage.into()), ..self.empty() });
        }
        chunks
    }

    fn chunk(&self, delta: Delta, finish_reason: Option<&'static str>) -> Chunk {
        Chunk { choices: vec![ChunkChoice { index: 0, delta, finish_reason }], ..self.empty() }
    }

    fn empty(&self) -> Chunk {
        Chunk {
            id: self.id.clone(),
            object: "chat.completion.chunk",
            created: self.created,
            model: self.model.clone(),
            choices: Vec::new(),
            usage: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_number_out_of_all_reason_is_refused() {
        let call = |index| ChatDelta::ToolCall { index, id: None, name: None, arguments: String::new() };
        let mut completion = Completion::new("m");
        assert!(completion.push(call(1)).is_ok());
        assert_eq!(completion.push(call(usize::MAX)).unwrap_err().kind(), ErrorKind::Protocol);
    }
}
