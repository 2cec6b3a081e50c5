//! Whole numbers between bounds, digit by digit.

use serde_json::{Map, Value};

use super::notation::Count;
use super::{Result, Rules, refuse};

/// Digits of a number without a bound: as many as a 64-bit float can tell apart.
const DIGITS: usize = 16;
/// Digits of the largest bound that is kept to, enough for every 64-bit integer.
const MAX_DIGITS: usize = 20;

impl Rules<'_> {
    pub(super) fn integer(&mut self, keys: &Map<String, Value>) -> Result<String> {
        let least = bound(keys, "minimum", "exclusiveMinimum", BoundSide::Least)?;
        let most = bound(keys, "maximum", "exclusiveMaximum", BoundSide::Most)?;
        if least.is_none() && most.is_none() {
            return Ok(self.primitive("integer"));
        }
        // Towards an open side the numbers have as many digits as usual, or as many as the bound.
        let open = |bound: Option<i128>| largest(digits(bound.unwrap_or(0)).max(DIGITS));
        let furthest = largest(MAX_DIGITS);
        let from = least.unwrap_or(-open(most)).max(-furthest);
        let to = most.unwrap_or(open(least)).min(furthest);
        if from > furthest || to < -furthest {
            return refuse(format!(
                "the bounds of an integer have more than {MAX_DIGITS} digits: give smaller ones"
            ));
        }
        if from > to {
            return refuse(format!(
                "no integer is from {from} to {to}: give a maximum of at least the minimum"
            ));
        }
        self.add(between(from, to))
    }
}

/// The largest number of so many digits.
fn largest(digits: usize) -> i128 {
    10_i128.pow(digits.min(MAX_DIGITS) as u32) - 1
}

fn digits(number: i128) -> usize {
    number.unsigned_abs().to_string().len()
}

#[derive(Clone, Copy)]
enum BoundSide {
    Least,
    Most,
}

/// The tightest whole number that two keys allow on one side. In JSON Schema's draft 4 the exclusive bound was a flag of
/// the other one.
fn bound(
    keys: &Map<String, Value>,
    inclusive: &str,
    exclusive: &str,
    side: BoundSide,
) -> Result<Option<i128>> {
    let is_flagged = keys.get(exclusive) == Some(&Value::Bool(true));
    let number = |key: &str, is_exclusive: bool| match keys.get(key) {
        None | Some(Value::Bool(_)) => Ok(None),
        Some(value) => match inwards(value, is_exclusive, side) {
            None => refuse(format!("{key} is {value}: give a number")),
            bound => Ok(bound),
        },
    };
    let bounds = [number(inclusive, is_flagged)?, number(exclusive, true)?].into_iter().flatten();
    Ok(match side {
        BoundSide::Least => bounds.max(),
        BoundSide::Most => bounds.min(),
    })
}

/// The first whole number inside a bound.
fn inwards(bound: &Value, is_exclusive: bool, side: BoundSide) -> Option<i128> {
    let whole = bound.as_i64().map(i128::from).or_else(|| bound.as_u64().map(i128::from));
    let (down, up) = match whole {
        Some(whole) => (whole, whole),
        // Numbers beyond 128 bits become the largest there are, which are refused later.
        None => bound.as_f64().map(|bound| (bound.floor() as i128, bound.ceil() as i128))?,
    };
    Some(match (side, is_exclusive) {
        (BoundSide::Least, false) => up,
        (BoundSide::Least, true) => down.saturating_add(1),
        (BoundSide::Most, false) => down,
        (BoundSide::Most, true) => up.saturating_sub(1),
    })
}

/// The alternatives that together are all integers from the least to the most.
fn between(least: i128, most: i128) -> String {
    let mut ways = Vec::new();
    if least < 0 {
        let negative = positive((-most).max(1), -least);
        ways.push(format!("\"-\" ({})", negative.join(" | ")));
    }
    if least <= 0 && most >= 0 {
        ways.push("\"0\"".to_owned());
    }
    if most > 0 {
        ways.extend(positive(least.max(1), most));
    }
    ways.join(" | ")
}

/// From one number above 0 to another: those with as many digits as the least, as the most, and all between.
fn positive(least: i128, most: i128) -> Vec<String> {
    let (shortest, longest) = (digits(least), digits(most));
    let mut ways = Vec::new();
    // Lengths of which all numbers are inside.
    let mut whole: Vec<usize> = Vec::new();
    for length in shortest..=longest {
        let (first, last) = (largest(length - 1) + 1, largest(length));
        if least <= first && last <= most {
            whole.push(length);
        } else {
            ways.push(same_length(&least.max(first).to_string(), &most.min(last).to_string()));
        }
    }
    if let (Some(shortest), Some(longest)) = (whole.first(), whole.last()) {
        ways.push(format!("[1-9] {}", any_digits(shortest - 1, longest - 1)));
    }
    ways
}

/// From one row of digits to another that is as long and not smaller.
fn same_length(from: &str, to: &str) -> String {
    let is_all = |row: &str, digit: char| row.chars().all(|c| c == digit);
    let (Some(low), Some(high)) = (from.chars().next(), to.chars().next()) else { return String::new() };
    let (low_rest, high_rest) = (&from[1..], &to[1..]);
    let rest = low_rest.len();
    if low == high {
        return format!("\"{low}\" {}", same_length(low_rest, high_rest));
    }
    // The digits behind which every rest is inside; the rest of the first and the last may have bounds.
    let (mut first_free, mut last_free) = (low as u8, high as u8);
    let mut ways = Vec::new();
    if !is_all(low_rest, '0') {
        first_free += 1;
        ways.push(format!("\"{low}\" {}", same_length(low_rest, &"9".repeat(rest))));
    }
    if !is_all(high_rest, '9') {
        last_free -= 1;
        ways.push(format!("\"{high}\" {}", same_length(&"0".repeat(rest), high_rest)));
    }
    if first_free <= last_free {
        let (first, last) = (char::from(first_free), char::from(last_free));
        ways.push(format!("[{first}-{last}] {}", any_digits(rest, rest)));
    }
    format!("({})", ways.join(" | "))
}

fn any_digits(least: usize, most: usize) -> String {
    Count { least: least as u64, most: Some(most as u64) }.of("[0-9]")
}
