//! Access to TOML tables by path: `tts.elevenlabs.stability` is the key `stability` of the table `elevenlabs` in the
//! table `tts`.

use antiphon_core::settings::SectionInfo;
use toml::{Table, Value};

/// Removes the value at this path and returns it.
pub(super) fn take(table: &mut Table, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => table.remove(path),
        Some((section, rest)) => take(table.get_mut(section)?.as_table_mut()?, rest),
    }
}

/// Whether there is a value at this path.
pub(super) fn contains(table: &Table, path: &str) -> bool {
    match path.split_once('.') {
        None => table.contains_key(path),
        Some((section, rest)) => {
            table.get(section).and_then(Value::as_table).is_some_and(|table| contains(table, rest))
        }
    }
}

/// Inserts a value at this path and creates the tables around it. Returns false if a value that is not a table stands
/// in the way.
pub(super) fn put(table: &mut Table, path: &str, value: Value) -> bool {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            true
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            inner.as_table_mut().is_some_and(|inner| put(inner, rest, value))
        }
    }
}

/// Merges one table over another: section by section, and key by key in each section.
pub(super) fn merge(below: &mut Table, above: Table, section: &SectionInfo) {
    for (name, value) in above {
        let known = section.sections.iter().find(|section| section.name() == name);
        match (known, below.get_mut(&name), value) {
            (Some(known), Some(Value::Table(below)), Value::Table(above)) => merge(below, above, known),
            (_, _, value) => drop(below.insert(name, value)),
        }
    }
}

/// The full names of all keys that are set.
pub(super) fn paths(table: &Table, section: &SectionInfo) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in table {
        match (section.sections.iter().find(|section| section.name() == name), value) {
            (Some(known), Value::Table(inner)) => found.extend(paths(inner, known)),
            _ if section.path.is_empty() => found.push(name.clone()),
            _ => found.push(format!("{}.{name}", section.path)),
        }
    }
    found
}

/// The line of a file on which a key is set, counted from 1. In a list of tables, the line in the first table that
/// has the key.
pub(super) fn line(text: &str, path: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let at = position(document.get_ref(), path)?;
    Some(text.get(..at)?.matches('\n').count() + 1)
}

fn position(table: &toml::de::DeTable<'_>, path: &str) -> Option<usize> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    let Some(rest) = rest else { return Some(key.span().start) };
    match value.get_ref() {
        toml::de::DeValue::Table(inner) => position(inner, rest),
        toml::de::DeValue::Array(list) => list.iter().find_map(|value| match value.get_ref() {
            toml::de::DeValue::Table(inner) => position(inner, rest),
            _ => None,
        }),
        _ => None,
    }
}
