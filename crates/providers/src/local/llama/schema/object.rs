//! Objects: their properties in order, the optional ones each with or without.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::keys::is_any;
use super::{Result, Rules, literal, names, refuse};

/// A pair of key and value: its rule, and whether any number of them may stand there.
struct Pair {
    rule: String,
    many: bool,
}

impl<'a> Rules<'a> {
    pub(super) fn object(&mut self, keys: &'a Map<String, Value>, depth: usize) -> Result<String> {
        let properties: Vec<(&str, &Value)> = match keys.get("properties") {
            None => Vec::new(),
            Some(Value::Object(properties)) => {
                properties.iter().map(|(key, schema)| (key.as_str(), schema)).collect()
            }
            Some(_) => return refuse("properties must be an object"),
        };
        let additional = match keys.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            None if keys.contains_key("properties") => None,
            None => Some(&Value::Bool(true)),
            Some(schema @ (Value::Object(_) | Value::Bool(true))) => Some(schema),
            Some(_) => return refuse("additionalProperties must be a boolean or a schema"),
        };
        if properties.is_empty() && additional.is_some_and(is_any) {
            return Ok(self.primitive("object"));
        }
        let required = keys.get("required").and_then(Value::as_array).into_iter().flatten();
        let required = required.filter_map(Value::as_str).collect();
        self.pairs(&properties, &required, additional, depth)
    }

    /// An object of these properties, and of others if they have a schema.
    pub(super) fn pairs(
        &mut self,
        properties: &[(&'a str, &'a Value)],
        required: &BTreeSet<&str>,
        additional: Option<&'a Value>,
        depth: usize,
    ) -> Result<String> {
        if !self.afford(properties.len() + usize::from(additional.is_some())) {
            return Ok(self.primitive("object"));
        }
        let (mut fixed, mut optional) = (Vec::new(), Vec::new());
        for (key, schema) in properties {
            let value = self.visit(schema, depth + 1).map_err(|e| e.under(key).under("properties"))?;
            let quoted = literal(&Value::from(*key).to_string());
            let rule = self.add(format!(r#"{quoted} space ":" space {value}"#))?;
            if required.contains(key) { fixed.push(rule) } else { optional.push(Pair { rule, many: false }) }
        }
        if let Some(additional) = additional {
            let names: Vec<&str> = properties.iter().map(|(key, _)| *key).collect();
            optional.push(self.additional(additional, &names, depth)?);
        }
        if fixed.is_empty() && optional.is_empty() {
            return self.add(r#""{" space "}""#.to_owned());
        }
        let mut rule = format!(r#""{{" space {}"#, fixed.join(r#" "," space "#));
        if !optional.is_empty() {
            let starts = self.starts(&optional)?.join(" | ");
            let optional = if fixed.is_empty() {
                format!(" ({starts} )?")
            } else {
                format!(r#" ( "," space ( {starts} ) )?"#)
            };
            rule.push_str(&optional);
        }
        self.add(rule + r#" space "}""#)
    }

    /// The ways in which optional pairs may stand there, at least one of them: one way for each that may be the first.
    fn starts(&mut self, pairs: &[Pair]) -> Result<Vec<String>> {
        let mut starts = Vec::new();
        // The rule of all that may follow a pair, each with a comma. Built from the back, it is written down only once.
        let mut rest = String::new();
        for (n, Pair { rule, many }) in pairs.iter().enumerate().rev() {
            let after_comma = format!(r#"( "," space {rule} )"#);
            let (others, following) = if *many {
                (format!(" {after_comma}*"), format!("{after_comma}*"))
            } else {
                (String::new(), format!("{after_comma}?"))
            };
            starts.push(format!("{rule}{others} {rest}"));
            if n > 0 {
                rest = self.add(format!("{following} {rest}"))?;
            }
        }
        starts.reverse();
        Ok(starts)
    }

    /// Pairs of any key but those that are named.
    fn additional(&mut self, schema: &'a Value, names: &[&str], depth: usize) -> Result<Pair> {
        let value = self.visit(schema, depth + 1).map_err(|e| e.under("additionalProperties"))?;
        let key = match names::other_than(names) {
            None => self.primitive("string"),
            Some(key) => {
                self.primitive("char");
                self.add(key)?
            }
        };
        let rule = self.add(format!(r#"{key} space ":" space {value}"#))?;
        Ok(Pair { rule, many: true })
    }
}
