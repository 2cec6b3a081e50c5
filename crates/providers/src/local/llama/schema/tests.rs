mod matcher;

use serde_json::{Value, json};

use super::Rules;
use matcher::Matcher;

fn grammar(schema: &Value) -> Matcher {
    let mut rules = Rules::new();
    let start = rules.add_document("it", schema).unwrap_or_else(|e| panic!("{schema}: {e}"));
    Matcher::new(&rules.text(), &start)
}

#[track_caller]
fn check(schema: &Value, admitted: &[&str], refused: &[&str]) {
    let grammar = grammar(schema);
    for text in admitted {
        assert!(grammar.admits(text), "{schema} admits {text}");
    }
    for text in refused {
        assert!(!grammar.admits(text), "{schema} does not admit {text}");
    }
}

#[test]
fn values_of_each_type() {
    check(&json!({ "type": "boolean" }), &["true", "false"], &["null", "1"]);
    check(&json!({ "type": "null" }), &["null"], &["0"]);
    check(&json!({ "type": "number" }), &["0", "-1.5", "2e10", "1.5E-3"], &["01", ".5", "1.", "+1"]);
    check(&json!({ "type": "integer" }), &["0", "-17"], &["1.5", "007"]);
    check(&json!({ "type": "string" }), &[r#""""#, r#""a \" \u00e9 b""#], &["\"a\nb\"", r#""\q""#, "a"]);
    check(&json!({}), &["1", "[]", r#"{"a": [null]}"#], &["", "[1,]"]);
    check(&json!({ "type": ["string", "null"] }), &[r#""a""#, "null"], &["1"]);
    check(&json!({ "const": { "a": 1 } }), &[r#"{"a":1}"#], &[r#"{"a":2}"#]);
    check(&json!({ "enum": ["a\"b", 3, null] }), &[r#""a\"b""#, "3", "null"], &["\"a\"", "4"]);
    check(&json!({ "oneOf": [{ "type": "null" }, { "const": 1 }] }), &["null", "1"], &["2"]);
}

#[test]
fn objects_have_their_properties() {
    let schema = json!({
        "type": "object",
        "properties": { "a": { "type": "integer" }, "b": { "type": "null" }, "c": { "type": "boolean" } },
        "required": ["b"],
    });
    check(
        &schema,
        &[
            r#"{"b": null}"#,
            r#"{"b":null,"a":1}"#,
            r#"{ "b" : null, "c": true}"#,
            r#"{"b": null, "a": 1, "c": true}"#,
        ],
        &["{}", r#"{"a": 1}"#, r#"{"b": null, "d": 1}"#, r#"{"b": null,}"#, r#"{"b": 1}"#],
    );
    check(&json!({ "type": "object" }), &["{}", r#"{"x": [1]}"#], &["[]"]);
    check(&json!({ "type": "object", "properties": {} }), &["{}", "{ }"], &[r#"{"x": 1}"#]);
    let optional = json!({ "properties": { "a": { "const": 1 }, "b": { "const": 2 } } });
    check(&optional, &["{}", r#"{"a": 1}"#, r#"{"b": 2}"#, r#"{"a": 1, "b": 2}"#], &[r#"{, "b": 2}"#]);
}

#[test]
fn other_properties_have_other_names() {
    let schema = json!({
        "type": "object",
        "properties": { "and": { "const": 1 }, "an": { "const": 2 }, "x-]^": { "const": 3 } },
        "additionalProperties": { "type": "null" },
    });
    check(
        &schema,
        &[r#"{"and": 1, "other": null}"#, r#"{"a": null}"#, r#"{"andy": null, "": null, "x-": null}"#],
        &[r#"{"and": null}"#, r#"{"an": null}"#, r#"{"x-]^": null}"#, r#"{"other": 1}"#],
    );
    let numbers = json!({ "type": "object", "additionalProperties": { "type": "number" } });
    check(&numbers, &["{}", r#"{"a": 1, "b": 2.5}"#], &[r#"{"a": "1"}"#]);
}

#[test]
fn arrays_and_strings_have_their_lengths() {
    let between = json!({ "type": "array", "items": { "type": "integer" }, "minItems": 2, "maxItems": 3 });
    check(&between, &["[1, 2]", "[1,2,3]"], &["[1]", "[1, 2, 3, 4]", "[]"]);
    check(&json!({ "items": { "const": 1 }, "maxItems": 2 }), &["[]", "[1]", "[1, 1]"], &["[1, 1, 1]"]);
    check(&json!({ "type": "array", "items": {}, "minItems": 1 }), &["[1]", "[1, [2]]"], &["[]"]);
    check(
        &json!({ "prefixItems": [{ "const": 1 }, { "type": "null" }] }),
        &["[1, null]"],
        &["[1]", "[1, 1]"],
    );
    check(&json!({ "type": "array" }), &["[]", "[1, \"a\"]"], &["{}"]);
    let string = json!({ "type": "string", "minLength": 1, "maxLength": 2 });
    check(&string, &["\"a\"", "\"ab\""], &["\"\"", "\"abc\""]);
}

#[test]
fn strings_have_their_formats() {
    let of = |format: &str| json!({ "type": "string", "format": format });
    check(&of("date"), &["\"2024-02-29\""], &["\"2024-13-01\"", "\"24-01-01\""]);
    check(&of("date-time"), &["\"2024-02-29T23:59:00Z\""], &["\"2024-02-29\""]);
    check(&of("time"), &["\"07:30:00+01:00\""], &["\"24:00:00Z\""]);
    check(&of("uuid"), &["\"01234567-89ab-cdef-0123-456789abcdef\""], &["\"0123\""]);
    check(&of("email"), &["\"anything\""], &["1"]);
}

#[test]
fn integers_keep_to_their_bounds() {
    let bounds: [(Option<i64>, Option<i64>); 13] = [
        (Some(0), Some(9)),
        (Some(1), Some(12)),
        (Some(7), Some(1_234)),
        (Some(95), Some(105)),
        (Some(-12), Some(-3)),
        (Some(-15), Some(27)),
        (Some(-1_100), Some(0)),
        (Some(0), None),
        (Some(7), None),
        (Some(123), None),
        (Some(-45), None),
        (None, Some(321)),
        (None, Some(-45)),
    ];
    for (least, most) in bounds {
        let mut schema = json!({ "type": "integer" });
        for (key, bound) in [("minimum", least), ("maximum", most)] {
            if let Some(bound) = bound {
                schema[key] = bound.into();
            }
        }
        let grammar = grammar(&schema);
        for n in -1_300..=1_300 {
            let inside = least.is_none_or(|least| n >= least) && most.is_none_or(|most| n <= most);
            assert_eq!(grammar.admits(&n.to_string()), inside, "{n} by {schema}");
        }
        assert!(!grammar.admits("007"), "{schema}");
    }
    let open = json!({ "type": "integer", "exclusiveMinimum": 1.5, "exclusiveMaximum": 4 });
    check(&open, &["2", "3"], &["1", "4"]);
}

#[test]
fn patterns_are_kept() {
    let of = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    check(&of("^[a-z]{2,3}-\\.x+$"), &["\"ab-.x\"", "\"abc-.xxx\""], &["\"a-.x\"", "\"ab-x\"", "\"ab-.\""]);
    check(&of("^(?:ab|c.)+$"), &["\"abab\"", "\"cx\"", "\"abcd\""], &["\"\"", "\"a\""]);
    check(&of("^ab*$"), &["\"a\"", "\"abb\""], &["\"aab\"", "\"\""]);
    check(&of("^(\\+[0-9]{1,3}){,2}$"), &["\"\"", "\"+49\"", "\"+49+1\""], &["\"49\""]);
    // What a grammar cannot say is left open.
    for open in ["a", "^(?=x)y$", "^\\w+$", "^a^$"] {
        check(&of(open), &["\"anything\""], &["1"]);
    }
}

#[test]
fn references_lead_into_the_same_schema() {
    let tree = json!({
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": { "children": { "type": "array", "items": { "$ref": "#/$defs/node" } } },
                "required": ["children"],
            },
        },
    });
    check(
        &tree,
        &[r#"{"children": []}"#, r#"{"children": [{"children": []}, {"children": []}]}"#],
        &["{}", r#"{"children": [1]}"#],
    );
    let all = json!({
        "allOf": [{ "$ref": "#/$defs/named" }, { "properties": { "age": { "type": "integer" } } }],
        "$defs": { "named": { "type": "object", "properties": { "name": { "type": "string" } } } },
    });
    check(&all, &[r#"{"name": "a", "age": 1}"#], &[r#"{"name": "a"}"#, "{}"]);
    let both = json!({ "allOf": [{ "enum": [1, 2] }, { "enum": [2, 3] }] });
    check(&both, &["2"], &["1", "3"]);
}

#[test]
fn two_schemas_keep_their_references_apart() {
    let of = |value: i64| json!({ "$ref": "#/x", "x": { "const": value } });
    let (one, two) = (of(1), of(2));
    let mut rules = Rules::new();
    let [first, second] =
        [("a", &one), ("b", &two)].map(|(name, schema)| rules.add_document(name, schema).expect("usable"));
    for (start, admitted) in [(first, "1"), (second, "2")] {
        assert!(Matcher::new(&rules.text(), &start).admits(admitted));
    }
}

#[test]
fn what_is_no_schema_is_refused() {
    for schema in [
        json!(3),
        json!({ "type": 5 }),
        json!({ "type": "banana" }),
        json!({ "enum": [] }),
        json!({ "anyOf": {} }),
        json!({ "$ref": "#/nowhere" }),
        json!({ "$ref": "https://example.com/schema.json" }),
        json!({ "type": "array", "minItems": -1 }),
        json!({ "type": "string", "pattern": "^(a$" }),
        json!({ "type": "string", "pattern": "^*$" }),
        json!({ "type": "object", "properties": [] }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "allOf": [{ "$ref": "#/allOf/0" }] }),
    ] {
        assert!(Rules::new().add_document("it", &schema).is_err(), "{schema}");
    }
}
