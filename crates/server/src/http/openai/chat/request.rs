//! The request body of chat completions. Fields that are not listed are ignored. Those listed but not supported are
//! refused when they ask for something.

use antiphon_core::{
    AnswerForm, ChatRequest, Message, Priority, Requester, Role, Tool, ToolCall, ToolChoice,
};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::asked;
use crate::http::error::ApiError;

/// OpenAI's own limit on the number of stop sequences.
const MAX_STOPS: usize = 4;

/// A conversation to answer.
#[derive(Deserialize, ToSchema)]
pub(in super::super) struct ChatBody {
    /// Any name: the engine's own model answers, unless the name is one of `[llm] aliases`.
    model: Option<String>,
    messages: Vec<ChatMessage>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    tools: Option<Vec<FunctionTool>>,
    tool_choice: Option<Choice>,
    /// Randomness of the answer, from 0 to 2.
    temperature: Option<f32>,
    /// Nucleus sampling, from 0 to 1.
    top_p: Option<f32>,
    max_completion_tokens: Option<u32>,
    /// The old name of `max_completion_tokens`.
    max_tokens: Option<u32>,
    stop: Option<Stop>,
    seed: Option<i64>,
    /// How many answers are made. Only 1 is possible.
    n: Option<u32>,
    /// Whether an answer may call several tools. The embedded model calls one at a time.
    parallel_tool_calls: Option<bool>,
    /// The form of the answer: text, a JSON object or JSON that is valid by a schema.
    response_format: Option<ResponseFormat>,
    /// Whether probabilities are sent. Only false is possible.
    logprobs: Option<bool>,
    /// How many probabilities are sent. Only 0 is possible.
    top_logprobs: Option<u32>,
    /// What the answer consists of. Only `text` is possible.
    modalities: Option<Vec<String>>,
    /// How much repeated words are avoided. Only 0 is possible.
    frequency_penalty: Option<f32>,
    /// How much words that occurred are avoided. Only 0 is possible.
    presence_penalty: Option<f32>,
    /// The old name of `tools`, which is not served.
    #[schema(value_type = Option<Vec<Object>>)]
    functions: Option<Vec<Value>>,
    /// The old name of `tool_choice`, which is not served.
    #[schema(value_type = Option<Object>)]
    function_call: Option<Value>,
}

/// What a streamed answer contains beside the text.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
pub(super) struct StreamOptions {
    /// Whether the last chunk contains the tokens that were used.
    pub(super) include_usage: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
struct ChatMessage {
    role: MessageRole,
    content: Option<Content>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    tool_call_id: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum MessageRole {
    System,
    /// The new name of `system`.
    Developer,
    User,
    Assistant,
    Tool,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a string or an array of content parts")]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

/// Only `text` (or a `refusal` of an earlier answer) is understood.
#[derive(Deserialize, ToSchema)]
struct ContentPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct Call {
    id: String,
    function: CalledFunction,
}

#[derive(Deserialize, ToSchema)]
struct CalledFunction {
    name: String,
    arguments: String,
}

#[derive(Deserialize, ToSchema)]
struct FunctionTool {
    #[serde(rename = "type")]
    kind: String,
    #[schema(value_type = Option<Object>)]
    function: Option<Tool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "\"auto\", \"none\", \"required\" or a function to call")]
enum Choice {
    Mode(ChoiceMode),
    Function { function: ChosenFunction },
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ChoiceMode {
    Auto,
    None,
    Required,
}

#[derive(Deserialize, ToSchema)]
struct ChosenFunction {
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a string or an array of strings")]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize, ToSchema)]
struct ResponseFormat {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<SchemaFormat>,
}

/// The schema of an answer.
#[derive(Deserialize, ToSchema)]
struct SchemaFormat {
    name: String,
    /// JSON Schema. Without it any object is valid.
    schema: Option<Value>,
    strict: Option<bool>,
}

impl ChatBody {
    /// How to stream the answer; `None` if it is not to be streamed.
    pub(super) fn streamed(&self) -> Option<StreamOptions> {
        (self.stream == Some(true)).then(|| self.stream_options.unwrap_or_default())
    }

