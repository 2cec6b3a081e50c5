//! OpenAI's own schemas, against which replies are held.

use serde_json::{Value, json};

use crate::tools::test_data;

/// Panics unless `value` is a `name` of OpenAI's OpenAPI description. Without test data nothing is checked.
pub(crate) fn assert_is(name: &str, value: &Value) {
    let Some(path) = test_data("openai/openapi.json") else { return };
    let text = std::fs::read_to_string(path).expect("openapi.json");
    let mut api: Value = serde_json::from_str(&text).expect("JSON");
    let mut components = api["components"].take();
    allow_null(&mut components);
    let schema = json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "not a {name}: {errors:#?}\n{value:#}");
}

/// OpenAPI 3.0 says `nullable` where JSON Schema has a type `null`; the description uses both.
fn allow_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(allow_null),
        Value::Object(fields) => {
            fields.values_mut().for_each(allow_null);
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                let inner = std::mem::take(fields);
                fields.insert("anyOf".into(), json!([inner, { "type": "null" }]));
            }
        }
        _ => {}
    }
}
