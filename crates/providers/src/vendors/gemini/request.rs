//! Requests of the Gemini API.

use antiphon_core::{AnswerForm, ChatRequest, Tool, ToolChoice};
use serde_json::{Map, Value, json};

use super::schema::parameters;
use super::signatures::Signatures;
use super::{GeminiOptions, GeminiSettings};
use crate::remote::turns::{Block, Conversation, arguments};

/// The most stop sequences that the API takes.
const MAX_STOP: usize = 5;

/// The body of a request.
pub(super) fn body(
    options: &GeminiOptions,
    model: &str,
    request: &ChatRequest,
    signatures: &Signatures,
) -> Value {
    let conversation = Conversation::new(&request.messages);
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    if !conversation.system.is_empty() {
        set("systemInstruction", json!({ "parts": [{ "text": conversation.system }] }));
    }
    let content = |(index, turn): (usize, &Vec<Block<'_>>)| {
        let parts: Vec<Value> = turn.iter().map(|block| part(*block, model, signatures)).collect();
        json!({ "role": if Conversation::assistant(index) { "model" } else { "user" }, "parts": parts })
    };
    set("contents", conversation.turns.iter().enumerate().map(content).collect());
    if !request.tools.is_empty() {
        let declarations: Vec<Value> = request.tools.iter().map(declaration).collect();
        set("tools", json!([{ "functionDeclarations": declarations }]));
        set("toolConfig", json!({ "functionCallingConfig": tool_choice(&request.tool_choice) }));
    }
    let generation = generation(options, request);
    if !generation.is_empty() {
        set("generationConfig", Value::Object(generation));
    }
    Value::Object(body)
}

fn part(block: Block<'_>, model: &str, signatures: &Signatures) -> Value {
    match block {
        Block::Text(text) => json!({ "text": text }),
        Block::Call(call) => {
            let mut part = json!({ "functionCall": { "name": call.name, "args": arguments(call) } });
            if let Some(signature) = signatures.of(&call.id, model) {
                part["thoughtSignature"] = json!(signature);
            }
            part
        }
        Block::Result(call, output) => {
            let response = match serde_json::from_str(output) {
                Ok(Value::Object(object)) => Value::Object(object),
                _ => json!({ "output": output }),
            };
            json!({ "functionResponse": { "name": call.name, "response": response } })
        }
    }
}

fn declaration(tool: &Tool) -> Value {
    let mut declaration = json!({ "name": tool.name, "description": tool.description });
    if let Some(parameters) = parameters(&tool.parameters) {
        declaration["parameters"] = parameters;
    }
    declaration
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Function(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    }
}

fn generation(options: &GeminiOptions, request: &ChatRequest) -> Map<String, Value> {
    let stop = &request.stop[..request.stop.len().min(MAX_STOP)];
    let settings = [
        ("temperature", request.temperature.map(|value| json!(value))),
        ("topP", request.top_p.map(|value| json!(value))),
        ("maxOutputTokens", request.max_tokens.map(|value| json!(value))),
        // The API takes seeds of 31 bits.
        ("seed", request.seed.map(|value| json!(value & 0x7fff_ffff))),
        ("stopSequences", (!stop.is_empty()).then(|| json!(stop))),
        ("responseMimeType", (request.form != AnswerForm::Text).then(|| json!("application/json"))),
        ("responseJsonSchema", schema(&request.form)),
        ("thinkingConfig", thinking(&options.settings)),
    ];
    settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn schema(form: &AnswerForm) -> Option<Value> {
    match form {
        AnswerForm::Schema { schema, .. } => Some(schema.clone()),
        AnswerForm::Text | AnswerForm::Json => None,
    }
}

fn thinking(settings: &GeminiSettings) -> Option<Value> {
    let budget = settings.thinking_budget.map(|budget| json!({ "thinkingBudget": budget }));
    budget.or_else(|| settings.thinking_level.as_ref().map(|level| json!({ "thinkingLevel": level })))
}
