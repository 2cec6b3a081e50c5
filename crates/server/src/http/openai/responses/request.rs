//! The request body of responses. Fields that are not listed are ignored. What is listed but not served is refused by name.

use std::collections::BTreeMap;

use antiphon_core::{AnswerForm, ChatRequest, Message, Priority, Requester, Role, Tool, ToolChoice};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::asked;
use super::items::ResponseInput;
use super::response::Echo;
use crate::http::error::ApiError;
use crate::said_lately::SaidLately;

/// OpenAI's own limits on metadata: pairs, characters of a key, characters of a value.
const MAX_METADATA: usize = 16;
const MAX_KEY: usize = 64;
const MAX_VALUE: usize = 512;

/// A conversation to answer.
#[derive(Deserialize, ToSchema)]
pub(in super::super) struct ResponseRequest {
    /// Any name: the engine's own model answers, unless the name is one of `[llm] aliases`.
    model: Option<String>,
    input: Option<ResponseInput>,
    /// What the model reads before the conversation.
    instructions: Option<String>,
    stream: Option<bool>,
    tools: Option<Vec<ResponseTool>>,
    tool_choice: Option<ResponseChoice>,
    /// The form of the answer.
    text: Option<TextSettings>,
    /// Randomness of the answer, from 0 to 2.
    temperature: Option<f32>,
    /// Nucleus sampling, from 0 to 1.
    top_p: Option<f32>,
    max_output_tokens: Option<u32>,
    /// Whether an answer may call several tools. The embedded model calls one at a time.
    parallel_tool_calls: Option<bool>,
    /// Repeated in the response: up to 16 pairs.
    metadata: Option<BTreeMap<String, String>>,
    /// Whatever is asked, nothing is stored: the answer says `false`.
    #[expect(dead_code, reason = "described to clients, decides nothing")]
    store: Option<bool>,
    /// Not served: send the whole conversation as `input`.
    previous_response_id: Option<String>,
    /// Not served: send the whole conversation as `input`.
    #[schema(value_type = Option<Object>)]
    conversation: Option<Value>,
    /// Not served: send the words themselves as `instructions`.
    #[schema(value_type = Option<Object>)]
    prompt: Option<Value>,
    /// Only false is served.
    background: Option<bool>,
    /// What to add to the answer. Probabilities are not available; of what else is known there is nothing to add.
    include: Option<Vec<String>>,
    /// How many probabilities are sent. Only 0 is served.
    top_logprobs: Option<u32>,
}

/// A tool of type `function`; others are not served.
#[derive(Deserialize, ToSchema)]
struct ResponseTool {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    description: Option<String>,
    /// JSON Schema of the arguments.
    parameters: Option<Value>,
    strict: Option<bool>,
}

/// `auto`, `none`, `required`, or a function to call.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "\"auto\", \"none\", \"required\" or {\"type\": \"function\", \"name\": ...}")]
enum ResponseChoice {
    Mode(ResponseChoiceMode),
    Function(NamedFunction),
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ResponseChoiceMode {
    Auto,
    None,
    Required,
}

#[derive(Deserialize, ToSchema)]
struct NamedFunction {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct TextSettings {
    format: Option<TextFormat>,
}

/// `text`, `json_object`, or `json_schema` with a schema.
#[derive(Deserialize, ToSchema)]
struct TextFormat {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    /// JSON Schema. Without it any object is valid.
    schema: Option<Value>,
    strict: Option<bool>,
}

impl ResponseRequest {
    /// Whether the answer is to be streamed.
    pub(super) fn streamed(&self) -> bool {
        self.stream == Some(true)
    }

