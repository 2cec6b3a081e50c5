//! Integers between bounds, compared with what the bounds say.

use proptest::prelude::*;
use serde_json::json;

use super::{check, grammar};

/// A schema with these bounds, and whether a number is inside.
fn schema(least: Option<i128>, most: Option<i128>) -> serde_json::Value {
    let mut schema = json!({ "type": "integer" });
    for (key, bound) in [("minimum", least), ("maximum", most)] {
        if let Some(bound) = bound {
            schema[key] = serde_json::from_str(&bound.to_string()).expect("a number");
        }
    }
    schema
}

fn compare(least: Option<i128>, most: Option<i128>, numbers: impl Iterator<Item = i128>) {
    let schema = schema(least, most);
    let grammar = grammar(&schema);
    for n in numbers {
        let inside = least.is_none_or(|least| n >= least) && most.is_none_or(|most| n <= most);
        assert_eq!(grammar.admits(&n.to_string()), inside, "{n} by {schema}");
    }
    for zero in ["00", "01", "-01", "007", "0123"] {
        assert!(!grammar.admits(zero), "{zero} by {schema}");
    }
}

#[test]
fn integers_keep_to_their_bounds() {
    let some = [-1_000, -105, -100, -46, -45, -12, -1, 0, 1, 7, 9, 10, 95, 100, 101, 105, 123, 1_000, 1_234];
    let bounds = || some.into_iter().map(Some).chain([None]);
    for (least, most) in bounds().flat_map(|least| bounds().map(move |most| (least, most))) {
        if least.zip(most).is_none_or(|(least, most)| least <= most) {
            compare(least, most, some.into_iter().flat_map(|n| n - 2..=n + 2));
        }
    }
}

#[test]
fn bounds_are_tight_whatever_kind_they_are() {
    let open = json!({ "type": "integer", "exclusiveMinimum": 1.5, "exclusiveMaximum": 4 });
    check(&open, &["2", "3"], &["1", "4"]);
    let both = json!({ "type": "integer", "minimum": 1, "exclusiveMinimum": 3, "maximum": 5, "exclusiveMaximum": 9 });
    check(&both, &["4", "5"], &["3", "6"]);
    let flagged =
        json!({ "type": "integer", "minimum": 1, "exclusiveMinimum": true, "exclusiveMaximum": false });
    check(&flagged, &["2", "99"], &["1"]);
    let vast = json!({ "type": "integer", "minimum": -1e300, "maximum": 1e300 });
    check(&vast, &["0", "-99999999999999999999", "18446744073709551615"], &["1e300"]);
    let sixteen = json!({ "type": "integer", "minimum": 1_234_567_890_123_456_i64 });
    check(&sixteen, &["1234567890123456"], &["1234567890123455", "123456789012345"]);
}

#[test]
fn bounds_between_which_nothing_is_are_refused() {
    for (least, most) in
        [(json!(5), json!(3)), (json!(1.2), json!(1.8)), (json!(1e30), json!(1e31)), (json!("1"), json!(2))]
    {
        let schema = json!({ "type": "integer", "minimum": least, "maximum": most });
        assert!(super::Rules::new().add_document("it", &schema).is_err(), "{schema}");
    }
}

proptest! {
    #[test]
    fn small_bounds_are_kept(a in -2_000_i128..2_000, b in -2_000_i128..2_000, sides in 0..3) {
        let (least, most) = (Some(a.min(b)).filter(|_| sides != 1), Some(a.max(b)).filter(|_| sides != 2));
        let first = least.or(most).unwrap_or(0) % 7;
        compare(least, most, (-2_100 + first..2_100).step_by(7).chain([a, b].into_iter().flat_map(|n| n - 12..=n + 12)));
    }

    #[test]
    fn large_bounds_are_kept(a in any::<i64>(), b in any::<u64>(), n in any::<i64>(), shift in 0..60) {
        let (a, b) = (i128::from(a >> shift), i128::from(b >> shift));
        let (least, most) = (a.min(b), a.max(b));
        let near = [least, most].into_iter().flat_map(|bound| bound - 3..=bound + 3);
        compare(Some(least), Some(most), near.chain([i128::from(n >> shift), least * 10, most * 10, i128::midpoint(least, most)]));
    }
}
