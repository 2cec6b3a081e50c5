//! Random schemas: whatever they are, the grammar is well-formed and has a bound.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{MAX_BYTES, MAX_CHOICES, MAX_SCHEMAS, Rules};
use super::Matcher;

const TYPES: [&str; 9] = ["object", "array", "string", "integer", "number", "boolean", "null", "any", "odd"];
const REFERENCES: [&str; 6] =
    ["#", "#/", "#/$defs/a", "#/properties/a", "#/anyOf/0", "https://example.com/schema.json"];

/// A number that may stand in a schema, mostly a small one.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (0_u64..6).prop_map(Value::from),
        2 => (-2_000_i64..2_000).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

/// A regular expression, or nearly one.
fn pattern() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => r"\^([a-c.]|\[\^?[a-c0-9-]{1,4}\]|\((\?:)?[ab|]{1,4}\)|[*+?]|\{[0-4](,[0-4]?)?\}|\\[nx4u\\]){0,8}\$",
        1 => r"\^\PC{0,12}\$",
        1 => r"\PC{0,12}",
    ]
    .prop_map(Value::from)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{1,3}", 1 => "\\PC{0,6}", 1 => "(?s).{0,3}"]
}

/// A schema, or nearly one.
fn schema() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(&TYPES[..]);
    let leaf = prop_oneof![
        Just(json!({})),
        any::<bool>().prop_map(Value::from),
        name().prop_map(|text| json!({ "const": text })),
        prop::collection::vec(number(), 0..4).prop_map(|values| json!({ "enum": values })),
        prop::sample::select(&REFERENCES[..]).prop_map(|to| json!({ "$ref": to })),
        prop::collection::vec(kind.clone(), 0..4).prop_map(|kinds| json!({ "type": kinds })),
        pattern().prop_map(|pattern| json!({ "type": "string", "pattern": pattern })),
        kind.prop_map(|kind| json!({ "type": kind })),
        number(),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        let bound = prop::sample::select(
            &[
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum",
                "minItems",
                "maxItems",
                "minLength",
                "maxLength",
            ][..],
        );
        let bounds = prop::collection::vec((bound, number()), 0..3);
        let properties = prop::collection::vec((name(), inner.clone()), 0..5);
        let list = prop::sample::select(&["anyOf", "oneOf", "allOf", "prefixItems", "items"][..]);
        let lists = prop::collection::vec((list, prop::collection::vec(inner.clone(), 0..4)), 0..2);
        let single = prop::sample::select(&["items", "additionalProperties", "$defs"][..]);
        let singles = prop::collection::vec((single, inner), 0..3);
        let kind = prop::sample::select(&TYPES[..]);
        (bounds, properties, lists, singles, prop::option::of(kind)).prop_map(
            |(bounds, properties, lists, singles, kind)| {
                let mut schema = Map::new();
                for (key, value) in bounds {
                    schema.insert(key.to_owned(), value);
                }
                if !properties.is_empty() {
                    let required: Vec<&String> = properties.iter().map(|(key, _)| key).step_by(2).collect();
                    schema.insert("required".to_owned(), json!(required));
                    schema.insert("properties".to_owned(), properties.into_iter().collect());
                }
                for (key, values) in lists {
                    schema.insert(key.to_owned(), values.into());
                }
                for (key, value) in singles {
                    let value = if key == "$defs" { json!({ "a": value }) } else { value };
                    schema.insert(key.to_owned(), value);
                }
                if let Some(kind) = kind {
                    schema.insert("type".to_owned(), kind.into());
                }
                Value::Object(schema)
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn grammars_of_random_schemas_are_well_formed(schema in schema()) {
        let mut rules = Rules::new();
        if let Ok(start) = rules.add_document("it", &schema) {
            let text = rules.text();
            prop_assert!(rules.schemas <= MAX_SCHEMAS && rules.choices <= MAX_CHOICES);
            prop_assert!(rules.numbered <= 8 * MAX_SCHEMAS, "{} rules", rules.numbered);
            prop_assert!(text.len() <= 2 * MAX_BYTES, "{} bytes", text.len());
            Matcher::new(&text, &start);
        }
    }
}
