//! `allOf`: of objects the properties of all, of choices what all of them offer.

use std::collections::BTreeSet;

use serde_json::Value;

use super::keys::{members, names_properties};
use super::{MAX_DEPTH, Result, Rules, SchemaError, literal, refuse};

/// What the schemas say together.
#[derive(Default)]
struct Parts<'a> {
    properties: Vec<(&'a str, &'a Value)>,
    required: BTreeSet<&'a str>,
    /// The values in the enumerations of every schema that has one, as literals; `None` before the first.
    choices: Option<BTreeSet<String>>,
}

impl<'a> Rules<'a> {
    /// All of these schemas at once. Of other schemas than objects and enumerations nothing is kept to.
    pub(super) fn all_of(&mut self, schemas: &'a [Value], depth: usize) -> Result<String> {
        // Generators of schemas write a lone reference so, to put a description beside it.
        if let [only] = schemas {
            return if self.afford(1) {
                self.visit(only, depth + 1).map_err(|e| e.under(0))
            } else {
                Ok(self.any())
            };
        }
        let mut parts = Parts::default();
        for (n, schema) in schemas.iter().enumerate() {
            let mut offered = BTreeSet::new();
            let read = self.part(schema, true, depth, &mut parts, &mut offered);
            if !read.map_err(|e: SchemaError| e.under(n))? {
                return Ok(self.any());
            }
            if !offered.is_empty() {
                let known = parts.choices.take();
                parts.choices = Some(known.map_or(offered.clone(), |known| &known & &offered));
            }
        }
        if let Some(choices) = parts.choices {
            let choices: Vec<String> = choices.into_iter().collect();
            return match choices.as_slice() {
                [] => refuse("no value is in all enumerations: give them one in common"),
                choices => self.add(choices.join(" | ")),
            };
        }
        if parts.properties.is_empty() {
            return Ok(self.any());
        }
        self.pairs(&parts.properties, &parts.required, None, depth)
    }

    /// Adds what one schema says, whose properties may be required or not; false where the schema has too much to say.
    fn part(
        &mut self,
        schema: &'a Value,
        is_required: bool,
        depth: usize,
        parts: &mut Parts<'a>,
        offered: &mut BTreeSet<String>,
    ) -> Result<bool> {
        if depth > MAX_DEPTH || !self.afford(1) {
            return Ok(false);
        }
        if let Some(reference) = schema.get("$ref") {
            let target = self.target(reference)?;
            return self.part(target, is_required, depth + 1, parts, offered);
        }
        for key in ["anyOf", "oneOf"] {
            let Some(alternatives) = schema.get(key) else { continue };
            let mut is_choice = true;
            for (n, alternative) in members(key, alternatives)?.iter().enumerate() {
                let mut own = BTreeSet::new();
                let read = self.part(alternative, false, depth + 1, parts, &mut own);
                if !read.map_err(|e| e.under(n).under(key))? {
                    return Ok(false);
                }
                is_choice &= !own.is_empty();
                offered.extend(own);
            }
            if !is_choice {
                offered.clear();
            }
            return Ok(true);
        }
        if let Some(values) = schema.get("enum") {
            let values = members("enum", values)?;
            let Some(left) = self.choices.checked_sub(values.len()) else { return Ok(false) };
            self.choices = left;
            offered.extend(values.iter().map(|value| literal(&value.to_string())));
        } else if schema.as_object().is_some_and(names_properties)
            && let Some(properties) = schema.get("properties").and_then(Value::as_object)
        {
            if properties.len() > self.schemas {
                return Ok(false);
            }
            for (key, property) in properties {
                // Of two schemas of the same property the later one is usually the narrower.
                match parts.properties.iter_mut().find(|(known, _)| known == key) {
                    Some((_, known)) => *known = property,
                    None => parts.properties.push((key, property)),
                }
                if is_required {
                    parts.required.insert(key);
                }
            }
        }
        Ok(true)
    }
}
