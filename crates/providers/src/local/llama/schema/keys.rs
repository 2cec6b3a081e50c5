//! What the keys of a schema say by being there.

use serde_json::{Map, Value};

use super::{Result, refuse};

/// The type that goes without saying because of the other keys.
pub(super) fn implied_type(keys: &Map<String, Value>) -> &'static str {
    let has = |names: &[&str]| names.iter().any(|name| keys.contains_key(*name));
    if names_properties(keys) || has(&["allOf"]) {
        "object"
    } else if has(&["items", "prefixItems"]) {
        "array"
    } else if has(&["pattern", "minLength", "maxLength"])
        || matches!(super::string::format(keys), Ok(Some(_)))
    {
        "string"
    } else {
        "any"
    }
}

/// Whether a schema says something of properties, as only objects have them.
pub(super) fn names_properties(keys: &Map<String, Value>) -> bool {
    keys.contains_key("properties")
        || keys.get("additionalProperties").is_some_and(|additional| *additional != Value::Bool(true))
}

/// Whether a schema admits every value.
pub(super) fn is_any(schema: &Value) -> bool {
    let decides = ["$ref", "oneOf", "anyOf", "type", "const", "enum"];
    *schema == Value::Bool(true)
        || schema.as_object().is_some_and(|keys| {
            !decides.iter().any(|key| keys.contains_key(*key)) && implied_type(keys) == "any"
        })
}

/// The members of a list that must not be empty.
pub(super) fn members<'a>(key: &str, list: &'a Value) -> Result<&'a [Value]> {
    match list.as_array() {
        Some(list) if !list.is_empty() => Ok(list),
        _ => refuse(format!("{key} must be a list with something in it")),
    }
}
