//! From JSON Schema to GBNF, the notation of llama.cpp's grammars: what the grammar admits is valid by the schema.
//!
//! Follows llama.cpp's `common/json-schema-to-grammar.cpp` (MIT licence), which is left out of the build with the library it
//! belongs to (`scripts/llama.cmake`). What a grammar cannot say (`multipleOf`, `uniqueItems`, look-around in patterns) is left open.

mod integer;
mod object;
mod pattern;
mod primitive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct SchemaError(String);

type Result<T> = std::result::Result<T, SchemaError>;

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(SchemaError(why.into()))
}

/// The rules of a grammar while it grows.
pub(super) struct Rules<'a> {
    /// By name, what stands behind `::=`.
    bodies: BTreeMap<String, String>,
    /// The schema in which `$ref` is looked up, and what tells its rules from those of other schemas.
    document: &'a Value,
    scope: String,
    /// References under way: they may lead back to themselves.
    resolving: BTreeSet<String>,
}

impl<'a> Rules<'a> {
    /// No rule yet, but for white space.
    pub(super) fn new() -> Self {
        let space = ("space".to_owned(), primitive::SPACE.to_owned());
        Self {
            bodies: BTreeMap::from([space]),
            document: &Value::Null,
            scope: String::new(),
            resolving: BTreeSet::new(),
        }
    }

    /// Adds what a whole schema admits; gives the name of its rule, which begins with `name`.
    pub(super) fn add_document(&mut self, name: &str, document: &'a Value) -> Result<String> {
        self.document = document;
        name.clone_into(&mut self.scope);
        self.visit(document, name)
    }

    /// Adds a rule; gives its name, which is another if that name is taken.
    pub(super) fn add(&mut self, name: &str, rule: String) -> String {
        let plain = dashed(name);
        let numbered = (0..).map(|n| format!("{plain}{n}"));
        let is_free = |name: &String| self.bodies.get(name).is_none_or(|present| *present == rule);
        let Some(name) = std::iter::once(plain.clone()).chain(numbered).find(is_free) else { return plain };
        self.bodies.insert(name.clone(), rule);
        name
    }

    /// The rules as text, a line each.
    pub(super) fn text(&self) -> String {
        self.bodies.iter().fold(String::new(), |text, (name, rule)| text + name + " ::= " + rule + "\n")
    }

    /// Adds the rule of a schema; gives its name.
    fn visit(&mut self, schema: &Value, name: &str) -> Result<String> {
        let Some(keys) = schema.as_object() else { return refuse("a schema must be an object") };
        let rule_name = if primitive::is_reserved(name) { format!("{name}-") } else { name.to_owned() };
        if let Some(reference) = keys.get("$ref") {
            let target = self.reference(reference)?;
            return Ok(self.add(&rule_name, target));
        }
        if let Some(alternatives) = keys.get("oneOf").or_else(|| keys.get("anyOf")) {
            let union = self.union(members(alternatives)?, name)?;
            return Ok(self.add(&rule_name, union));
        }
        if let Some(types) = keys.get("type").and_then(Value::as_array) {
            let of = |kind: &Value| {
                let mut schema = keys.clone();
                schema.insert("type".to_owned(), kind.clone());
                Value::Object(schema)
            };
            let alternatives: Vec<Value> = types.iter().map(of).collect();
            let union = self.union(&alternatives, name)?;
            return Ok(self.add(&rule_name, union));
        }
        if let Some(value) = keys.get("const") {
            return Ok(self.add(&rule_name, literal(&value.to_string())));
        }
        if let Some(values) = keys.get("enum") {
            let values: Vec<String> =
                members(values)?.iter().map(|value| literal(&value.to_string())).collect();
            return Ok(self.add(&rule_name, format!("({})", values.join(" | "))));
        }
        self.visit_type(keys, name, &rule_name)
    }

    fn visit_type(&mut self, keys: &Map<String, Value>, name: &str, rule_name: &str) -> Result<String> {
        let kind = match keys.get("type") {
            None => implied_type(keys),
            Some(Value::String(kind)) => kind.as_str(),
            Some(_) => return refuse("type must be a string or a list of strings"),
        };
        match kind {
            "object" | "string"
                if keys.contains_key("allOf") && !(kind == "object" && names_properties(keys)) =>
            {
                self.all_of(&keys["allOf"], name, rule_name)
            }
            "object" => self.object(keys, name, rule_name),
            "array" => self.array(keys, name, rule_name),
            "string" => self.string(keys, rule_name),
            "integer" => match integer::bounds(keys)? {
                (None, None) => Ok(self.primitive("integer")),
                (least, most) => Ok(self.add(rule_name, format!("({})", integer::between(least, most)))),
            },
            "number" | "boolean" | "null" => Ok(self.primitive(kind)),
            "any" => {
                let value = self.primitive("value");
                Ok(self.add(rule_name, value))
            }
            unknown => refuse(format!("there is no type \"{unknown}\"")),
        }
    }

    fn union(&mut self, alternatives: &[Value], name: &str) -> Result<String> {
        let names: Result<Vec<String>> = alternatives
            .iter()
            .enumerate()
            .map(|(n, schema)| self.visit(schema, &format!("{name}-{n}")))
            .collect();
        Ok(names?.join(" | "))
    }

