mod matcher;
mod numbers;
mod odd;
mod random;

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
    check(&json!(true), &["1", "[]"], &[""]);
    check(&json!({ "properties": { "a": true }, "required": ["a"] }), &[r#"{"a": [1]}"#], &["{}"]);
    check(&json!({ "type": ["null", "null"] }), &["null"], &["1"]);
    check(&json!({ "type": ["string", "null"], "enum": ["a", null] }), &["\"a\"", "null"], &["\"b\""]);
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
    let hidden = json!({ "properties": { "ab": {}, "": {} }, "additionalProperties": true });
    check(
        &hidden,
        &[r#"{"ac": 1}"#, r#"{"b\\": 1}"#, r#"{"ab": 1, "abc": 2}"#],
        &["{\"\\\": 1}", "{\"\u{7F}\": 1}", "{\"a\nb\": 1}", r#"{"\u0061b": 1}"#, r#"{"a\u0062": 1}"#],
    );
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
    check(&json!({ "prefixItems": [{ "const": 1 }], "items": false }), &["[1]"], &["[]", "[1, 1]"]);
    check(&json!({ "prefixItems": [{ "const": 1 }], "minItems": 2 }), &["[1, 2]"], &["1"]);
    check(&json!({ "type": "array", "items": false }), &["[]"], &["[1]"]);
    check(&json!({ "type": "array", "items": { "const": 1 }, "maxItems": 1_000_000 }), &["[1, 1]"], &["[2]"]);
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
fn patterns_are_kept() {
    let of = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    check(&of("^[a-z]{2,3}-\\.x+$"), &["\"ab-.x\"", "\"abc-.xxx\""], &["\"a-.x\"", "\"ab-x\"", "\"ab-.\""]);
    check(&of("^(?:ab|c.)x$"), &["\"abx\"", "\"cdx\""], &["\"\"", "\"x\"", "\"abcdx\""]);
    check(&of("^(ab)+$"), &["\"ab\"", "\"abab\""], &["\"\"", "\"aba\""]);
    check(&of("^ab*?$"), &["\"a\"", "\"abb\""], &["\"aab\"", "\"\""]);
    check(&of("^a{2}b{1,}c{0}$"), &["\"aab\"", "\"aabb\""], &["\"ab\"", "\"aabc\""]);
    check(&of("^(\\+|00)?[0-9]{1,3}(-[0-9]+)?$"), &["\"+49\"", "\"0049-1\"", "\"7\""], &["\"-1\"", "\"\""]);
    check(&of("^[a-z0-9._%-]+@[a-z0-9.-]+\\.[a-z]{2,}$"), &["\"a.b@c.d.org\""], &["\"a@b\"", "\"@b.org\""]);
    check(&of("^[^a-y]\\/$"), &["\"z/\"", "\"é/\""], &["\"a/\""]);
    check(&of("^(a|)$"), &["\"a\"", "\"\""], &["\"b\""]);
    check(&of("^$"), &["\"\""], &["\"a\""]);
    check(&of("^\\x41\\u00e9$"), &["\"Aé\""], &["\"A\""]);
    check(&of("^\\d{2}:\\d{2}$"), &["\"09:30\""], &["\"\"", "\"9:30\"", "\"0a:30\""]);
    check(&of("^[\\d.]+\\s\\w+$"), &["\"3.5 kg\""], &["\"kg\"", "\"3.5kg\""]);
    check(&of("^[\\w-]+\\D$"), &["\"a-b!\""], &["\"a 1\""]);
}

#[test]
fn patterns_without_ends_may_stand_anywhere_in_a_string() {
    let of = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    check(&of("[0-9]+"), &["\"7\"", "\"at 7 today\""], &["\"\"", "\"at noon\""]);
    check(&of("\\S"), &["\"a\"", "\" a b \""], &["\"\"", "\"  \""]);
    check(&of("^ab"), &["\"ab\"", "\"abc\""], &["\"cab\""]);
    check(&of("ab$"), &["\"ab\"", "\"cab\""], &["\"abc\""]);
}

#[test]
fn patterns_stay_inside_their_string() {
    let of = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let outside = ["\"\"\"", "\"\\\"", "\"\n\"", "\"\0\"", "\"\u{7F}\""];
    for pattern in ["^.$", "^[^a]$", "^[ -\u{10FFFF}]$", "^[\"\\\\\\n!]$"] {
        check(&of(pattern), &["\"!\""], &outside);
    }
    // These are characters of the text, which JSON escapes.
    check(&of("^\"\\\\\\n\\x00$"), &[r#""\"\\\u000a\u0000""#], &outside);
}

#[test]
fn patterns_that_no_grammar_can_follow_are_left_open() {
    let optional = format!("^{}b$", "a?".repeat(200));
    let either = format!("^{}$", "(a|a)".repeat(20));
    let stars = format!("^{}b$", "[a-z]*".repeat(5));
    let pluses = format!("^a{}$", "+".repeat(60));
    let deep = format!("^{}a{}$", "(".repeat(30), ")".repeat(30));
    let long = format!("^{}$", "a".repeat(600));
    let open = [
        "^(?=x)y$",
        "^[\\D]$",
        "^a^$",
        "^(ab|c)+$",
        "^(a+)+$",
        "^((a?)b){2}$",
        "^a{300}$",
        "^(abc){100}$",
        "^(a{20}){20}$",
        "^a{,3}$",
        "^a{5000}$",
        "^a{99999999999999999999}$",
        "^[]$",
        "^[^\0-\u{10FFFF}]$",
        "^[\\x00-\\x1f]$",
        "^\\ud800$",
        "^\\U00110000$",
        "^US\\$",
        "^a**$",
        "^(){3}$",
        &optional,
        &either,
        &stars,
        &pluses,
        &deep,
        &long,
    ];
    for pattern in open {
        check(&json!({ "pattern": pattern }), &["\"anything\""], &["1"]);
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
        // Where the schema leads back to itself, any value is admitted.
        &[r#"{"children": []}"#, r#"{"children": [{"children": []}, 1]}"#],
        &["{}", r#"{"children": 1}"#],
    );
    let twice = json!({ "prefixItems": [{ "$ref": "#/$defs/one" }, { "$ref": "#/$defs/one" }],
        "$defs": { "one": { "const": 1 } } });
    check(&twice, &["[1, 1]"], &["[1]", "[1, 2]"]);
    let whole = json!({ "type": "object", "properties": { "next": { "$ref": "#" } }, "required": ["next"] });
    check(&whole, &[r#"{"next": 1}"#], &["{}"]);
    let all = json!({
        "allOf": [{ "$ref": "#/$defs/named" }, { "properties": { "age": { "type": "integer" } } }],
        "$defs": { "named": { "type": "object", "properties": { "name": { "type": "string" } } } },
    });
    check(&all, &[r#"{"name": "a", "age": 1}"#], &[r#"{"name": "a"}"#, "{}"]);
}

#[test]
fn all_of_several_schemas_holds() {
    let both = json!({ "allOf": [{ "enum": [1, 2] }, { "enum": [2, 3] }] });
    check(&both, &["2"], &["1", "3"]);
    let either =
        json!({ "allOf": [{ "anyOf": [{ "enum": [1] }, { "type": "string" }] }, { "enum": ["a"] }] });
    check(&either, &["\"a\""], &["1"]);
    let described = json!({ "allOf": [{ "enum": ["a", "b"] }, { "type": "string" }] });
    check(&described, &["\"a\""], &["\"c\""]);
    let again =
        json!({ "allOf": [{ "properties": { "a": {} } }, { "properties": { "a": { "const": 1 } } }] });
    check(&again, &[r#"{"a": 1}"#], &[r#"{"a": 2}"#, r#"{"a": 1, "a": 1}"#, "{}"]);
    let lone = json!({ "allOf": [{ "properties": { "a": { "const": 1 } } }], "description": "an object" });
    check(&lone, &["{}", r#"{"a": 1}"#], &[r#"{"a": 2}"#]);
    let integer = json!({ "allOf": [{ "type": "integer", "minimum": 3 }] });
    check(&integer, &["3"], &["2", "{}"]);
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
        json!({ "type": [] }),
        json!({ "type": ["string", 3] }),
        json!({ "properties": { "a": false } }),
        json!({ "allOf": [{ "enum": [1] }, { "enum": [2] }] }),
        json!({ "type": "string", "pattern": "^[z-a]$" }),
        json!({ "type": "string", "pattern": "^a{5,3}$" }),
    ] {
        assert!(Rules::new().add_document("it", &schema).is_err(), "{schema}");
    }
}
