//! API keys and tokens in the configuration.

use std::fmt;

use antiphon_core::settings::{Scalar, Setting, WrongValue};
use serde::{Deserialize, Serialize, Serializer};

/// A key or token, which is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret in the clear, for whoever has to send or compare it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(set)")
    }
}

impl Setting for Secret {
    const TYPE: &'static str = "secret";
    const LIST: &'static str = "list of secrets";

    fn each(&self, see: &mut dyn FnMut(Scalar<'_>) -> Result<(), WrongValue>) -> Result<(), WrongValue> {
        see(Scalar::Secret(&self.0))
    }
}
