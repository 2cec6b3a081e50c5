//! The names of keys: old names are replaced by the current ones, and unknown names are refused with the nearest
//! known one.

use std::collections::BTreeSet;

use antiphon_core::settings::{Alias, KeyInfo, SectionInfo};
use toml::{Table, Value};

use super::engines::LIST;
use super::tree;

/// A key that was set under an old or alternative name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Renamed {
    pub(super) from: String,
    pub(super) to: String,
    /// Whether whoever wrote it is warned.
    pub(super) deprecated: bool,
}

/// Moves each key that is set under another of its names to its current name, also in lists of engines. A value that
/// already has the current name stays.
pub(super) fn rename(table: &mut Table, whole: &SectionInfo) -> Vec<Renamed> {
    let keys = whole.all_keys();
    let aliases = || keys.iter().flat_map(|key| key.aliases.iter().map(move |alias| (*key, alias)));
    let mut renamed = Vec::new();
    for (key, alias) in aliases() {
        let in_section = move_key(table, &alias.path, &key.path);
        let in_list = move_in_list(table, key, alias);
        if in_section || in_list {
            renamed.push(Renamed::new(key, alias));
        }
    }
    // An old section would count as unknown even when it is empty, so it is removed.
    for section in old_sections(whole) {
        if table.get(section).and_then(Value::as_table).is_some_and(Table::is_empty) {
            table.remove(section);
        }
    }
    renamed
}

/// Sections of which all keys have moved elsewhere.
fn old_sections(whole: &SectionInfo) -> BTreeSet<&str> {
    let aliases = whole.all_keys().into_iter().flat_map(|key| &key.aliases);
    let sections = aliases.filter_map(|alias| Some(alias.path.split_once('.')?.0));
    sections.filter(|name| whole.sections.iter().all(|known| known.name() != *name)).collect()
}

/// Moves a key in each table of a list of engines, where names are relative to the stage's section.
fn move_in_list(table: &mut Table, key: &KeyInfo, alias: &Alias) -> bool {
    let Some((stage, from)) = alias.path.split_once('.') else { return false };
    let Some(to) = key.path.strip_prefix(stage).and_then(|rest| rest.strip_prefix('.')) else { return false };
    let list = table.get_mut(stage).and_then(|section| section.get_mut(LIST)).and_then(Value::as_array_mut);
    let tables = list.into_iter().flatten().filter_map(Value::as_table_mut);
    // All of them are gone through, so the moves are counted.
    tables.map(|table| move_key(table, from, to)).filter(|moved| *moved).count() > 0
}

fn move_key(table: &mut Table, from: &str, to: &str) -> bool {
    let Some(value) = tree::take(table, from) else { return false };
    if !tree::contains(table, to) {
        // If a value of another type stands in the way, it is refused later.
        tree::put(table, to, value);
    }
    true
}

impl Renamed {
    fn new(key: &KeyInfo, alias: &Alias) -> Self {
        Self { from: alias.path.clone(), to: key.path.clone(), deprecated: alias.deprecated }
    }
}

/// The current name of a key.
pub(super) fn current<'a>(whole: &'a SectionInfo, path: &'a str) -> &'a str {
    let key = whole.all_keys().into_iter().find(|key| key.aliases.iter().any(|alias| alias.path == path));
    key.map_or(path, |key| &key.path)
}

/// A key or table that nothing declares.
#[derive(Debug)]
pub(super) struct Unknown {
    /// The full name, with the tables it stands in.
    pub(super) path: String,
    pub(super) message: String,
}

/// Refuses names that are not declared.
pub(super) fn check(table: &Table, section: &SectionInfo, whole: &SectionInfo) -> Result<(), Unknown> {
    for (name, value) in table {
        let key = section.keys.iter().find(|key| key.name() == name);
        let inner = section.sections.iter().find(|section| section.name() == name);
        match (key, inner, value) {
            (Some(_), _, Value::Array(list)) if name == LIST => {
                let mut tables = list.iter().filter_map(Value::as_table);
                tables.try_for_each(|table| check(table, section, whole)).map_err(|unknown| Unknown {
                    path: unknown.path.replacen(&section.path, &format!("{}.{LIST}", section.path), 1),
                    ..unknown
                })?;
            }
            (Some(_), _, _) => {}
            (_, Some(inner), Value::Table(table)) => check(table, inner, whole)?,
            (_, Some(inner), _) => {
                let message = format!("[{}] is a table with keys of its own", inner.path);
                return Err(Unknown { path: inner.path.clone(), message });
            }
            (None, None, Value::Table(table))
                if section.path.is_empty() && old_sections(whole).contains(name.as_str()) =>
            {
                check(table, &SectionInfo::new(name, ""), whole)?;
            }
            (None, None, _) => return Err(unknown(name, section, whole)),
        }
    }
    Ok(())
}

fn unknown(name: &str, section: &SectionInfo, whole: &SectionInfo) -> Unknown {
    let path = if section.path.is_empty() { name.to_owned() } else { format!("{}.{name}", section.path) };
    let inner = || section.sections.iter().map(SectionInfo::name);
    let message = if section.path.is_empty() {
        match nearest(name, inner()) {
            Some(nearest) => format!("unknown section [{name}]; did you mean [{nearest}]?"),
            None => format!("unknown section [{name}]"),
        }
    } else if let Some(place) = elsewhere(name, section, whole) {
        format!("unknown key `{name}` in [{}]; it belongs in [{place}]", section.path)
    } else {
        let known = section.keys.iter().map(KeyInfo::name).chain(inner());
        match nearest(name, known.chain(aliases_in(section, whole))) {
            Some(near) => {
                let path = format!("{}.{near}", section.path);
                let meant = match current(whole, &path).rsplit_once('.') {
                    Some((place, near)) if place != section.path => format!("`{near}` in [{place}]"),
                    _ => format!("`{near}`"),
                };
                format!("unknown key `{name}` in [{}]; did you mean {meant}?", section.path)
            }
            None => format!("unknown key `{name}` in [{}]", section.path),
        }
    };
    Unknown { path, message }
}

/// Other names that keys elsewhere have in this section.
fn aliases_in<'a>(section: &SectionInfo, whole: &'a SectionInfo) -> impl Iterator<Item = &'a str> {
    let aliases = whole.all_keys().into_iter().flat_map(|key| &key.aliases);
    aliases.filter_map(|alias| alias.path.strip_prefix(&section.path)?.strip_prefix('.'))
}

/// Another section of the same stage that has a key of this name.
fn elsewhere<'a>(name: &str, section: &SectionInfo, whole: &'a SectionInfo) -> Option<&'a str> {
    let (stage, keys) = (section.path.split('.').next()?, whole.all_keys());
    let near = |key: &&&KeyInfo| key.name() == name && key.path.split('.').next() == Some(stage);
    keys.iter().find(near).and_then(|key| Some(key.path.rsplit_once('.')?.0))
}

/// The known name that is most similar to this one.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &&str| strsim::jaro_winkler(known, name);
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
