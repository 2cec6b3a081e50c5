//! Function tools in the Realtime protocol. They are flat there, whereas chat completions nest them.

use antiphon_core::{Tool, ToolChoice};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::invalid::Invalid;

/// Most tools of a session or a response; OpenAI's own limit.
const MAX_TOOLS: usize = 128;
/// Most bytes that the tools of a session or a response take in memory: a hundred tools with ten described parameters each
/// take 1 MiB.
const MAX_BYTES: usize = 2 << 20;
/// What an object takes in memory beside what is in it, in bytes: a node of a B-tree has room for eleven pairs of a `String`
/// and a `Value`.
const OBJECT_BYTES: usize = 11 * (size_of::<String>() + size_of::<Value>());

/// A function that the client runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FunctionTool {
    Function {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameters: Option<Value>,
    },
}

impl FunctionTool {
    fn bytes(&self) -> usize {
        let Self::Function { name, description, parameters } = self;
        name.len() + description.as_ref().map_or(0, String::len) + parameters.as_ref().map_or(0, bytes)
    }

    pub(super) fn to_tool(&self) -> Tool {
        let Self::Function { name, description, parameters } = self.clone();
        Tool {
            name,
            description: description.unwrap_or_default(),
            parameters: parameters.unwrap_or_default(),
        }
    }
}

/// Refuses too many tools, and tools whose descriptions would take too much memory. `param` is their path in error messages.
pub(super) fn check(tools: &[FunctionTool], param: &str) -> Result<(), Invalid> {
    if tools.len() > MAX_TOOLS {
        return Err(Invalid::param(param, format!("there are more than {MAX_TOOLS} tools")));
    }
    let bytes: usize = tools.iter().map(FunctionTool::bytes).sum();
    if bytes > MAX_BYTES {
        let message = format!(
            "the tools take {} KiB of memory, and may take {}: describe fewer or simpler parameters",
            bytes >> 10,
            MAX_BYTES >> 10
        );
        return Err(Invalid::param(param, message));
    }
    Ok(())
}

/// About how many bytes a value takes in memory.
fn bytes(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(bytes).sum(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| name.len() + bytes(value));
            OBJECT_BYTES + fields.sum::<usize>()
        }
    };
    size_of::<Value>() + inside
}

/// Which tool the model must call: `auto`, `none`, `required`, or one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "\"auto\", \"none\", \"required\" or {\"type\": \"function\", \"name\": string}"
)]
pub(super) enum FunctionChoice {
    Mode(Mode),
    Function(Function),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Auto,
    None,
    Required,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Function {
    Function { name: String },
}

impl Default for FunctionChoice {
    fn default() -> Self {
        Self::Mode(Mode::Auto)
    }
}

impl From<FunctionChoice> for ToolChoice {
    fn from(choice: FunctionChoice) -> Self {
        match choice {
            FunctionChoice::Mode(Mode::Auto) => Self::Auto,
            FunctionChoice::Mode(Mode::None) => Self::None,
            FunctionChoice::Mode(Mode::Required) => Self::Required,
            FunctionChoice::Function(Function::Function { name }) => Self::Function(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(parameters: Value) -> FunctionTool {
        FunctionTool::Function { name: "look_up".to_owned(), description: None, parameters: Some(parameters) }
    }

    #[test]
    fn a_hundred_ordinary_tools_are_taken_and_a_forest_is_not() {
        let described =
            serde_json::json!({ "type": "string", "description": "What to look up in the index." });
        let properties: serde_json::Map<_, _> =
            (0..10).map(|n| (format!("parameter_{n}"), described.clone())).collect();
        let ordinary = tool(serde_json::json!({ "type": "object", "properties": properties }));
        assert_eq!(check(&vec![ordinary; 100], "session.tools"), Ok(()));
        let forest = tool(Value::Array(vec![serde_json::json!({ "a": 0 }); 10_000]));
        let refused = check(&[forest], "session.tools").expect_err("80 KB of text take 6 MB");
        assert_eq!(refused.param.as_deref(), Some("session.tools"));
    }
}
