//! From JSON Schema to GBNF, the notation of llama.cpp's grammars: what the grammar admits is valid by the schema.
//!
//! Follows llama.cpp's `common/json-schema-to-grammar.cpp` (MIT licence), which is left out of the build with the library it
//! belongs to (`scripts/llama.cmake`). What a grammar cannot say (`multipleOf`, `uniqueItems`, look-around in patterns) is left
//! open, and so is what lies beyond the limits below: there the grammar admits any value, and a client has to check it.
//!
//! Schemas come from strangers, and llama.cpp is not made for hostile grammars: it loops for ever over `{5,3}` and ends the
//! process when no token is admitted. So every rule written here admits something, and all work has a bound.

mod all_of;
mod array;
mod integer;
mod keys;
mod names;
mod notation;
mod object;
mod pattern;
mod primitive;
mod string;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use keys::{implied_type, members, names_properties};
use notation::Count;
pub(super) use notation::literal;

/// Schemas in schemas that are followed. Deeper ones refer to each other more often than a voice agent's tools do.
const MAX_DEPTH: usize = 64;
/// Schemas of one document that are read: with references, a short document can be as large as 2 to the power of its length.
const MAX_SCHEMAS: usize = 500;
/// Values in all enumerations of a document. Each is an alternative that llama.cpp tries with every token.
const MAX_CHOICES: usize = 1_000;
/// Repetitions in all rules together. llama.cpp makes a rule of each, about 200 bytes.
const MAX_REPETITIONS: u64 = 10_000;
/// The longest grammar, in bytes. llama.cpp takes eight times as much.
const MAX_BYTES: usize = 256 << 10;

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("#{at}: {what}")]
pub(super) struct SchemaError {
    /// The way to the place in the schema, as a JSON pointer.
    at: String,
    /// What is wrong there, and what to do.
    what: String,
}

impl SchemaError {
    /// The same, found in a schema that stands under this key of another.
    fn under(mut self, key: impl std::fmt::Display) -> Self {
        self.at = format!("/{key}{}", self.at);
        self
    }
}

type Result<T> = std::result::Result<T, SchemaError>;

fn refuse<T>(what: impl Into<String>) -> Result<T> {
    Err(SchemaError { at: String::new(), what: what.into() })
}

/// The rules of a grammar while it grows.
pub(super) struct Rules<'a> {
    /// By name, what stands behind `::=`.
    bodies: BTreeMap<String, String>,
    /// The length of all rules that schemas added.
    bytes: usize,
    /// Repetitions that may still be written.
    repetitions: u64,
    /// The schema in which `$ref` is looked up, and what the names of its rules begin with.
    document: &'a Value,
    scope: String,
    /// Rules of the document so far; they are named by their number.
    numbered: usize,
    /// Schemas and choices of the document that may still be read.
    schemas: usize,
    choices: usize,
    /// What references lead to, from the document to where the reader is: they may lead back to it.
    under_way: Vec<&'a Value>,
}

impl<'a> Rules<'a> {
    /// No rule yet, but for white space.
    pub(super) fn new() -> Self {
        let space = ("space".to_owned(), primitive::SPACE.to_owned());
        Self {
            bodies: BTreeMap::from([space]),
            bytes: 0,
            repetitions: MAX_REPETITIONS,
            document: &Value::Null,
            scope: String::new(),
            numbered: 0,
            schemas: 0,
            choices: 0,
            under_way: Vec::new(),
        }
    }

    /// Adds what a whole schema admits; gives the name of its rule. `name` is what the names of its rules begin with, and no
    /// other document may have it.
    pub(super) fn add_document(&mut self, name: &str, document: &'a Value) -> Result<String> {
        self.document = document;
        name.clone_into(&mut self.scope);
        (self.numbered, self.schemas, self.choices) = (0, MAX_SCHEMAS, MAX_CHOICES);
        self.under_way = vec![document];
        self.visit(document, 0)
    }

    /// Adds a rule under a name of its own.
    pub(super) fn add_named(&mut self, name: &str, rule: String) {
        self.bodies.insert(name.to_owned(), rule);
    }

    /// The rules as text, a line each.
    pub(super) fn text(&self) -> String {
        self.bodies.iter().fold(String::new(), |text, (name, rule)| text + name + " ::= " + rule + "\n")
    }

    /// Adds a rule of the document; gives its name.
    fn add(&mut self, rule: String) -> Result<String> {
        self.bytes += rule.len();
        if self.bytes > MAX_BYTES {
            return refuse(format!(
                "the grammar is longer than {MAX_BYTES} bytes: use fewer or shorter names and choices"
            ));
        }
        let name = format!("{}-{}", self.scope, self.numbered);
        self.numbered += 1;
        self.bodies.insert(name.clone(), rule);
        Ok(name)
    }

    /// Takes this many schemas from what may be read; false when that is too many. Who is about to visit schemas asks first,
    /// for all of them at once, so that the first ones do not use up the share of the last.
    fn afford(&mut self, schemas: usize) -> bool {
        let left = self.schemas.checked_sub(schemas);
        self.schemas = left.unwrap_or(self.schemas);
        left.is_some()
    }

    /// The name of the rule of any value.
    fn any(&mut self) -> String {
        self.primitive("value")
    }

