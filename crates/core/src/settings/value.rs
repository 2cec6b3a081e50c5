//! What can be the value of a key.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::{Check, KeyOptions, Scalar, SectionInfo};

/// The value of a key: a single value, a list of them, or a table with keys of its own.
///
/// # Example
///
/// A percentage, which files may give as a number only. A table of keys is declared with
/// [`settings!`](crate::settings!), a value of a few names with [`choices!`](crate::choices!):
///
/// ```
/// use antiphon_core::settings::{Check, KeyOptions, Scalar, Setting, WrongValue, check_key};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Percent(f64);
///
/// impl Setting for Percent {
///     const TYPE: &'static str = "percentage";
///     const LIST: &'static str = "list of percentages";
///
///     fn each(&self, see: &mut dyn FnMut(Scalar<'_>) -> Result<(), WrongValue>) -> Result<(), WrongValue> {
///         see(Scalar::Number(self.0))
///     }
/// }
///
/// let options = KeyOptions::default().check(Check::Between(0.0, 100.0));
/// assert_eq!(check_key("lamp", "brightness", &Percent(50.0), &options), Ok(()));
/// let refused = check_key("lamp", "brightness", &Percent(101.0), &options).unwrap_err();
/// assert_eq!(refused.to_string(), "[lamp] brightness = 101 must be between 0 and 100");
/// ```
pub trait Setting: Serialize {
    /// What it is, in words.
    const TYPE: &'static str;
    /// What a list of it is, in words.
    const LIST: &'static str;
    /// The texts that it may be, if it is one of a few.
    const CHOICES: &'static [&'static str] = &[];

    /// Its keys, if it is a table, which stands at `path`.
    fn section(path: &str) -> Option<SectionInfo> {
        let _ = path;
        None
    }

    /// Checks its keys, if it is a table, which stands at `path`.
    fn check(&self, path: &str) -> Result<(), WrongValue> {
        let _ = path;
        Ok(())
    }

    /// Shows the single values in it to `see`, until that finds one that it does not like.
    fn each(&self, see: &mut dyn FnMut(Scalar<'_>) -> Result<(), WrongValue>) -> Result<(), WrongValue> {
        let _ = see;
        Ok(())
    }
}

/// A value that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct WrongValue {
    /// The full name of the key.
    pub path: String,
    /// The value that was refused, as it was written; never a secret.
    pub value: String,
    /// What it must be.
    pub must_be: String,
}

impl fmt::Display for WrongValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (section, key) = self.path.rsplit_once('.').unwrap_or(("", &self.path));
        write!(f, "[{section}] {key} = {} must be {}", self.value, self.must_be)
    }
}

/// Checks the value of one key of the table at `path`, and the keys in it if it is a table itself.
pub fn check_key<S: Setting>(
    path: &str,
    key: &str,
    value: &S,
    options: &KeyOptions,
) -> Result<(), WrongValue> {
    let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    value.check(&path)?;
    value.each(&mut |scalar| see_secret(&path, scalar))?;
    let Some(check) = &options.check else { return Ok(()) };
    value.each(&mut |scalar| see(check, &path, scalar))
}

/// A secret that is empty protects nothing, and is most often a variable that was never set.
fn see_secret(path: &str, value: Scalar<'_>) -> Result<(), WrongValue> {
    match value {
        Scalar::Secret(secret) if secret.trim().is_empty() => Err(WrongValue {
            path: path.to_owned(),
            value: "(an empty secret)".to_owned(),
            must_be: "a secret that is not empty, or left out".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn see(check: &Check, path: &str, value: Scalar<'_>) -> Result<(), WrongValue> {
    if check.holds(value) {
        return Ok(());
    }
    Err(WrongValue { path: path.to_owned(), value: value.to_string(), must_be: check.to_string() })
}

macro_rules! numbers {
    ($what:literal, $list:literal: $($number:ty)+) => {$(
        impl Setting for $number {
            const TYPE: &'static str = $what;
            const LIST: &'static str = $list;

            fn each(
                &self,
                see: &mut dyn FnMut(Scalar<'_>) -> Result<(), WrongValue>,
            ) -> Result<(), WrongValue> {
                see(Scalar::Number(*self as f64))
            }
        }
    )+};
}

numbers!("whole number", "list of whole numbers": i32 u32 u64 usize);
numbers!("number", "list of numbers": f64);

impl Setting for f32 {
    const TYPE: &'static str = f64::TYPE;
    const LIST: &'static str = f64::LIST;

    fn each(&self, see: &mut dyn FnMut(Scalar<'_>) -> Result<(), WrongValue>) -> Result<(), WrongValue> {
        // By way of its digits: 0.1 is to be called that, not 0.10000000149.
        see(Scalar::Number(self.to_string().parse().unwrap_or_else(|_| f64::from(*self))))
    }
}

impl Setting for bool {
    const TYPE: &'static str = "true or false";
    const LIST: &'static str = "list of true or false";
}

impl Setting for String {
    const TYPE: &'static str = "text";
    const LIST: &'static str = "list of texts";

    fn each(&self, see: &mut dyn FnMut(Scalar<'_>) -> Result<(), WrongValue>) -> Result<(), WrongValue> {
        see(Scalar::Text(self))
    }
}

impl Setting for PathBuf {
    const TYPE: &'static str = "path";
    const LIST: &'static str = "list of paths";
}

impl Setting for SocketAddr {
    const TYPE: &'static str = "address and port";
    const LIST: &'static str = "list of addresses and ports";
}

impl<S: Setting> Setting for Option<S> {
    const TYPE: &'static str = S::TYPE;
    const LIST: &'static str = S::LIST;
    const CHOICES: &'static [&'static str] = S::CHOICES;

    fn each(&self, see: &mut dyn FnMut(Scalar<'_>) -> Result<(), WrongValue>) -> Result<(), WrongValue> {
        self.as_ref().map_or(Ok(()), |value| value.each(see))
    }
}

impl<S: Setting> Setting for Vec<S> {
    const TYPE: &'static str = S::LIST;
    const LIST: &'static str = "list of lists";

    /// A list of tables holds what the table above it holds, several times.
    fn check(&self, path: &str) -> Result<(), WrongValue> {
        let above = path.rsplit_once('.').map_or("", |(above, _)| above);
        self.iter().try_for_each(|value| value.check(above))
    }

    fn each(&self, see: &mut dyn FnMut(Scalar<'_>) -> Result<(), WrongValue>) -> Result<(), WrongValue> {
        self.iter().try_for_each(|value| value.each(see))
    }
}
