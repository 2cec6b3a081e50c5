//! Function tools in the Realtime protocol. They are flat there, whereas chat completions nest them.

use antiphon_core::{Tool, ToolChoice};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    pub(super) fn to_tool(&self) -> Tool {
        let Self::Function { name, description, parameters } = self.clone();
        Tool {
            name,
            description: description.unwrap_or_default(),
            parameters: parameters.unwrap_or_default(),
        }
    }
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