    /// What the response repeats of this.
    pub(super) fn echo(&self, model: &str) -> Result<Echo, ApiError> {
        let format = self.text.as_ref().and_then(|text| text.format.as_ref());
        Ok(Echo {
            model: model.to_owned(),
            instructions: self.instructions.clone(),
            max_output_tokens: self.max_output_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            tool_choice: self.tool_choice.as_ref().map_or(json!("auto"), ResponseChoice::echo),
            tools: self.tools.iter().flatten().map(|tool| raw(&tool.echo())).collect::<Result<_, _>>()?,
            text: raw(&json!({ "format": format.map_or(json!({ "type": "text" }), TextFormat::echo) }))?,
            metadata: metadata(self.metadata.clone().unwrap_or_default())?,
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            truncation: "auto",
            background: false,
            store: false,
            previous_response_id: None,
            reasoning: super::response::NoReasoning::default(),
            service_tier: "default",
        })
    }

    /// The request to the engine. What the conversation refers to is looked up in `kept`.
    pub(super) fn into_request(
        self,
        requester: Requester,
        kept: &SaidLately,
    ) -> Result<ChatRequest, ApiError> {
        self.refuse_unsupported()?;
        let input = self.input.ok_or_else(|| {
            ApiError::invalid_param("input", "there is no input; send a text or the items of a conversation")
        })?;
        let instructions = self.instructions.map(|text| Message::new(Role::System, text));
        let conversation = input.into_messages(&requester, kept)?;
        if conversation.is_empty() {
            return Err(ApiError::invalid_param("input", "input is empty; send at least one message"));
        }
        let tools = self.tools.unwrap_or_default().into_iter().map(ResponseTool::into_core);
        let tools = tools.collect::<Result<Vec<_>, _>>()?;
        let choice = self.tool_choice.map_or(Ok(ToolChoice::Auto), ResponseChoice::into_core)?;
        let format = self.text.and_then(|text| text.format);
        Ok(ChatRequest {
            requester,
            model: self.model,
            messages: instructions.into_iter().chain(conversation).collect(),
            tool_choice: asked::tool_choice(choice, &tools)?,
            single_call: self.parallel_tool_calls == Some(false),
            form: format.map_or(Ok(AnswerForm::Text), TextFormat::into_core)?,
            tools,
            temperature: asked::temperature(self.temperature)?,
            top_p: asked::top_p(self.top_p)?,
            max_tokens: asked::max_tokens("max_output_tokens", self.max_output_tokens)?,
            stop: Vec::new(),
            seed: None,
            priority: Priority::Interactive,
            trace: None,
            // A client that sends the same request twice may want two different answers, so none is reused.
            reuse: None,
        })
    }

    fn refuse_unsupported(&self) -> Result<(), ApiError> {
        let whole = "is not served, because nothing is stored; send the whole conversation as input";
        let wants_logprobs = self.include.iter().flatten().any(|what| what == "message.output_text.logprobs");
        for (param, is_asked, why) in [
            ("previous_response_id", self.previous_response_id.is_some(), whole),
            ("conversation", self.conversation.is_some(), whole),
            ("prompt", self.prompt.is_some(), "is not served; send the words themselves as instructions"),
            (
                "background",
                self.background == Some(true),
                "is not served; leave it out and wait for the answer",
            ),
            ("include", wants_logprobs, "asks for log probabilities, which are not available"),
            ("top_logprobs", self.top_logprobs.unwrap_or(0) > 0, "is not served; leave it out"),
        ] {
            if is_asked {
                return Err(ApiError::invalid_param(param, format!("{param} {why}")));
            }
        }
        Ok(())
    }
}

/// The value as text, which takes a tenth of the memory.
fn raw(value: &Value) -> Result<Box<RawValue>, ApiError> {
    to_raw_value(value)
        .map_err(|error| ApiError::invalid(format!("a schema cannot be written as JSON: {error}")))
}

fn metadata(pairs: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    let fits = |(key, value): (&String, &String)| {
        key.chars().count() <= MAX_KEY && value.chars().count() <= MAX_VALUE
    };
    if pairs.len() <= MAX_METADATA && pairs.iter().all(fits) {
        return Ok(pairs);
    }
    let message = format!(
        "metadata takes up to {MAX_METADATA} pairs, with keys of up to {MAX_KEY} and values of up to {MAX_VALUE} characters"
    );
    Err(ApiError::invalid_param("metadata", message))
}

impl ResponseTool {
    fn echo(&self) -> Value {
        json!({
            "type": self.kind, "name": self.name, "description": self.description,
            "parameters": self.parameters, "strict": self.strict.unwrap_or(false),
        })
    }

