//! Chat completions on the wire.

use antiphon_core::{ChatDelta, ChatRequest, FinishReason, Message, Result, Tool, ToolChoice, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::remote::Remote;

/// The body of a request.
pub(super) fn request(model: &str, request: &ChatRequest) -> Value {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("model", json!(request.model.as_deref().unwrap_or(model)));
    set("messages", request.messages.iter().map(message).collect());
    set("stream", json!(true));
    set("stream_options", json!({ "include_usage": true }));
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(tool).collect());
        set("tool_choice", tool_choice(&request.tool_choice));
    }
    for (key, value) in [("temperature", request.temperature), ("top_p", request.top_p)] {
        if let Some(value) = value {
            set(key, json!(value));
        }
    }
    if let Some(max) = request.max_tokens {
        set("max_tokens", json!(max));
    }
    if let Some(seed) = request.seed {
        set("seed", json!(seed));
    }
    if !request.stop.is_empty() {
        set("stop", json!(request.stop));
    }
    Value::Object(body)
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

/// What one event says.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) deltas: Vec<ChatDelta>,
    pub(super) finish: Option<FinishReason>,
    pub(super) usage: Option<Usage>,
}

#[derive(Deserialize)]
struct RawChunk {
    #[serde(default)]
    choices: Vec<RawChoice>,
    #[serde(default)]
    usage: Option<RawUsage>,
    #[serde(default)]
    error: Option<RawError>,
}

#[derive(Deserialize)]
struct RawChoice {
    #[serde(default)]
    delta: RawDelta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawDelta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<RawToolCall>>,
}

#[derive(Deserialize)]
struct RawToolCall {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: RawFunction,
}

#[derive(Default, Deserialize)]
struct RawFunction {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<RawDetails>,
}

#[derive(Deserialize)]
struct RawDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(default)]
    message: String,
}

/// Reads the data of an event.
pub(super) fn chunk(remote: &Remote, data: &str) -> Result<Chunk> {
    let raw: RawChunk =
        serde_json::from_str(data).map_err(|e| remote.protocol(&format!("no valid JSON: {e}")))?;
    if let Some(error) = raw.error {
        return Err(remote.failed(&error.message));
    }
    let mut chunk = Chunk::default();
    for choice in raw.choices.into_iter().take(1) {
        chunk.deltas.extend(choice.delta.content.filter(|text| !text.is_empty()).map(ChatDelta::Text));
        for call in choice.delta.tool_calls.into_iter().flatten() {
            chunk.deltas.push(ChatDelta::ToolCall {
                index: call.index,
                id: call.id.filter(|id| !id.is_empty()),
                name: call.function.name.filter(|name| !name.is_empty()),
                arguments: call.function.arguments.unwrap_or_default(),
            });
        }
        chunk.finish = choice.finish_reason.map(|reason| match reason.as_str() {
            "length" => FinishReason::Length,
            "tool_calls" | "function_call" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Stop,
        });
    }
    chunk.usage = raw.usage.map(|usage| Usage {
        input_tokens: usage.prompt_tokens,
        cached_tokens: usage.prompt_tokens_details.and_then(|d| d.cached_tokens).unwrap_or(0),
        output_tokens: usage.completion_tokens,
    });
    Ok(chunk)
}
