//! Requests of the Messages API.

use antiphon_core::{ChatRequest, Tool, ToolChoice};
use serde_json::{Map, Value, json};

use super::AnthropicOptions;
use crate::remote::turns::{Block, Conversation, arguments};

/// The body of a request.
pub(super) fn body(options: &AnthropicOptions, request: &ChatRequest) -> Value {
    let conversation = Conversation::new(&request.messages);
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("model", json!(request.model.as_deref().unwrap_or(&options.model)));
    set("max_tokens", json!(request.max_tokens.unwrap_or(options.max_tokens)));
    set("stream", json!(true));
    let mut system = Vec::new();
    if !conversation.system.is_empty() {
        // The cache covers everything up to this mark. The tools come before the instructions and are cached with them.
        let cached = json!({ "type": "ephemeral" });
        system.push(json!({ "type": "text", "text": conversation.system, "cache_control": cached }));
    }
    // Not every model of Anthropic's can be held to a form, so it is asked for it.
    system.extend(request.form.instructions().map(|form| json!({ "type": "text", "text": form })));
    if !system.is_empty() {
        set("system", json!(system));
    }
    set("messages", messages(&conversation));
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(tool).collect());
        set("tool_choice", tool_choice(request));
    }
    // Some models refuse a request with both.
    match (request.temperature, request.top_p) {
        // The largest temperature of other vendors is 2, Anthropic's is 1.
        (Some(temperature), _) => drop(set("temperature", json!(temperature.min(1.0)))),
        (None, Some(top_p)) => drop(set("top_p", json!(top_p))),
        (None, None) => {}
    }
    // The API refuses stop sequences of only spaces.
    let stop: Vec<&String> = request.stop.iter().filter(|stop| !stop.trim().is_empty()).collect();
    if !stop.is_empty() {
        set("stop_sequences", json!(stop));
    }
    Value::Object(body)
}

fn messages(conversation: &Conversation<'_>) -> Value {
    let last = conversation.turns.len() - 1;
    let message = |(index, turn): (usize, &Vec<Block<'_>>)| {
        let assistant = Conversation::assistant(index);
        // The API refuses a last message of the assistant that ends with a space.
        let prefill = assistant && index == last;
        let content: Vec<Value> = turn.iter().map(|block| content(*block, prefill)).collect();
        json!({ "role": if assistant { "assistant" } else { "user" }, "content": content })
    };
    conversation.turns.iter().enumerate().map(message).collect()
}

fn content(block: Block<'_>, prefill: bool) -> Value {
    match block {
        Block::Text(text) => {
            json!({ "type": "text", "text": if prefill { text.trim_end() } else { text } })
        }
        Block::Call(call) => {
            json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": arguments(call) })
        }
        Block::Result(call, output) => {
            json!({ "type": "tool_result", "tool_use_id": call.id, "content": output })
        }
    }
}

fn tool(tool: &Tool) -> Value {
    let mut schema = tool.parameters.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| json!("object"));
    json!({ "name": tool.name, "description": tool.description, "input_schema": schema })
}

fn tool_choice(request: &ChatRequest) -> Value {
    let mut choice = match &request.tool_choice {
        ToolChoice::Auto => json!({ "type": "auto" }),
        ToolChoice::None => json!({ "type": "none" }),
        ToolChoice::Required => json!({ "type": "any" }),
        ToolChoice::Function(name) => json!({ "type": "tool", "name": name }),
    };
    if request.single_call && request.tool_choice != ToolChoice::None {
        choice["disable_parallel_tool_use"] = json!(true);
    }
    choice
}