    fn array(&mut self, keys: &Map<String, Value>, name: &str, rule_name: &str) -> Result<String> {
        let items = keys.get("items").or_else(|| keys.get("prefixItems"));
        if let Some(Value::Array(items)) = items {
            let names: Result<Vec<String>> = items
                .iter()
                .enumerate()
                .map(|(n, item)| self.visit(item, &format!("{name}-tuple-{n}")))
                .collect();
            let items = names?.join(r#" "," space "#);
            return Ok(self.add(rule_name, format!(r#""[" space {items} space "]""#)));
        }
        let (least, most) = (count(keys, "minItems")?.unwrap_or(0), count(keys, "maxItems")?);
        if items.is_none_or(is_any) && least == 0 && most.is_none() {
            return Ok(self.primitive("array"));
        }
        let any = Value::Object(Map::new());
        let item = self.visit(items.unwrap_or(&any), &format!("{name}-item"))?;
        let items = separated(&item, least, most);
        Ok(self.add(rule_name, format!(r#""[" space {items} space "]""#)))
    }

    fn string(&mut self, keys: &Map<String, Value>, rule_name: &str) -> Result<String> {
        match keys.get("pattern") {
            None => {}
            Some(Value::String(pattern)) => return self.pattern(pattern, rule_name),
            Some(_) => return refuse("pattern must be a string"),
        }
        if let Some(format) = format(keys)? {
            let primitive = self.primitive(format);
            return Ok(if format == "uuid" { primitive } else { self.add(rule_name, primitive) });
        }
        match (count(keys, "minLength")?.unwrap_or(0), count(keys, "maxLength")?) {
            (0, None) => Ok(self.primitive("string")),
            (least, most) => {
                let char = self.primitive("char");
                let chars = repeated(&char, least, most);
                Ok(self.add(rule_name, format!(r#""\"" {chars} "\"""#)))
            }
        }
    }

    /// The rule of what a reference leads to.
    fn reference(&mut self, reference: &Value) -> Result<String> {
        let target = self.target(reference)?;
        let reference = reference.as_str().unwrap_or_default();
        let name = dashed(&format!("{}-ref{}", self.scope, &reference[1..]));
        if self.bodies.contains_key(&name) || !self.resolving.insert(name.clone()) {
            return Ok(name);
        }
        let rule = self.visit(target, &name);
        self.resolving.remove(&name);
        rule
    }

    /// What a reference leads to.
    fn target(&self, reference: &Value) -> Result<&'a Value> {
        let pointer =
            reference.as_str().and_then(|text| text.strip_prefix('#')).filter(|p| p.starts_with('/'));
        match pointer.map(|pointer| self.document.pointer(pointer)) {
            Some(Some(target)) => Ok(target),
            Some(None) => refuse(format!("{reference} leads nowhere")),
            None => refuse(format!("{reference} does not lead into the same schema, as \"#/...\" does")),
        }
    }
}

/// The type that goes without saying because of the other keys.
fn implied_type(keys: &Map<String, Value>) -> &'static str {
    let has = |names: &[&str]| names.iter().any(|name| keys.contains_key(*name));
    if names_properties(keys) || has(&["allOf"]) {
        "object"
    } else if has(&["items", "prefixItems"]) {
        "array"
    } else if has(&["pattern", "minLength", "maxLength"]) || matches!(format(keys), Ok(Some(_))) {
        "string"
    } else {
        "any"
    }
}

fn names_properties(keys: &Map<String, Value>) -> bool {
    keys.contains_key("properties")
        || keys.get("additionalProperties").is_some_and(|additional| *additional != Value::Bool(true))
}

/// Whether a schema admits every value.
fn is_any(schema: &Value) -> bool {
    let decides = ["$ref", "oneOf", "anyOf", "type", "const", "enum"];
    *schema == Value::Bool(true)
        || schema.as_object().is_some_and(|keys| {
            !decides.iter().any(|key| keys.contains_key(*key)) && implied_type(keys) == "any"
        })
}

/// The formats of strings that are checked, by the names of their rules.
fn format(keys: &Map<String, Value>) -> Result<Option<&'static str>> {
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

fn members(list: &Value) -> Result<&[Value]> {
    match list.as_array() {
        Some(list) if !list.is_empty() => Ok(list),
        _ => refuse("enum, oneOf, anyOf and allOf must be lists that are not empty"),
    }
}

fn count(keys: &Map<String, Value>, key: &str) -> Result<Option<u64>> {
    match keys.get(key).map(Value::as_u64) {
        None => Ok(None),
        Some(None) => refuse(format!("{key} must be a whole number from 0 on")),
        Some(count) => Ok(count),
    }
}

/// With a dash for what names of rules cannot hold.
fn dashed(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '-' {
            plain.push(c);
        } else if !plain.ends_with('\u{0}') {
            plain.push('\u{0}');
        }
    }
    plain.replace('\u{0}', "-")
}

/// Text that must stand there as it is.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '\r' => quoted.push_str("\\r"),
            '\n' => quoted.push_str("\\n"),
            '"' | '\\' => quoted.extend(['\\', c]),
            _ => quoted.push(c),
        }
    }
    quoted + "\""
}

/// So many of an item, one behind the other.
fn repeated(item: &str, least: u64, most: Option<u64>) -> String {
    match (least, most) {
        (_, Some(0)) => String::new(),
        (0, Some(1)) => format!("{item}?"),
        (1, None) => format!("{item}+"),
        (0, None) => format!("{item}*"),
        (_, None) => format!("{item}{{{least},}}"),
        (_, Some(most)) => format!("{item}{{{least},{most}}}"),
    }
}

/// So many of an item, with commas between them.
fn separated(item: &str, least: u64, most: Option<u64>) -> String {
    match (least, most) {
        (_, Some(0)) => return String::new(),
        (0, Some(1)) => return format!("{item}?"),
        _ => {}
    }
    let others =
        repeated(&format!(r#"("," space {item})"#), least.saturating_sub(1), most.map(|most| most - 1));
    let items = format!("{item} {others}");
    if least == 0 { format!("({items})?") } else { items }
}
