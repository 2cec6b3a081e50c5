//! What a value must be beyond its type.

use std::fmt;

/// A single value, as checks see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// An integer or a fraction.
    Number(f64),
    /// Text that may be printed.
    Text(&'a str),
    /// Text that is never printed.
    Secret(&'a str),
}

impl<'a> Scalar<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) | Self::Secret(text) => Some(text),
        }
    }
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Secret(_) => f.write_str("(a secret)"),
        }
    }
}

/// What a value must be. Displayed, it completes "must be".
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// A number from the first to the second, both included.
    Between(f64, f64),
    /// A number from the first up to but not including the second.
    Below(f64, f64),
    /// A multiple of `step` from `min` to `max`.
    Steps {
        /// The least value allowed.
        min: u32,
        /// The greatest value allowed.
        max: u32,
        /// What it is a multiple of.
        step: u32,
    },
    /// A finite number, at least this.
    AtLeast(f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Text of which this holds.
    Text {
        /// In words, to follow "must be".
        what: &'static str,
        /// Whether a text is what it must be.
        holds: fn(&str) -> bool,
    },
}

impl Check {
    /// Whether the value is as it must be.
    pub fn holds(&self, value: Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Between(min, max), Scalar::Number(number)) => (*min..=*max).contains(&number),
            (Self::Below(min, limit), Scalar::Number(number)) => (*min..*limit).contains(&number),
            (Self::AtLeast(min), Scalar::Number(number)) => number.is_finite() && number >= *min,
            (Self::Steps { min, max, step }, Scalar::Number(number)) => {
                (f64::from(*min)..=f64::from(*max)).contains(&number) && number % f64::from(*step) == 0.0
            }
            (Self::OneOf(choices), value) => value.text().is_some_and(|text| choices.contains(&text)),
            (Self::Text { holds, .. }, value) => value.text().is_some_and(holds),
            (_, Scalar::Text(_) | Scalar::Secret(_)) => false,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between(min, max) => write!(f, "between {min} and {max}"),
            Self::Below(min, limit) => write!(f, "at least {min} and below {limit}"),
            Self::Steps { min, max, step } => write!(f, "a multiple of {step} between {min} and {max}"),
            Self::AtLeast(min) => write!(f, "at least {min}"),
            Self::OneOf(choices) => {
                let quoted: Vec<_> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
                write!(f, "one of {}", quoted.join(", "))
            }
            Self::Text { what, .. } => f.write_str(what),
        }
    }
}