    /// The request to the engine.
    pub(super) fn into_request(self, requester: Requester) -> Result<ChatRequest, ApiError> {
        self.refuse_unsupported()?;
        let messages = self.messages.into_iter().enumerate().map(|(index, message)| message.into_core(index));
        let tools = self
            .tools
            .unwrap_or_default()
            .into_iter()
            .map(FunctionTool::into_core)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(ChatRequest {
            requester,
            model: self.model,
            messages: messages.collect::<Result<_, _>>()?,
            tool_choice: choice(self.tool_choice, &tools)?,
            single_call: self.parallel_tool_calls == Some(false),
            form: self.response_format.map_or(Ok(AnswerForm::Text), ResponseFormat::into_core)?,
            tools,
            temperature: asked::temperature(self.temperature)?,
            top_p: asked::top_p(self.top_p)?,
            max_tokens: asked::max_tokens(
                "max_completion_tokens",
                self.max_completion_tokens.or(self.max_tokens),
            )?,
            stop: stops(self.stop)?,
            // A seed is a bit pattern, so its sign does not matter.
            seed: self.seed.map(i64::cast_unsigned),
            priority: Priority::Interactive,
            trace: None,
            // A client that sends the same request twice may want two different answers, so none is reused.
            reuse: None,
        })
    }

