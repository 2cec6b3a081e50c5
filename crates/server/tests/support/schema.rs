//! Validates responses and events against OpenAI's own schemas.

use std::collections::HashMap;
use std::sync::OnceLock;

use antiphon_testkit::testdata;
use serde_json::{Value, json};

/// Validators for server events, by their `type`.
static SERVER_EVENTS: OnceLock<HashMap<String, jsonschema::Validator>> = OnceLock::new();

/// Panics unless `event` is a valid server event of OpenAI Realtime.
pub(crate) fn assert_server_event(event: &Value) {
    let validators = SERVER_EVENTS.get_or_init(|| server_events(api()));
    let kind = event["type"].as_str().expect("a type");
    let validator = validators.get(kind).unwrap_or_else(|| panic!("no server event {kind}: {event:#}"));
    let mut checked = event.clone();
    drop_allowed_nulls(&mut checked);
    let errors: Vec<String> =
        validator.iter_errors(&checked).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "not a {kind}: {errors:#?}\n{event:#}");
}

/// OpenAI's own description of its interface, as the repository keeps it.
fn api() -> Value {
    let text = std::fs::read_to_string(testdata("openai/openapi.json")).expect("readable");
    serde_json::from_str(&text).expect("JSON")
}

fn server_events(mut api: Value) -> HashMap<String, jsonschema::Validator> {
    let mut components = api["components"].take();
    allow_null(&mut components);
    let schemas = components["schemas"].as_object().expect("schemas").clone();
    // Only the schemas that the events use are compiled, because compiling the whole API for each event would
    // take minutes.
    let used = |name: &str| !name.contains("Beta") && !name.contains("Translation");
    let events = schemas.iter().filter(|(name, _)| name.starts_with("RealtimeServerEvent") && used(name));
    events
        .filter_map(|(name, schema)| {
            let kind = &schema["properties"]["type"];
            let kind = kind["const"].as_str().or_else(|| kind["enum"][0].as_str())?.trim().to_owned();
            let schema = json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
            Some((kind, jsonschema::validator_for(&schema).expect("a schema")))
        })
        .collect()
}

/// Removes null fields that are null in OpenAI's own examples although its schemas do not allow it.
fn drop_allowed_nulls(value: &mut Value) {
    const NULLS: [&str; 13] = [
        "status_details",
        "usage",
        "metadata",
        "noise_reduction",
        "transcription",
        "transcript",
        "tracing",
        "prompt",
        "include",
        "param",
        "event_id",
        "code",
        "previous_item_id",
    ];
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_allowed_nulls),
        Value::Object(fields) => {
            fields.retain(|name, value| !(value.is_null() && NULLS.contains(&name.as_str())));
            fields.values_mut().for_each(drop_allowed_nulls);
        }
        _ => {}
    }
}

/// Panics unless `value` is valid for the schema `name` in OpenAI's OpenAPI description.
pub(crate) fn assert_is(name: &str, value: &Value) {
    let mut components = api()["components"].take();
    allow_null(&mut components);
    let schema = json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "not a {name}: {errors:#?}\n{value:#}");
}

/// OpenAPI 3.0 says `nullable` where JSON Schema has the type `null`, and the description uses both, so they
/// are unified.
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