    fn into_core(self) -> Result<Tool, ApiError> {
        if self.kind != "function" {
            let message =
                format!("a tool of type {:?} is not served; only tools of type \"function\" are", self.kind);
            return Err(ApiError::invalid_param("tools", message));
        }
        asked::tool(Tool {
            name: self.name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            parameters: self.parameters.unwrap_or_default(),
        })
    }
}

impl ResponseChoice {
    fn echo(&self) -> Value {
        match self {
            Self::Mode(ResponseChoiceMode::Auto) => json!("auto"),
            Self::Mode(ResponseChoiceMode::None) => json!("none"),
            Self::Mode(ResponseChoiceMode::Required) => json!("required"),
            Self::Function(NamedFunction { kind, name }) => json!({ "type": kind, "name": name }),
        }
    }

    fn into_core(self) -> Result<ToolChoice, ApiError> {
        Ok(match self {
            Self::Mode(ResponseChoiceMode::Auto) => ToolChoice::Auto,
            Self::Mode(ResponseChoiceMode::None) => ToolChoice::None,
            Self::Mode(ResponseChoiceMode::Required) => ToolChoice::Required,
            Self::Function(NamedFunction { kind, name: Some(name) }) if kind == "function" => {
                ToolChoice::Function(name)
            }
            Self::Function(NamedFunction { kind, .. }) => {
                let message = format!(
                    "a tool_choice of type {kind:?} is not served; use auto, none, required, or a function's name"
                );
                return Err(ApiError::invalid_param("tool_choice", message));
            }
        })
    }
}

impl TextFormat {
    fn echo(&self) -> Value {
        match self.kind.as_str() {
            "json_schema" => json!({
                "type": self.kind, "name": self.name, "schema": self.schema, "strict": self.strict,
            }),
            _ => json!({ "type": self.kind }),
        }
    }

