//! Objects: their properties in order, the optional ones each with or without.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Result, Rules, is_any, literal, members, names_properties, refuse};

/// A pair of key and value: its rule, and whether any number of them may stand there.
#[derive(Clone)]
struct Pair {
    key: String,
    rule: String,
    many: bool,
}

impl Rules<'_> {
    pub(super) fn object(
        &mut self,
        keys: &Map<String, Value>,
        name: &str,
        rule_name: &str,
    ) -> Result<String> {
        let properties = match keys.get("properties") {
            None => Vec::new(),
            Some(Value::Object(properties)) => properties.iter().collect(),
            Some(_) => return refuse("properties must be an object"),
        };
        let any = Value::Object(Map::new());
        let additional = match keys.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            None if keys.contains_key("properties") => None,
            None | Some(Value::Bool(true)) => Some(&any),
            Some(schema @ Value::Object(_)) => Some(schema),
            Some(_) => return refuse("additionalProperties must be a boolean or a schema"),
        };
        if properties.is_empty() && additional.is_some_and(is_any) {
            let object = self.primitive("object");
            return Ok(self.add(rule_name, object));
        }
        let required = keys.get("required").and_then(Value::as_array).into_iter().flatten();
        let required = required.filter_map(Value::as_str).collect();
        let rule = self.pairs(&properties, &required, additional, name)?;
        Ok(self.add(rule_name, rule))
    }

    /// All of these schemas at once: of objects the properties of all, of choices what all of them offer.
    pub(super) fn all_of(&mut self, schemas: &Value, name: &str, rule_name: &str) -> Result<String> {
        let schemas = members(schemas)?;
        let mut parts = Parts::default();
        for schema in schemas {
            match schema.get("anyOf").or_else(|| schema.get("oneOf")) {
                Some(alternatives) => {
                    for alternative in members(alternatives)? {
                        self.part(alternative, false, &mut parts)?;
                    }
                }
                None => self.part(schema, true, &mut parts)?,
            }
        }
        let in_all = parts.choices.iter().filter(|(_, times)| **times == schemas.len());
        let in_all: Vec<&str> = in_all.map(|(choice, _)| choice.as_str()).collect();
        if !in_all.is_empty() {
            return Ok(self.add(rule_name, format!("({})", in_all.join(" | "))));
        }
        let properties: Vec<(&String, &Value)> =
            parts.properties.iter().map(|(key, schema)| (key, schema)).collect();
        let required = parts.required.iter().map(String::as_str).collect();
        let rule = self.pairs(&properties, &required, None, name)?;
        Ok(self.add(rule_name, rule))
    }

    fn part(&self, schema: &Value, required: bool, parts: &mut Parts) -> Result<()> {
        if let Some(reference) = schema.get("$ref") {
            parts.depth += 1;
            if parts.depth > MAX_REFERENCES {
                return refuse("the references of allOf lead in a circle");
            }
            return self.part(self.target(reference)?, required, parts);
        }
        if let Some(values) = schema.get("enum") {
            for value in members(values)? {
                *parts.choices.entry(literal(&value.to_string())).or_default() += 1;
            }
        } else if schema.as_object().is_some_and(names_properties)
            && let Some(properties) = schema.get("properties").and_then(Value::as_object)
        {
            for (key, property) in properties {
                parts.properties.push((key.clone(), property.clone()));
                if required {
                    parts.required.insert(key.clone());
                }
            }
        }
        Ok(())
    }

    /// What stands between the braces, with them.
    fn pairs(
        &mut self,
        properties: &[(&String, &Value)],
        required: &BTreeSet<&str>,
        additional: Option<&Value>,
        name: &str,
    ) -> Result<String> {
        let (mut fixed, mut optional) = (Vec::new(), Vec::new());
        for (key, schema) in properties {
            let value = self.visit(schema, &format!("{name}-{key}"))?;
            let quoted = literal(&Value::from(key.as_str()).to_string());
            let rule = self.add(&format!("{name}-{key}-kv"), format!(r#"{quoted} space ":" space {value}"#));
            let pair = Pair { key: (*key).clone(), rule, many: false };
            if required.contains(key.as_str()) { fixed.push(pair.rule) } else { optional.push(pair) }
        }
        if let Some(additional) = additional {
            let names: Vec<&str> = properties.iter().map(|(key, _)| key.as_str()).collect();
            optional.push(self.additional(additional, &names, name)?);
        }
        if fixed.is_empty() && optional.is_empty() {
            return Ok(r#""{" space "}""#.to_owned());
        }
        let mut rule = format!(r#""{{" space {}"#, fixed.join(r#" "," space "#));
        if !optional.is_empty() {
            let from = |n: usize, rules: &mut Self| rules.from(&optional[n..], false, name);
            let starts: Vec<String> = (0..optional.len()).map(|n| from(n, self)).collect();
            let starts = starts.join(" | ");
            let optional = if fixed.is_empty() {
                format!(" ({starts} )?")
            } else {
                format!(r#" ( "," space ( {starts} ) )?"#)
            };
            rule.push_str(&optional);
        }
        Ok(rule + r#" space "}""#)
    }

    /// The optional pairs from the first of these on; `open`: whether that one may be missing.
    fn from(&mut self, pairs: &[Pair], open: bool, name: &str) -> String {
        let Some((first, rest)) = pairs.split_first() else { return String::new() };
        let Pair { key, rule, many } = first;
        let after_comma = format!(r#"( "," space {rule} )"#);
        let mut text = match (open, many) {
            (true, true) => format!("{after_comma}*"),
            (true, false) => format!("{after_comma}?"),
            (false, true) => format!("{rule} {after_comma}*"),
            (false, false) => rule.clone(),
        };
        if !rest.is_empty() {
            let rest = self.from(rest, true, name);
            text = text + " " + &self.add(&format!("{name}-{key}-rest"), rest);
        }
        text
    }

    /// Pairs of any key but those that are named.
    fn additional(&mut self, schema: &Value, names: &[&str], name: &str) -> Result<Pair> {
        let name = format!("{name}-additional");
        let value = if is_any(schema) {
            self.primitive("value")
        } else {
            self.visit(schema, &format!("{name}-value"))?
        };
        let key = if names.is_empty() {
            self.primitive("string")
        } else {
            self.primitive("char");
            self.add(&format!("{name}-k"), other_than(names))
        };
        let rule = self.add(&format!("{name}-kv"), format!(r#"{key} ":" space {value}"#));
        Ok(Pair { key: "*".to_owned(), rule, many: true })
    }
}

/// References that `allOf` follows; more would be a circle.
const MAX_REFERENCES: usize = 100;

/// What `allOf` is made of.
#[derive(Default)]
struct Parts {
    properties: Vec<(String, Value)>,
    required: BTreeSet<String>,
    /// How many of the schemas offer it.
    choices: BTreeMap<String, usize>,
    depth: usize,
}

/// A string that is none of these.
fn other_than(names: &[&str]) -> String {
    let rest: Vec<&str> = names.iter().copied().filter(|name| !name.is_empty()).collect();
    let end = if rest.len() == names.len() { "?" } else { "" };
    format!(r#"["] ( {} ){end} ["]"#, branches(&rest))
}

/// What may follow where these are still to be avoided, none of them empty.
fn branches(names: &[&str]) -> String {
    let mut by_first: BTreeMap<char, Vec<&str>> = BTreeMap::new();
    for name in names {
        let mut chars = name.chars();
        if let Some(first) = chars.next() {
            by_first.entry(first).or_default().push(chars.as_str());
        }
    }
    let mut text = String::new();
    for (first, rests) in &by_first {
        let longer: Vec<&str> = rests.iter().copied().filter(|rest| !rest.is_empty()).collect();
        let first = in_class(*first);
        let branch = match (longer.is_empty(), longer.len() < rests.len()) {
            (true, _) => format!("[{first}] char+ | "),
            (false, true) => format!("[{first}] ({}) | ", branches(&longer)),
            // The beginning of a name is a name of its own, as long as it goes on otherwise or not at all.
            (false, false) => format!("[{first}] ({})? | ", branches(&longer)),
        };
        text.push_str(&branch);
    }
    let others: String = by_first.keys().map(|first| in_class(*first)).collect();
    text + &format!(r#"[^"{others}] char*"#)
}

/// A character between square brackets.
fn in_class(c: char) -> String {
    match c {
        '"' | '\\' | '[' | ']' | '-' => format!("\\{c}"),
        '^' => r"\x5E".to_owned(),
        c if c.is_control() => format!("\\U{:08X}", u32::from(c)),
        c => c.to_string(),
    }
}
