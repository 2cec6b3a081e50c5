//! What chat completions and responses may ask of a language model alike, and how much it may answer.

use antiphon_core::{Error, ErrorKind, Result, Tool, ToolChoice};
use serde_json::Value;

use crate::http::error::ApiError;

/// OpenAI's own limits: on the length of a tool's name in characters, and on the temperature.
const MAX_TOOL_NAME: usize = 64;
const MAX_TEMPERATURE: f32 = 2.0;
/// Most tool calls in one answer. OpenAI allows 128 tools, so an engine that makes more calls is broken.
pub(super) const MAX_CALLS: usize = 128;
/// Longest answer that is kept in memory, in bytes. That is more than the longest context of any model here (128k
/// tokens of about 4 bytes), and ends the answer of an engine that never stops.
const MAX_ANSWER: usize = 1 << 20;

/// A tool with a name that engines take, and with parameters: absent ones are none.
pub(super) fn tool(mut tool: Tool) -> Result<Tool, ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if tool.name.is_empty() || tool.name.len() > MAX_TOOL_NAME || !tool.name.chars().all(allowed) {
        let name = &tool.name;
        let message =
            format!("{name:?} is not the name of a tool: use up to {MAX_TOOL_NAME} letters, digits, _ and -");
        return Err(ApiError::invalid_param("tools", message));
    }
    if tool.parameters.is_null() {
        tool.parameters = Value::Object(serde_json::Map::new());
    }
    Ok(tool)
}

/// A choice that these tools allow.
pub(super) fn tool_choice(choice: ToolChoice, tools: &[Tool]) -> Result<ToolChoice, ApiError> {
    let offered = match &choice {
        ToolChoice::Auto | ToolChoice::None => true,
        ToolChoice::Required => !tools.is_empty(),
        ToolChoice::Function(name) => tools.iter().any(|tool| tool.name == *name),
    };
    if offered {
        Ok(choice)
    } else {
        Err(ApiError::invalid_param("tool_choice", "tool_choice demands a tool that is not among tools"))
    }
}

/// A temperature from 0 to 2.
pub(super) fn temperature(value: Option<f32>) -> Result<Option<f32>, ApiError> {
    within("temperature", value, MAX_TEMPERATURE)
}

/// A share of the probability from 0 to 1.
pub(super) fn top_p(value: Option<f32>) -> Result<Option<f32>, ApiError> {
    within("top_p", value, 1.0)
}

fn within(param: &'static str, value: Option<f32>, max: f32) -> Result<Option<f32>, ApiError> {
    match value {
        Some(value) if !(0.0..=max).contains(&value) => {
            Err(ApiError::invalid_param(param, format!("{param} is {value}; it must be between 0 and {max}")))
        }
        value => Ok(value),
    }
}

/// A limit on the tokens of an answer, which has at least one.
pub(super) fn max_tokens(param: &'static str, value: Option<u32>) -> Result<Option<u32>, ApiError> {
    match value {
        Some(0) => Err(ApiError::invalid_param(param, "an answer needs at least one token")),
        value => Ok(value),
    }
}

/// Adds a piece to an answer, unless the answer is too long with it.
pub(super) fn append(answer: &mut String, more: &str) -> Result<()> {
    if answer.len() + more.len() > MAX_ANSWER {
        let message = format!(
            "the language model wrote more than {MAX_ANSWER} bytes; set max_completion_tokens or max_output_tokens"
        );
        return Err(Error::new(ErrorKind::Protocol, message));
    }
    answer.push_str(more);
    Ok(())
}
