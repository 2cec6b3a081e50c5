//! What a client wants to change in its session. Fields that nobody knows are dropped while the update is read, and those that the
//! server only gives back stay as they were written: as trees they could take eighty times as much memory.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::invalid::Invalid;

/// The fields that the server understands.
const KNOWN: [&str; 9] = [
    "type",
    "model",
    "instructions",
    "output_modalities",
    "audio",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "parallel_tool_calls",
];
/// The fields that the server gives back, without using them, and their values in JSON at first.
const ECHOED: [(&str, Option<&str>); 5] = [
    ("tracing", Some("null")),
    ("prompt", Some("null")),
    ("include", Some("null")),
    ("truncation", Some("\"auto\"")),
    ("reasoning", None),
];
/// Longest field that is given back, in bytes of JSON. OpenAI's examples have less than 1 KiB.
const MAX_ECHOED: usize = 16 << 10;

/// The fields of a `session.update`.
#[derive(Debug, Default)]
pub struct SessionUpdate {
    pub(super) fields: Map<String, Value>,
    pub(super) echoed: Vec<(&'static str, Box<RawValue>)>,
}

impl SessionUpdate {
    /// Whether it asks for a session that only transcribes.
    pub(super) fn is_transcription(&self) -> bool {
        self.fields.get("type").and_then(Value::as_str) == Some("transcription")
    }
}

impl<'de> Deserialize<'de> for SessionUpdate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = SessionUpdate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<SessionUpdate, A::Error> {
        let mut update = SessionUpdate::default();
        while let Some(name) = fields.next_key::<String>()? {
            if KNOWN.contains(&name.as_str()) {
                update.fields.insert(name, fields.next_value()?);
            } else if let Some((name, _)) = ECHOED.into_iter().find(|(echoed, _)| *echoed == name) {
                update.echoed.push((name, fields.next_value()?));
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(update)
    }
}

/// The fields that the server does not use, in JSON. They are kept because clients expect to read back what they set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Echoed(BTreeMap<String, Box<str>>);

impl Default for Echoed {
    fn default() -> Self {
        let first = |(name, json): (&str, Option<&str>)| Some((name.to_owned(), json?.into()));
        Self(ECHOED.into_iter().filter_map(first).collect())
    }
}

impl Echoed {
    /// Takes what was set, unless it is too long.
    pub(super) fn set(&mut self, fields: Vec<(&'static str, Box<RawValue>)>) -> Result<(), Invalid> {
        for (name, value) in fields {
            if value.get().len() > MAX_ECHOED {
                let message =
                    format!("it has no effect here, and may have {} KiB: leave it out", MAX_ECHOED >> 10);
                return Err(Invalid::param(format!("session.{name}"), message));
            }
            let at_first = ECHOED.into_iter().find(|(echoed, _)| *echoed == name).and_then(|(_, json)| json);
            match (value.get(), at_first) {
                ("null", None) => self.0.remove(name),
                ("null", Some(json)) | (json, _) => self.0.insert(name.to_owned(), json.into()),
            };
        }
        Ok(())
    }

    /// The fields, as the client reads them.
    pub(super) fn fields(&self) -> impl Iterator<Item = (String, Value)> {
        self.0.iter().map(|(name, json)| (name.clone(), serde_json::from_str(json).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn update(json: &str) -> SessionUpdate {
        serde_json::from_str(json).expect("a session")
    }

    #[test]
    fn unknown_fields_are_dropped_and_unused_ones_kept_as_they_were_written() {
        let update = update(r#"{"model":"m","unheard_of":[{"a":0}],"tracing":[{"a": 0}]}"#);
        assert_eq!(update.fields, json!({ "model": "m" }).as_object().expect("an object").clone());
        let kept: Vec<_> = update.echoed.iter().map(|(name, json)| (*name, json.get())).collect();
        assert_eq!(kept, [("tracing", r#"[{"a": 0}]"#)]);
    }

    #[test]
    fn what_is_given_back_is_short_and_null_restores_what_was_at_first() {
        let mut echoed = Echoed::default();
        let at_first: Map<_, _> = echoed.fields().collect();
        echoed
            .set(update(r#"{"tracing":"auto","truncation":"disabled","reasoning":{}}"#).echoed)
            .expect("short");
        let set: Map<_, _> = echoed.fields().collect();
        assert_eq!(
            (&set["tracing"], &set["truncation"], &set["reasoning"]),
            (&json!("auto"), &json!("disabled"), &json!({}))
        );
        echoed.set(update(r#"{"tracing":null,"truncation":null,"reasoning":null}"#).echoed).expect("short");
        assert_eq!(echoed.fields().collect::<Map<_, _>>(), at_first);
        let long = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(MAX_ECHOED));
        let refused = echoed.set(update(&long).echoed).expect_err("too long");
        assert_eq!(refused.param.as_deref(), Some("session.prompt"));
    }
}
