//! Arrays: any number of equal items, or a tuple.

use serde_json::{Map, Value};

use super::keys::is_any;
use super::notation::Count;
use super::{Result, Rules, SchemaError, refuse};

impl<'a> Rules<'a> {
    pub(super) fn array(&mut self, keys: &'a Map<String, Value>, depth: usize) -> Result<String> {
        let count = self.count(keys, "minItems", "maxItems")?;
        // Before its version 2020-12, JSON Schema had the list of a tuple in `items`.
        for key in ["prefixItems", "items"] {
            if let Some(items) = keys.get(key).and_then(Value::as_array) {
                return self.tuple(items, count, depth).map_err(|e| e.under(key));
            }
        }
        let items = keys.get("items");
        if items == Some(&Value::Bool(false)) {
            return match count.least {
                0 => self.add(r#""[" space "]""#.to_owned()),
                _ => refuse("items is false but minItems asks for some: give a schema of the items"),
            };
        }
        let item = match items.filter(|items| !is_any(items)) {
            None if count.least == 0 && count.most.is_none() => return Ok(self.primitive("array")),
            Some(items) if self.afford(1) => self.visit(items, depth + 1).map_err(|e| e.under("items"))?,
            None | Some(_) => self.any(),
        };
        let items = self.separated(&item, count)?;
        self.add(format!(r#""[" space {items} space "]""#))
    }

    /// An array with exactly these items. Where fewer or more must be there, and for what, is left open.
    fn tuple(&mut self, items: &'a [Value], count: Count, depth: usize) -> Result<String> {
        let length = items.len() as u64;
        let fits = count.least <= length && count.most.is_none_or(|most| most >= length);
        if items.is_empty() || !fits || !self.afford(items.len()) {
            return Ok(self.primitive("array"));
        }
        let visited =
            |(n, item): (usize, _)| self.visit(item, depth + 1).map_err(|e: SchemaError| e.under(n));
        let names: Result<Vec<String>> = items.iter().enumerate().map(visited).collect();
        self.add(format!(r#""[" space {} space "]""#, names?.join(r#" "," space "#)))
    }

    /// So many of an item, with commas between them.
    fn separated(&mut self, item: &str, count: Count) -> Result<String> {
        if count.most.is_some_and(|most| most <= 1) {
            return Ok(count.of(item));
        }
        let others = Count {
            least: count.least.saturating_sub(1),
            most: count.most.map(|most| most.saturating_sub(1)),
        };
        // A rule of its own: llama.cpp counts the names in parentheses towards what it repeats.
        let other = self.add(format!(r#""," space {item}"#))?;
        let items = format!("{item} {}", others.of(&other));
        Ok(if count.least == 0 { format!("({items})?") } else { items })
    }
}