    /// Adds the rule of a schema; gives its name.
    fn visit(&mut self, schema: &'a Value, depth: usize) -> Result<String> {
        let keys = match schema {
            Value::Object(keys) if depth <= MAX_DEPTH => keys,
            Value::Object(_) | Value::Bool(true) => return Ok(self.any()),
            Value::Bool(false) => return refuse("false admits no value: leave out what has this schema"),
            _ => return refuse("this is no schema: give an object or true"),
        };
        if let Some(reference) = keys.get("$ref") {
            return self.reference(reference, depth);
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(alternatives) = keys.get(key) {
                return self.union(members(key, alternatives)?, depth).map_err(|e| e.under(key));
            }
        }
        if let Some(value) = keys.get("const") {
            return self.add(literal(&value.to_string()));
        }
        if let Some(values) = keys.get("enum") {
            return self.one_of(members("enum", values)?);
        }
        match keys.get("type") {
            None => self.of_type(implied_type(keys), keys, depth),
            Some(Value::String(kind)) => self.of_type(kind, keys, depth),
            Some(Value::Array(kinds)) => self.of_types(kinds, keys, depth),
            Some(_) => refuse("type must be a string or a list of strings"),
        }
    }

    fn of_type(&mut self, kind: &str, keys: &'a Map<String, Value>, depth: usize) -> Result<String> {
        if let Some(schemas) = keys.get("allOf")
            && (kind == "string" || kind == "object" && !names_properties(keys))
        {
            return self.all_of(members("allOf", schemas)?, depth).map_err(|e| e.under("allOf"));
        }
        match kind {
            "object" => self.object(keys, depth),
            "array" => self.array(keys, depth),
            "string" => self.string(keys),
            "integer" => self.integer(keys),
            "number" | "boolean" | "null" => Ok(self.primitive(kind)),
            "any" => Ok(self.any()),
            unknown => refuse(format!("there is no type {unknown:?}: use one of JSON Schema's")),
        }
    }

    /// A value of one of these types, to each of which the same keys apply.
    fn of_types(&mut self, kinds: &[Value], keys: &'a Map<String, Value>, depth: usize) -> Result<String> {
        let mut distinct: Vec<&str> = Vec::new();
        for kind in kinds {
            match kind.as_str() {
                Some(kind) if !distinct.contains(&kind) => distinct.push(kind),
                Some(_) => {}
                None => return refuse("type must be a string or a list of strings"),
            }
        }
        if distinct.is_empty() {
            return refuse("type is an empty list, which admits no value: name a type");
        }
        if !self.afford(distinct.len()) {
            return Ok(self.any());
        }
        let names: Result<Vec<String>> =
            distinct.into_iter().map(|kind| self.of_type(kind, keys, depth + 1)).collect();
        self.either(names?)
    }

    fn union(&mut self, alternatives: &'a [Value], depth: usize) -> Result<String> {
        if !self.afford(alternatives.len()) {
            return Ok(self.any());
        }
        let visited =
            |(n, schema): (usize, _)| self.visit(schema, depth + 1).map_err(|e: SchemaError| e.under(n));
        let names: Result<Vec<String>> = alternatives.iter().enumerate().map(visited).collect();
        self.either(names?)
    }

    /// The rule of what one of these rules admits.
    fn either(&mut self, mut names: Vec<String>) -> Result<String> {
        names.sort_unstable();
        names.dedup();
        if let [only] = names.as_slice() { Ok(only.clone()) } else { self.add(names.join(" | ")) }
    }

    /// One of these values.
    fn one_of(&mut self, values: &[Value]) -> Result<String> {
        let Some(left) = self.choices.checked_sub(values.len()) else { return Ok(self.any()) };
        self.choices = left;
        let values: Vec<String> = values.iter().map(|value| literal(&value.to_string())).collect();
        self.add(values.join(" | "))
    }

    /// What a reference leads to is read anew each time: rules that share others would make llama.cpp's search for left
    /// recursion exponential. Where a reference leads back to itself, any value is admitted.
    fn reference(&mut self, reference: &Value, depth: usize) -> Result<String> {
        let target = self.target(reference)?;
        let is_circular = self.under_way.iter().any(|under_way| std::ptr::eq(*under_way, target));
        if is_circular || !self.afford(1) {
            return Ok(self.any());
        }
        self.under_way.push(target);
        let rule = self.visit(target, depth + 1).map_err(|e| e.under("$ref"));
        self.under_way.pop();
        rule
    }

    fn target(&self, reference: &Value) -> Result<&'a Value> {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        match pointer.filter(|pointer| pointer.is_empty() || pointer.starts_with('/')) {
            None => refuse(format!(
                "the $ref {reference} does not lead into the same schema: begin it with \"#/\""
            )),
            Some(pointer) => match self.document.pointer(pointer) {
                Some(target) => Ok(target),
                None => refuse(format!("the $ref {reference} leads nowhere: define what it names")),
            },
        }
    }

    /// How many of something two keys allow, as far as llama.cpp can count.
    fn count(&mut self, keys: &Map<String, Value>, least: &str, most: &str) -> Result<Count> {
        let number = |key: &str| match keys.get(key).map(Value::as_u64) {
            None => Ok(None),
            Some(None) => refuse(format!("{key} is {}: give a whole number from 0 on", keys[key])),
            Some(number) => Ok(number),
        };
        let (from, to) = (number(least)?.unwrap_or(0), number(most)?);
        if let Some(to) = to.filter(|to| *to < from) {
            return refuse(format!("{least} is {from} but {most} is {to}: give {most} at least as much"));
        }
        let limit = self.repetitions.min(notation::MAX_REPEATED);
        if from > limit {
            return refuse(format!(
                "{least} is {from}, but {limit} is the most that can be asked for here: give less"
            ));
        }
        let count = Count { least: from, most: to.filter(|to| *to <= limit) };
        self.repetitions -= count.written();
        Ok(count)
    }
}