    fn into_core(self) -> Result<AnswerForm, ApiError> {
        match (self.kind.as_str(), self.schema) {
            ("text", _) => Ok(AnswerForm::Text),
            ("json_schema", Some(schema)) => {
                let name = self.name.unwrap_or_else(|| "answer".to_owned());
                Ok(AnswerForm::Schema { name, schema, strict: self.strict })
            }
            ("json_object" | "json_schema", _) => Ok(AnswerForm::Json),
            (kind, _) => {
                let message =
                    format!("text.format {kind:?} is not supported; use text, json_object or json_schema");
                Err(ApiError::invalid_param("text", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &Value, kept: &SaidLately) -> Result<ChatRequest, String> {
        let body: ResponseRequest =
            serde_json::from_value(body.clone()).map_err(|error| error.to_string())?;
        let text = |error: ApiError| error.body()["error"].to_string();
        body.echo("m").map_err(text)?;
        body.into_request(Requester::local(), kept).map_err(text)
    }

    #[test]
    fn a_conversation_of_items_becomes_messages() {
        let kept = SaidLately::default();
        kept.keep(&Requester::local(), "msg_1", "One moment.");
        let request = request(
            &json!({
                "instructions": "Be brief.", "metadata": null, "tools": null, "text": {"format": null},
                "input": [
                    {"role": "developer", "content": "Really."},
                    {"role": "user", "content": [{"type": "input_text", "text": "What time "}, {"type": "input_text", "text": "is it?"}]},
                    {"type": "reasoning", "id": "rs_1", "summary": []},
                    {"type": "item_reference", "id": "msg_1"},
                    {"type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{}"},
                    {"type": "function_call", "call_id": "c2", "name": "zone", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c1", "output": "noon"},
                    {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "UTC"}]},
                    {"type": "message", "role": "assistant", "id": "msg_2", "status": "completed",
                     "content": [{"type": "output_text", "text": "Noon.", "annotations": []}]},
                ],
            }),
            &kept,
        )
        .expect("served");
        let read: Vec<(Role, &str, usize)> =
            request.messages.iter().map(|m| (m.role, m.content.as_str(), m.tool_calls.len())).collect();
        assert_eq!(
            read,
            [
                (Role::System, "Be brief.", 0),
                (Role::System, "Really.", 0),
                (Role::User, "What time is it?", 0),
                (Role::Assistant, "One moment.", 2),
                (Role::Tool, "noon", 0),
                (Role::Tool, "UTC", 0),
                (Role::Assistant, "Noon.", 0),
            ]
        );
    }

    #[test]
    fn settings_reach_the_engine() {
        let request = request(
            &json!({
                "input": "hi", "temperature": 0, "top_p": 0.5, "max_output_tokens": 5, "store": true,
                "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"},
                "tools": [{"type": "function", "name": "clock", "parameters": null, "strict": true}],
                "tool_choice": {"type": "function", "name": "clock"}, "parallel_tool_calls": false,
                "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
            }),
            &SaidLately::default(),
        )
        .expect("served");
        assert_eq!((request.tool_choice, request.single_call), (ToolChoice::Function("clock".into()), true));
        assert_eq!(request.tools[0].parameters, json!({}));
        assert_eq!((request.temperature, request.top_p, request.max_tokens), (Some(0.0), Some(0.5), Some(5)));
        let (name, schema) = ("n".to_owned(), json!({"type": "object"}));
        assert_eq!(request.form, AnswerForm::Schema { name, schema, strict: Some(true) });
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        for (extra, param, says) in [
            (json!({"previous_response_id": "resp_1"}), "previous_response_id", "whole conversation"),
            (json!({"conversation": "conv_1"}), "conversation", "whole conversation"),
            (json!({"prompt": {"id": "p"}}), "prompt", "instructions"),
            (json!({"background": true}), "background", "leave it out"),
            (json!({"include": ["message.output_text.logprobs"]}), "include", "log prob"),
            (json!({"top_logprobs": 2}), "top_logprobs", "leave it out"),
            (json!({"input": null}), "input", "no input"),
            (json!({"input": []}), "input", "at least one"),
            (json!({"input": [{"type": "item_reference", "id": "msg_0"}]}), "input", "input[0] refers to"),
            (json!({"input": [{"role": "user"}]}), "input", "without content"),
            (json!({"input": [{"content": "a"}]}), "input", "without a role"),
            (json!({"input": [{"type": "computer_call"}]}), "input", "computer_call"),
            (
                json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
                "input",
                "input_image",
            ),
            (json!({"input": [{"type": "function_call_output", "output": "x"}]}), "input", "call_id"),
            (json!({"tools": [{"type": "web_search"}]}), "tools", "web_search"),
            (json!({"tools": [{"type": "function", "name": "a b"}]}), "tools", "a b"),
            (json!({"tool_choice": "required"}), "tool_choice", "not among tools"),
            (json!({"tool_choice": {"type": "file_search"}}), "tool_choice", "file_search"),
            (json!({"text": {"format": {"type": "xml"}}}), "text", "xml"),
            (json!({"temperature": 3}), "temperature", "between 0 and 2"),
            (json!({"max_output_tokens": 0}), "max_output_tokens", "at least one token"),
            (json!({"metadata": {"k": "v".repeat(513)}}), "metadata", "512"),
        ] {
            let mut body = json!({"input": "hi"});
            body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
            let error = request(&body, &SaidLately::default()).expect_err("refused");
            assert!(
                error.contains(says) && error.contains(&format!("\"param\":\"{param}\"")),
                "{body}: {error}"
            );
        }
    }
}