    fn refuse_unsupported(&self) -> Result<(), ApiError> {
        let is_set = |value: Option<f32>| value.is_some_and(|value| value != 0.0);
        let speaks = self.modalities.iter().flatten().any(|modality| modality != "text");
        for (param, is_refused, why) in [
            ("messages", self.messages.is_empty(), "messages is empty; send at least one"),
            (
                "n",
                self.n.is_some_and(|n| n != 1),
                "only one answer is given for a request; leave out n or set it to 1",
            ),
            (
                "logprobs",
                self.logprobs == Some(true),
                "log probabilities are not available; leave out logprobs",
            ),
            (
                "top_logprobs",
                self.top_logprobs.unwrap_or(0) > 0,
                "log probabilities are not available; leave out top_logprobs",
            ),
            (
                "modalities",
                speaks,
                "answers are text only; leave out modalities, and have the text spoken by /v1/audio/speech",
            ),
            (
                "frequency_penalty",
                is_set(self.frequency_penalty),
                "engines have no frequency_penalty; leave it out or set it to 0",
            ),
            (
                "presence_penalty",
                is_set(self.presence_penalty),
                "engines have no presence_penalty; leave it out or set it to 0",
            ),
            (
                "functions",
                self.functions.as_ref().is_some_and(|functions| !functions.is_empty()),
                "functions has become tools; send tools of type \"function\"",
            ),
            (
                "function_call",
                self.function_call.is_some(),
                "function_call has become tool_choice; send that",
            ),
        ] {
            if is_refused {
                return Err(ApiError::invalid_param(param, why));
            }
        }
        Ok(())
    }
}

impl ResponseFormat {
    fn into_core(self) -> Result<AnswerForm, ApiError> {
        let refused = |message: String| Err(ApiError::invalid_param("response_format", message));
        match (&*self.kind, self.json_schema) {
            ("text", _) => Ok(AnswerForm::Text),
            ("json_schema", Some(SchemaFormat { name, schema: Some(schema), strict })) => {
                Ok(AnswerForm::Schema { name, schema, strict })
            }
            ("json_object", _) | ("json_schema", Some(_)) => Ok(AnswerForm::Json),
            ("json_schema", None) => {
                refused("response_format has no json_schema; send the schema in it".into())
            }
            (kind, _) => refused(format!(
                "response_format {kind:?} is not supported; use text, json_object or json_schema"
            )),
        }
    }
}

impl ChatMessage {
    fn into_core(self, index: usize) -> Result<Message, ApiError> {
        let refused = |what: &str| ApiError::invalid_param("messages", format!("messages[{index}]{what}"));
        let role = match self.role {
            MessageRole::System | MessageRole::Developer => Role::System,
            MessageRole::User => Role::User,
            MessageRole::Assistant => Role::Assistant,
            MessageRole::Tool => Role::Tool,
        };
        if role == Role::Tool && self.tool_call_id.is_none() {
            return Err(refused(" answers a tool call but has no tool_call_id"));
        }
        let calls = self.tool_calls.unwrap_or_default();
        if self.content.is_none() && calls.is_empty() && role != Role::Assistant {
            return Err(refused(" has no content"));
        }
        Ok(Message {
            role,
            content: self
                .content
                .map_or(Ok(String::new()), Content::into_text)
                .map_err(|what| refused(&what))?,
            tool_calls: calls.into_iter().map(Call::into_core).collect(),
            tool_call_id: self.tool_call_id,
            recognised: false,
        })
    }
}

impl Content {
    /// All of the text; or an error about the part that is not text.
    fn into_text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Parts(parts) => parts.into_iter().map(ContentPart::into_text).collect(),
        }
    }
}

impl ContentPart {
    fn into_text(self) -> Result<String, String> {
        match self.kind.as_str() {
            "text" => self.text.ok_or_else(|| ": a part of type \"text\" has no text".to_owned()),
            "refusal" => Ok(self.refusal.unwrap_or_default()),
            other => Err(format!(": the language model reads text only, not parts of type {other:?}")),
        }
    }
}

impl Call {
    fn into_core(self) -> ToolCall {
        ToolCall { id: self.id, name: self.function.name, arguments: self.function.arguments }
    }
}

impl FunctionTool {
    fn into_core(self) -> Result<Tool, ApiError> {
        match self.function {
            Some(tool) if self.kind == "function" => asked::tool(tool),
            _ => {
                let message = format!("only tools of type \"function\" are supported, not {:?}", self.kind);
                Err(ApiError::invalid_param("tools", message))
            }
        }
    }
}

fn choice(choice: Option<Choice>, tools: &[Tool]) -> Result<ToolChoice, ApiError> {
    let choice = match choice {
        None | Some(Choice::Mode(ChoiceMode::Auto)) => ToolChoice::Auto,
        Some(Choice::Mode(ChoiceMode::None)) => ToolChoice::None,
        Some(Choice::Mode(ChoiceMode::Required)) => ToolChoice::Required,
        Some(Choice::Function { function }) => ToolChoice::Function(function.name),
    };
    asked::tool_choice(choice, tools)
}

fn stops(stop: Option<Stop>) -> Result<Vec<String>, ApiError> {
    let stops = match stop {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Several(stops)) => stops,
    };
    if stops.len() > MAX_STOPS || stops.iter().any(String::is_empty) {
        let message = format!("stop takes up to {MAX_STOPS} strings, none of them empty");
        return Err(ApiError::invalid_param("stop", message));
    }
    Ok(stops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(body: Value) -> Result<ChatRequest, String> {
        let body: ChatBody = serde_json::from_value(body).map_err(|error| error.to_string())?;
        body.into_request(Requester::local()).map_err(|error| error.body()["error"]["message"].to_string())
    }

    fn user(extra: &Value) -> Value {
        let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    }

    #[test]
    fn every_role_and_form_of_content_is_understood() {
        let request = request(json!({"messages": [
            {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
            {"role": "user", "content": "time?"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        ]}))
        .unwrap();
        assert_eq!(request.messages[0], Message::new(Role::System, "Be brief."));
        assert_eq!(request.messages[2].tool_calls[0].name, "clock");
        assert_eq!(request.messages[3].tool_call_id.as_deref(), Some("c1"));
    }

    #[test]
    fn settings_reach_the_engine() {
        let tools = json!([{"type": "function", "function": {"name": "clock"}}]);
        let choice = json!({"type": "function", "function": {"name": "clock"}});
        let request = request(user(&json!({
            "tools": tools, "tool_choice": choice, "temperature": 0, "top_p": 0.5, "max_tokens": 5,
            "stop": "END", "seed": -1, "parallel_tool_calls": false, "unknown": true,
        })))
        .unwrap();
        assert_eq!((request.tool_choice, request.single_call), (ToolChoice::Function("clock".into()), true));
        assert_eq!((request.temperature, request.top_p), (Some(0.0), Some(0.5)));
        assert_eq!((request.max_tokens, request.seed), (Some(5), Some(u64::MAX)));
        assert_eq!(request.stop, ["END"]);
    }

    #[test]
    fn the_form_of_the_answer_reaches_the_engine() {
        let form = |format: Value| request(user(&json!({ "response_format": format }))).unwrap().form;
        assert_eq!(form(Value::Null), AnswerForm::Text);
        assert_eq!(form(json!({"type": "text"})), AnswerForm::Text);
        assert_eq!(form(json!({"type": "json_object"})), AnswerForm::Json);
        let given = json!({"name": "n", "schema": {"type": "object"}, "strict": true});
        let (name, schema) = ("n".to_owned(), json!({"type": "object"}));
        let expected = AnswerForm::Schema { name, schema, strict: Some(true) };
        assert_eq!(form(json!({"type": "json_schema", "json_schema": given})), expected);
        assert_eq!(form(json!({"type": "json_schema", "json_schema": {"name": "n"}})), AnswerForm::Json);
    }

    #[test]
    fn null_is_absent() {
        let nothing = json!({
            "tools": null, "tool_choice": null, "stop": null, "response_format": null, "seed": null, "n": null,
            "stream": null, "stream_options": {"include_usage": null}, "logprobs": null, "temperature": null,
            "top_logprobs": null, "modalities": null, "frequency_penalty": 0, "presence_penalty": null, "functions": null,
        });
        assert!(request(user(&nothing)).is_ok());
        let tool =
            json!({"type": "function", "function": {"name": "f", "description": null, "parameters": null}});
        assert_eq!(request(user(&json!({ "tools": [tool] }))).unwrap().tools[0].description, "");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (extra, says) in [
            (json!({"n": 2}), "one answer"),
            (json!({"logprobs": true}), "log prob"),
            (json!({"top_logprobs": 2}), "top_logprobs"),
            (json!({"modalities": ["text", "audio"]}), "/v1/audio/speech"),
            (json!({"frequency_penalty": 0.5}), "frequency_penalty"),
            (json!({"presence_penalty": -1}), "presence_penalty"),
            (json!({"functions": [{"name": "f"}]}), "tools"),
            (json!({"function_call": "auto"}), "tool_choice"),
            (json!({"response_format": {"type": "xml"}}), "use text, json_object or json_schema"),
            (json!({"response_format": {"type": "json_schema"}}), "json_schema"),
            (json!({"temperature": 3}), "temperature"),
            (json!({"max_tokens": 0}), "token"),
            (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
            (json!({"stop": 5}), "a string or an array of strings"),
            (json!({"tool_choice": "required"}), "tool_choice"),
            (json!({"tools": [{"type": "custom"}]}), "custom"),
            (json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}), "a b"),
            (json!({"messages": []}), "messages"),
            (json!({"messages": [{"role": "user"}]}), "messages[0] has no content"),
            (json!({"messages": [{"role": "tool", "content": "x"}]}), "tool_call_id"),
            (json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}), "image_url"),
        ] {
            let error = request(user(&extra)).unwrap_err();
            assert!(error.contains(says), "{extra}: {error}");
        }
    }
}
