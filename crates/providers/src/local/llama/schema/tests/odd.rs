//! Schemas of people who mean no good, and of generators that do not know better.

use serde_json::{Value, json};

use super::super::{MAX_BYTES, Rules};
use super::Matcher;

/// Reads a schema and checks its grammar, which has a bound whatever the schema is.
fn read(schema: &Value) -> Result<Matcher, String> {
    let mut rules = Rules::new();
    let start = rules.add_document("it", schema).map_err(|e| e.to_string())?;
    let text = rules.text();
    assert!(text.len() < 2 * MAX_BYTES, "{} bytes", text.len());
    Ok(Matcher::new(&text, &start))
}

fn nested(depth: usize, around: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(json!({ "type": "null" }), |schema, _| around(schema))
}

#[test]
fn counts_that_contradict_each_other_are_refused_with_place_and_remedy() {
    for (schema, place) in [
        (
            json!({ "properties": { "a": { "type": "array", "minItems": 5, "maxItems": 3 } } }),
            "#/properties/a:",
        ),
        (json!({ "anyOf": [{ "type": "string", "minLength": 2, "maxLength": 1 }] }), "#/anyOf/0:"),
        (json!({ "items": { "type": "array", "minItems": 1_000_000 } }), "#/items:"),
        (json!({ "$ref": "#/$defs/a", "$defs": { "a": { "minLength": u64::MAX } } }), "#/$ref:"),
    ] {
        let error = read(&schema).err().expect("refused");
        assert!(error.starts_with(place) && error.contains("give "), "{error}");
    }
}

#[test]
fn schemas_that_double_with_every_level_end() {
    let types = nested(60, |inner| json!({ "type": ["array", "array"], "items": inner }));
    let unions = nested(14, |inner| json!({ "anyOf": [inner, inner] }));
    let mut chain = json!({ "$ref": "#/$defs/0", "$defs": { "40": { "type": "null" } } });
    for n in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/{}", n + 1) });
        chain["$defs"][n.to_string()] = json!({ "anyOf": [next, next] });
    }
    let all = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }] } } });
    for schema in [types, unions, chain, all] {
        assert!(read(&schema).is_ok());
    }
}

#[test]
fn what_leads_back_to_itself_ends() {
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "allOf": [{ "$ref": "#/allOf/0" }] }),
        json!({ "allOf": [{ "$ref": "#/allOf/1" }, { "$ref": "#/allOf/0" }] }),
        json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        json!({ "items": { "$ref": "#" }, "minItems": 1 }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
    ] {
        let grammar = read(&schema).unwrap_or_else(|e| panic!("{schema}: {e}"));
        assert!(grammar.admits("[1]"), "{schema}");
    }
}

#[test]
fn what_is_too_large_is_left_open_or_refused() {
    let many: serde_json::Map<String, Value> = (0..2_000).map(|n| (format!("p{n}"), json!({}))).collect();
    let open = read(&json!({ "properties": many })).expect("left open");
    assert!(open.admits(r#"{"q": 1}"#));
    let choices: Vec<u32> = (0..5_000).collect();
    assert!(read(&json!({ "enum": choices })).expect("left open").admits("null"));
    assert!(read(&nested(120, |inner| json!({ "items": inner }))).is_ok());
    assert!(read(&json!({ "const": "x".repeat(MAX_BYTES) })).err().expect("refused").contains("bytes"));
    let strings: Vec<Value> = (0..400).map(|_| json!({ "type": "string", "maxLength": 2_000 })).collect();
    assert!(read(&json!({ "anyOf": strings })).is_ok());
}

#[test]
fn long_and_many_names_are_not_told_apart() {
    let of = |names: Vec<String>| {
        let properties: serde_json::Map<String, Value> =
            names.into_iter().map(|name| (name, json!({ "const": 1 }))).collect();
        read(&json!({ "properties": properties, "additionalProperties": { "const": 2 } })).expect("usable")
    };
    assert!(of(vec!["a".repeat(100_000)]).admits(r#"{"other": 2}"#));
    assert!(of((0..100).map(|n| format!("p{n}")).collect()).admits(r#"{"p0": 2}"#));
    let kept = of((0..64).map(|n| format!("{n:064}")).collect());
    assert!(kept.admits(r#"{"other": 2}"#) && !kept.admits(&format!("{{\"{:064}\": 2}}", 7)));
}

#[test]
fn names_and_texts_may_hold_anything() {
    for text in [
        "\0",
        "\"",
        "\\",
        "[",
        "^]-",
        "\n\r\t",
        "\u{7F}",
        "\u{85}",
        "\u{2028}",
        "é",
        "\u{10FFFF}",
        "",
        "::= |",
    ] {
        let json = Value::from(text).to_string();
        assert!(read(&json!({ "const": text })).expect("usable").admits(&json), "{text:?}");
        let object =
            json!({ "properties": { text: { "const": 1 } }, "additionalProperties": { "const": 2 } });
        let grammar = read(&object).expect("usable");
        assert!(grammar.admits(&format!("{{{json}: 1, \"zz\": 2}}")), "{text:?}");
        assert!(!grammar.admits(&format!("{{{json}: 2}}")), "{text:?}");
    }
}
