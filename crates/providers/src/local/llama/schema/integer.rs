//! Whole numbers between bounds, digit by digit.

use serde_json::{Map, Value};

use super::{Result, refuse};

/// Digits of a number without a bound: as many as a 64-bit float can tell apart.
const DIGITS: usize = 16;

/// The least and the most; a bound between two whole numbers moves inwards.
pub(super) fn bounds(keys: &Map<String, Value>) -> Result<(Option<i64>, Option<i64>)> {
    let bound = |inclusive: &str, exclusive: &str, inwards: i64| {
        let (value, step) = match (keys.get(inclusive), keys.get(exclusive)) {
            (Some(value), _) => (value, 0),
            (None, Some(value)) => (value, inwards),
            (None, None) => return Ok(None),
        };
        if let Some(value) = value.as_i64() {
            return Ok(Some(value.saturating_add(step)));
        }
        let Some(value) = value.as_f64() else { return refuse("a bound of an integer must be a number") };
        let rounded = if inwards > 0 { value.ceil() } else { value.floor() };
        let step = if rounded == value { step } else { 0 };
        Ok(Some((rounded as i64).saturating_add(step)))
    };
    Ok((bound("minimum", "exclusiveMinimum", 1)?, bound("maximum", "exclusiveMaximum", -1)?))
}

/// The alternatives that together are all integers from the least to the most.
pub(super) fn between(least: Option<i64>, most: Option<i64>) -> String {
    let mut text = String::new();
    write(least, most, &mut text, DIGITS, true);
    text
}

/// `first`: the number begins here, so that it must not begin with a zero.
fn write(least: Option<i64>, most: Option<i64>, out: &mut String, digits: usize, first: bool) {
    match (least, most) {
        (Some(least), Some(most)) if most < 0 => {
            *out += "\"-\" (";
            write(Some(most.saturating_neg()), Some(least.saturating_neg()), out, digits, true);
            *out += ")";
        }
        (Some(least), Some(most)) => {
            if least < 0 {
                *out += "\"-\" (";
                write(Some(0), Some(least.saturating_neg()), out, digits, true);
                *out += ") | ";
            }
            write_range(least.max(0), most, out);
        }
        (Some(least), None) => write_from(least, out, digits, first),
        (None, Some(most)) if most >= 0 => {
            if first {
                *out += "\"-\" [1-9] ";
                write_digits(0, digits.saturating_sub(1).max(1), out);
                *out += " | ";
            }
            write(Some(0), Some(most), out, digits, true);
        }
        (None, Some(most)) => {
            *out += "\"-\" (";
            write(Some(most.saturating_neg()), None, out, digits, false);
            *out += ")";
        }
        (None, None) => {}
    }
}

/// From one number to another, neither below 0: one alternative for each length.
fn write_range(least: i64, most: i64, out: &mut String) {
    let (mut from, to) = (least.to_string(), most.to_string());
    for digits in from.len()..to.len() {
        write_same_length(&from, &"9".repeat(digits), out);
        from = format!("1{}", "0".repeat(digits));
        *out += " | ";
    }
    write_same_length(&from, &to, out);
}

/// From one number to another of as many digits.
fn write_same_length(from: &str, to: &str, out: &mut String) {
    let same = from.bytes().zip(to.bytes()).take_while(|(a, b)| a == b).count();
    if same > 0 {
        out.extend(["\"", &from[..same], "\""]);
    }
    let (Some(low), Some(high)) = (from.as_bytes().get(same), to.as_bytes().get(same)) else { return };
    let (low, high) = (char::from(*low), char::from(*high));
    if same > 0 {
        out.push(' ');
    }
    let (rest_from, rest_to) = (&from[same + 1..], &to[same + 1..]);
    let rest = rest_from.len();
    if rest == 0 {
        write_class(low, high, out);
        return;
    }
    let (zeros, nines) = ("0".repeat(rest), "9".repeat(rest));
    let (above, below) = (moved(low, 1), moved(high, -1));
    let mut reached = false;
    out.push('(');
    if rest_from == zeros {
        write_class(low, below, out);
        out.push(' ');
        write_digits(rest, rest, out);
    } else {
        write_class(low, low, out);
        *out += " (";
        write_same_length(rest_from, &nines, out);
        out.push(')');
        if low < below {
            *out += " | ";
            reached = rest_to == nines;
            write_class(above, if reached { high } else { below }, out);
            out.push(' ');
            write_digits(rest, rest, out);
        }
    }
    if !reached {
        *out += " | ";
        write_class(high, high, out);
        out.push(' ');
        write_same_length(&zeros, rest_to, out);
    }
    out.push(')');
}

/// From a number on.
fn write_from(least: i64, out: &mut String, digits: usize, first: bool) {
    let fewer = digits.saturating_sub(1).max(1);
    match least {
        ..0 => {
            *out += "\"-\" (";
            write(None, Some(least.saturating_neg()), out, digits, false);
            *out += ") | [0] | [1-9] ";
            write_digits(0, digits.saturating_sub(1), out);
        }
        0 if first => {
            *out += "[0] | [1-9] ";
            write_digits(0, fewer, out);
        }
        0 => write_digits(1, digits, out),
        _ => write_from_positive(&least.to_string(), out, fewer, first),
    }
}

fn write_from_positive(least: &str, out: &mut String, fewer: usize, first: bool) {
    let mut rest = least.chars();
    let Some(leading) = rest.next() else { return };
    let rest = rest.as_str();
    let lowest = if first { '1' } else { '0' };
    if leading > lowest {
        write_class(lowest, moved(leading, -1), out);
        out.push(' ');
        write_digits(least.len(), fewer, out);
        *out += " | ";
    }
    if rest.is_empty() {
        write_class(leading, '9', out);
        out.push(' ');
        write_digits(0, fewer, out);
        return;
    }
    write_class(leading, leading, out);
    *out += " (";
    write(rest.parse().ok(), None, out, fewer, false);
    out.push(')');
    if leading < '9' {
        *out += " | ";
        write_class(moved(leading, 1), '9', out);
        out.push(' ');
        write_digits(least.len() - 1, fewer, out);
    }
}

fn moved(digit: char, by: i8) -> char {
    char::from((digit as u8).saturating_add_signed(by))
}

fn write_class(from: char, to: char, out: &mut String) {
    out.extend(['[', from]);
    if from != to {
        out.extend(['-', to]);
    }
    out.push(']');
}

fn write_digits(least: usize, most: usize, out: &mut String) {
    *out += "[0-9]";
    match (least, most) {
        (1, 1) => {}
        (least, most) if least == most => out.extend(["{", &least.to_string(), "}"]),
        (least, most) => out.extend(["{", &least.to_string(), ",", &most.to_string(), "}"]),
    }
}
