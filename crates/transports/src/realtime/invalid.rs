//! The error for something invalid that a client sent.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// An error of the type `invalid_request_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The field that is wrong, if the error is about a single field.
    pub(super) param: Option<String>,
}

impl Invalid {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: None }
    }

    pub(super) fn param(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: "invalid_value", message: message.into(), param: Some(param.into()) }
    }

    /// The `error` object of an `error` event. `event_id` is the id of the client's event that is wrong.
    pub(super) fn to_json(&self, event_id: Option<&str>) -> Value {
        json!({
            "type": "invalid_request_error",
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        })
    }
}

/// Deserializes an event. An error names the field that is wrong by its path.
pub(super) fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Invalid> {
    deserialize(&mut serde_json::Deserializer::from_str(text), "")
}

/// Deserializes what `from` holds. An error names the field that is wrong by its path, which begins with `root`.
pub(super) fn deserialize<'de, T, D>(from: D, root: &str) -> Result<T, Invalid>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    serde_path_to_error::deserialize(from).map_err(|error| {
        let path = error.path().to_string();
        let param = match (root, path.as_str()) {
            ("", path) => path.to_owned(),
            (root, ".") => root.to_owned(),
            (root, path) => format!("{root}.{path}"),
        };
        Invalid::param(param, error.into_inner().to_string())
    })
}
