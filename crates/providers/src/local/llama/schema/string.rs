//! Strings: by pattern, by format or by length.

use serde_json::{Map, Value};

use super::{Result, Rules, refuse};

impl Rules<'_> {
    pub(super) fn string(&mut self, keys: &Map<String, Value>) -> Result<String> {
        let count = self.count(keys, "minLength", "maxLength")?;
        match keys.get("pattern") {
            None => {}
            Some(Value::String(pattern)) => return self.pattern(pattern),
            Some(_) => return refuse("pattern must be a string"),
        }
        if let Some(format) = format(keys)? {
            return Ok(self.primitive(format));
        }
        if count.least == 0 && count.most.is_none() {
            return Ok(self.primitive("string"));
        }
        let char = self.primitive("char");
        self.add(format!(r#""\"" {} "\"""#, count.of(&char)))
    }
}

/// The formats of strings that are checked, by the names of their rules.
pub(super) fn format(keys: &Map<String, Value>) -> Result<Option<&'static str>> {
    match keys.get("format") {
        None => Ok(None),
        Some(Value::String(format)) => Ok(match format.as_str() {
            "date" => Some("date-string"),
            "time" => Some("time-string"),
            "date-time" => Some("date-time-string"),
            "uuid" | "uuid1" | "uuid2" | "uuid3" | "uuid4" | "uuid5" => Some("uuid"),
            _ => None,
        }),
        Some(_) => refuse("format must be a string"),
    }
}
