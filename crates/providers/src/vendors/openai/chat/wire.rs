//! Requests and answers of the chat completions API.

use antiphon_core::{
    AnswerForm, ChatDelta, ChatRequest, FinishReason, Message, Result, Role, Tool, ToolChoice, Usage,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::OpenAiOptions;
use super::calls::{Calls, RawToolCall};
use crate::remote::chat::{Chunk, Dialect};
use crate::remote::{Remote, ServerEvent};
use crate::vendors::openai::server::Vendor;

/// The extensions of the API that a server takes.
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// The field for the longest reply. OpenAI and Azure refuse `max_tokens` for reasoning models and take the newer
    /// name for all models; others know only the older one.
    longest: &'static str,
    /// Whether a prompt cache key is sent.
    cache_key: bool,
    reasoning_effort: Option<String>,
}

impl Style {
    pub(super) fn new(vendor: Vendor, options: &OpenAiOptions) -> Self {
        let newer = matches!(vendor, Vendor::OpenAi | Vendor::Azure);
        Self {
            longest: if newer { "max_completion_tokens" } else { "max_tokens" },
            cache_key: options.prompt_cache_key.unwrap_or(vendor == Vendor::OpenAi),
            reasoning_effort: options.settings.reasoning_effort.clone(),
        }
    }
}

/// The body of a request.
pub(super) fn request(model: &str, request: &ChatRequest, style: &Style) -> Value {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("model", json!(model));
    set("messages", request.messages.iter().map(message).collect());
    set("stream", json!(true));
    set("stream_options", json!({ "include_usage": true }));
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(tool).collect());
        set("tool_choice", tool_choice(&request.tool_choice));
        if request.single_call {
            set("parallel_tool_calls", json!(false));
        }
    }
    if let Some(form) = response_format(&request.form) {
        set("response_format", form);
    }
    for (key, value) in [("temperature", request.temperature), ("top_p", request.top_p)] {
        if let Some(value) = value {
            set(key, json!(value));
        }
    }
    if let Some(max) = request.max_tokens {
        set(style.longest, json!(max));
    }
    if let Some(effort) = &style.reasoning_effort {
        set("reasoning_effort", json!(effort));
    }
    if let Some(key) = cache_key(&request.messages).filter(|_| style.cache_key) {
        set("prompt_cache_key", json!(key));
    }
    if let Some(seed) = request.seed {
        set("seed", json!(seed));
    }
    if !request.stop.is_empty() {
        set("stop", json!(request.stop));
    }
    Value::Object(body)
}

fn response_format(form: &AnswerForm) -> Option<Value> {
    match form {
        AnswerForm::Text => None,
        AnswerForm::Json => Some(json!({ "type": "json_object" })),
        AnswerForm::Schema { name, schema, strict } => {
            let mut form = json!({ "name": name, "schema": schema });
            if let Some(strict) = strict {
                form["strict"] = json!(strict);
            }
            Some(json!({ "type": "json_schema", "json_schema": form }))
        }
    }
}

/// The key of the vendor's prompt cache: a hash of the instructions (FNV-1a with 64 bits), which is the same in all
/// calls, processes and versions.
fn cache_key(messages: &[Message]) -> Option<String> {
    let system = messages.first().filter(|message| message.role == Role::System)?;
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = system.content.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, mix);
    Some(format!("antiphon-{hash:016x}"))
}

fn message(message: &Message) -> Value {
    let mut json = json!({ "role": message.role, "content": message.content });
    if !message.tool_calls.is_empty() {
        let call = |call: &antiphon_core::ToolCall| {
            json!({ "id": call.id, "type": "function",
                "function": { "name": call.name, "arguments": call.arguments } })
        };
        json["tool_calls"] = message.tool_calls.iter().map(call).collect();
    }
    if let Some(id) = &message.tool_call_id {
        json["tool_call_id"] = json!(id);
    }
    json
}

fn tool(tool: &Tool) -> Value {
    json!({ "type": "function", "function": tool })
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Function(name) => json!({ "type": "function", "function": { "name": name } }),
    }
}

/// Reads the events of a completion.
#[derive(Debug, Default)]
pub(super) struct Completions {
    calls: Calls,
}

// Fields that OpenAI leaves out are null in the answers of other servers.

#[derive(Deserialize)]
struct RawChunk {
    choices: Option<Vec<RawChoice>>,
    usage: Option<RawUsage>,
    x_groq: Option<RawGroq>,
    error: Option<Value>,
    object: Option<String>,
}

#[derive(Deserialize)]
struct RawChoice {
    delta: Option<RawDelta>,
    finish_reason: Option<String>,
}

/// Thoughts come in fields of their own, `reasoning_content` (llama.cpp, vLLM, DeepSeek) or `reasoning` (Ollama, OpenRouter,
/// Groq), which are not read.
#[derive(Deserialize)]
struct RawDelta {
    content: Option<RawContent>,
    tool_calls: Option<Vec<RawToolCall>>,
}

/// The text of a piece. Mistral sends a list where a model thinks, in which thoughts have a type of their own.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawContent {
    Text(String),
    Parts(Vec<RawPart>),
}

#[derive(Deserialize)]
struct RawPart {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
}

impl RawContent {
    fn said(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => {
                let said = parts.into_iter().filter(|part| part.kind.as_deref() == Some("text"));
                said.filter_map(|part| part.text).collect()
            }
        }
    }
}

#[derive(Deserialize)]
struct RawUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<RawDetails>,
}

#[derive(Deserialize)]
struct RawDetails {
    cached_tokens: Option<u64>,
}

/// Where Groq puts the usage.
#[derive(Deserialize)]
struct RawGroq {
    usage: Option<RawUsage>,
    error: Option<Value>,
}

impl Dialect for Completions {
    fn read(&mut self, remote: &Remote, event: &ServerEvent) -> Result<Chunk> {
        if event.data == "[DONE]" {
            return Ok(Chunk { last: true, ..Chunk::default() });
        }
        let raw: RawChunk =
            serde_json::from_str(&event.data).map_err(|e| remote.protocol(&format!("no valid JSON: {e}")))?;
        let groq = raw.x_groq.unwrap_or(RawGroq { usage: None, error: None });
        if raw.error.is_some() || raw.object.as_deref() == Some("error") {
            let json: Value = serde_json::from_str(&event.data).unwrap_or_default();
            return Err(remote.refused(&json));
        }
        if let Some(error) = groq.error {
            return Err(remote.refused(&json!({ "error": error })));
        }
        let mut chunk = Chunk { usage: raw.usage.or(groq.usage).map(usage), ..Chunk::default() };
        for choice in raw.choices.into_iter().flatten().take(1) {
            chunk.finish = choice.finish_reason.as_deref().and_then(finish);
            let Some(delta) = choice.delta else { continue };
            let said = delta.content.map(RawContent::said).filter(|text| !text.is_empty());
            chunk.deltas.extend(said.map(ChatDelta::Text));
            for call in delta.tool_calls.into_iter().flatten() {
                chunk.deltas.push(self.calls.delta(call));
            }
        }
        Ok(chunk)
    }
}

fn finish(reason: &str) -> Option<FinishReason> {
    Some(match reason {
        "" => return None,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    })
}

fn usage(raw: RawUsage) -> Usage {
    let cached = raw.prompt_tokens_details.and_then(|details| details.cached_tokens);
    let input_tokens = raw.prompt_tokens.unwrap_or(0);
    Usage {
        input_tokens,
        cached_tokens: cached.unwrap_or(0).min(input_tokens),
        output_tokens: raw.completion_tokens.unwrap_or(0),
    }
}
