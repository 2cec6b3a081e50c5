//! Reduces a JSON Schema to what Gemini takes, a part of OpenAPI's schema (<https://ai.google.dev/api/caching#Schema>).
//! Gemini refuses requests with any other keyword.

use serde_json::{Map, Value, json};

/// Keywords that have the same meaning in both and contain no schema.
const KEPT: [&str; 12] = [
    "description",
    "nullable",
    "required",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
];
/// The deepest nesting that is followed. A deeper schema refers to itself.
const MAX_DEPTH: usize = 16;
/// The most schemas that are read: one that refers to itself twice grows exponentially with its depth.
const MAX_SCHEMAS: usize = 2_000;

/// The schema of a function's arguments; `None` for a function without arguments.
pub(super) fn parameters(schema: &Value) -> Option<Value> {
    let mut reader = Reader { root: schema, left: MAX_SCHEMAS };
    let schema = reader.schema(schema, 0);
    let properties = schema.get("properties")?.as_object()?;
    (!properties.is_empty()).then_some(Value::Object(schema))
}

struct Reader<'a> {
    root: &'a Value,
    /// Schemas that may still be read.
    left: usize,
}

impl<'a> Reader<'a> {
    fn schema(&mut self, schema: &'a Value, depth: usize) -> Map<String, Value> {
        let anything = || Map::from_iter([("type".to_owned(), json!("string"))]);
        let (Some(given), true, Some(left)) =
            (schema.as_object(), depth < MAX_DEPTH, self.left.checked_sub(1))
        else {
            return anything();
        };
        self.left = left;
        if let Some(reference) = given.get("$ref") {
            let target = reference.as_str().and_then(|path| self.root.pointer(path.strip_prefix('#')?));
            return target.map_or_else(anything, |target| self.schema(target, depth + 1));
        }
        let mut taken = self.alternatives(given, depth);
        for key in KEPT {
            if let Some(value) = given.get(key) {
                taken.insert(key.to_owned(), value.clone());
            }
        }
        // Gemini takes no other keyword next to `anyOf`.
        if let Some(alternatives) = taken.remove("anyOf") {
            return Map::from_iter([("anyOf".to_owned(), alternatives)]);
        }
        if let Some(properties) = given.get("properties").and_then(Value::as_object) {
            let property = |(name, schema)| -> (String, Value) {
                (String::clone(name), Value::Object(self.schema(schema, depth + 1)))
            };
            let properties: Map<String, Value> = properties.iter().map(property).collect();
            taken.insert("properties".to_owned(), Value::Object(properties));
        }
        choices(given, &mut taken);
        kind(given, &mut taken);
        if taken.get("type").is_some_and(|kind| kind == "array") && !taken.contains_key("items") {
            let items = self.schema(given.get("items").unwrap_or(&Value::Null), depth + 1);
            taken.insert("items".to_owned(), Value::Object(items));
        }
        taken
    }

    /// The alternatives. `null` becomes `nullable`, and a single remaining alternative becomes the schema itself.
    fn alternatives(&mut self, given: &'a Map<String, Value>, depth: usize) -> Map<String, Value> {
        let lists = ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| given.get(*key)?.as_array());
        let Some(list) = lists.into_iter().next() else { return Map::new() };
        let null = |schema: &&Value| schema.get("type").is_some_and(|kind| kind == "null");
        let nullable = list.iter().any(|schema| null(&schema));
        let real: Vec<&Value> = list.iter().filter(|schema| !null(schema)).collect();
        let mut read: Vec<_> = real.into_iter().map(|schema| self.schema(schema, depth + 1)).collect();
        let mut taken = match read.len() {
            0 => Map::new(),
            1 => read.remove(0),
            _ => Map::from_iter([("anyOf".to_owned(), json!(read))]),
        };
        if nullable {
            taken.insert("nullable".to_owned(), json!(true));
        }
        taken
    }
}

/// Copies an enumeration. Gemini takes only those of strings.
fn choices(given: &Map<String, Value>, taken: &mut Map<String, Value>) {
    let constant = || given.get("const").map(|only| vec![only.clone()]);
    let listed = given.get("enum").and_then(Value::as_array).cloned().or_else(constant);
    let texts: Vec<Value> = listed.into_iter().flatten().filter(Value::is_string).collect();
    if !texts.is_empty() {
        taken.insert("type".to_owned(), json!("string"));
        taken.insert("enum".to_owned(), Value::Array(texts));
    }
}

/// Sets the type. Gemini requires exactly one.
fn kind(given: &Map<String, Value>, taken: &mut Map<String, Value>) {
    let types: Vec<&str> = match given.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if types.len() > 1 && types.contains(&"null") {
        taken.insert("nullable".to_owned(), json!(true));
    }
    if taken.contains_key("type") {
        return;
    }
    let guess = if taken.contains_key("properties") { "object" } else { "string" };
    let kind = types.into_iter().find(|kind| *kind != "null").unwrap_or(guess);
    taken.insert("type".to_owned(), json!(kind));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_gemini_refuses_is_left_out() {
        let given = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Order", "type": "object",
            "additionalProperties": false, "required": ["dish"],
            "properties": {
                "dish": { "type": ["string", "null"], "format": "uuid", "default": "soup", "examples": ["soup"] },
                "size": { "enum": ["small", "large", 3] },
                "kind": { "const": "order" },
                "count": { "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "null" }], "description": "How many" },
                "at": { "$ref": "#/$defs/place" },
                "with": { "type": "array", "items": { "type": "string", "propertyNames": {} } },
                "any": { "type": "array" },
                "price": { "oneOf": [{ "type": "number" }, { "type": "string" }], "description": "?" },
            },
            "$defs": { "place": { "type": "object", "properties": { "table": { "type": "integer" } } } }
        });
        let taken = json!({
            "type": "object", "required": ["dish"],
            "properties": {
                "dish": { "type": "string", "nullable": true },
                "size": { "type": "string", "enum": ["small", "large"] },
                "kind": { "type": "string", "enum": ["order"] },
                "count": { "type": "integer", "minimum": 1, "nullable": true, "description": "How many" },
                "at": { "type": "object", "properties": { "table": { "type": "integer" } } },
                "with": { "type": "array", "items": { "type": "string" } },
                "any": { "type": "array", "items": { "type": "string" } },
                "price": { "anyOf": [{ "type": "number" }, { "type": "string" }] },
            }
        });
        assert_eq!(parameters(&given), Some(taken));
        for none in [Value::Null, json!({}), json!({ "type": "object", "properties": {} })] {
            assert_eq!(parameters(&none), None);
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let twice = json!([{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }, { "type": "string" }]);
        let given =
            json!({ "properties": { "a": { "$ref": "#/$defs/a" } }, "$defs": { "a": { "anyOf": twice } } });
        assert!(parameters(&given).is_some());
    }

    proptest! {
        #[test]
        fn any_schema_is_taken(text in crate::remote::testing::json_like(
            &["type", "properties", "items", "anyOf", "enum", "const", "$ref", "required"])) {
            let _ = serde_json::from_str(&text).map(|schema: Value| parameters(&schema));
        }
    }
}
