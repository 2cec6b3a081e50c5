//! The layers of the configuration: tuned settings, overridden by the file, overridden by the environment.

use std::collections::BTreeMap;
use std::fmt;

use antiphon_core::settings::{SectionInfo, Setting};
use anyhow::{Result, anyhow, bail};
use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, engines, names, tree};

/// Environment variables with this prefix are settings: `ANTIPHON_SECTION__KEY`.
pub(super) const PREFIX: &str = "ANTIPHON_";

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The value was read from this file.
    File(String),
    /// The value was read from this environment variable.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) | Self::Environment(name) => f.write_str(name),
        }
    }
}

/// What files and environment variables set, merged into one table.
pub(super) struct Layers {
    whole: SectionInfo,
    vars: Vec<(String, String)>,
    table: Table,
    /// The origin of each key that is not at its default.
    pub(super) origins: BTreeMap<String, Origin>,
    /// Warnings about old names: one line each.
    pub(super) warnings: Vec<String>,
    /// The names and texts of the files, to find the line on which a key is set.
    files: Vec<(String, String)>,
}

impl Layers {
    /// Starts without any layer. Files may refer to the environment variables `vars`.
    pub(super) fn new(vars: impl Iterator<Item = (String, String)>) -> Self {
        Self {
            whole: described(),
            vars: vars.collect(),
            table: Table::new(),
            origins: BTreeMap::new(),
            warnings: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Adds a file, which overrides the layers so far.
    pub(super) fn add_file(&mut self, text: &str, name: &str) -> Result<()> {
        let mut table: Table =
            text.parse().map_err(|e: toml::de::Error| at(text, name, e.span(), e.message()))?;
        for value in table.iter_mut().map(|(_, value)| value) {
            expand(value, &self.vars, name)?;
        }
        self.files.push((name.to_owned(), text.to_owned()));
        for renamed in names::rename(&mut table, &self.whole) {
            if renamed.deprecated {
                let (from, to) = (bracketed(&renamed.from), bracketed(&renamed.to));
                self.warnings.push(format!("{name}: {from} is now {to}"));
            }
        }
        self.add(table, &Origin::File(name.to_owned()))
    }

    /// Adds the environment, which overrides the layers so far.
    pub(super) fn add_environment(&mut self) -> Result<()> {
        self.warn_of_underscores();
        let vars = self.vars.clone().into_iter();
        let mut vars: Vec<_> =
            vars.filter_map(|(variable, value)| Some((self.path_of(&variable)?, variable, value))).collect();
        // A variable with the current name of a key overrides one with another name.
        vars.sort_by_key(|(path, ..)| names::current(&self.whole, path) == path);
        for (path, variable, value) in vars {
            let mut table = Table::new();
            tree::put(&mut table, &path, parse(&value));
            for renamed in names::rename(&mut table, &self.whole) {
                if renamed.deprecated {
                    self.warnings.push(format!("{variable} is now {}", super::variable(&renamed.to)));
                }
            }
            self.add(table, &Origin::Environment(variable))?;
        }
        Ok(())
    }

    /// The key that an environment variable sets.
    fn path_of(&self, variable: &str) -> Option<String> {
        let keys = self.whole.all_keys();
        let own = keys.iter().find(|key| key.environment[1..].iter().any(|known| known == variable));
        if let Some(key) = own {
            return Some(key.path.clone());
        }
        let path = variable.strip_prefix(PREFIX)?;
        path.contains("__").then(|| path.to_lowercase().replace("__", "."))
    }

    /// Warns of variables that would be settings if they had two underscores between section and key. They may as well be meant
    /// for a `${NAME}` in the file, so they are not refused.
    fn warn_of_underscores(&mut self) {
        let keys = self.whole.all_keys();
        let known = || keys.iter().flat_map(|key| &key.environment);
        let warning = |(variable, _): &(String, String)| {
            let is_setting = known().any(|known| known == variable);
            let meant = known().find(|known| !is_setting && known.replace("__", "_") == *variable)?;
            Some(format!(
                "{variable} sets nothing by itself: with two underscores before the key it would, {meant}"
            ))
        };
        let prefixed = self.vars.iter().filter(|(variable, _)| variable.starts_with(PREFIX));
        let warnings: Vec<_> = prefixed.filter_map(warning).collect();
        self.warnings.extend(warnings);
    }

    fn add(&mut self, table: Table, origin: &Origin) -> Result<()> {
        if let Err(unknown) = names::check(&table, &self.whole, &self.whole) {
            return Err(self.located(origin, &unknown.path, &unknown.message));
        }
        for path in tree::paths(&table, &self.whole) {
            self.origins.insert(path, origin.clone());
        }
        tree::merge(&mut self.table, table, &self.whole);
        Ok(())
    }

    /// Converts the values to their types and checks each of them.
    pub(super) fn config(&self) -> Result<Config> {
        let table = engines::expand(self.table.clone(), &self.whole).map_err(anyhow::Error::msg)?;
        let config: Config = serde_path_to_error::deserialize(table).map_err(|error| {
            let path = error.path().to_string();
            // The origin of `stt.engines[0].model` is stored under `stt.model`.
            let parts = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
            let parts: Vec<&str> = parts
                .enumerate()
                .filter(|(n, part)| *n != 1 || *part != engines::LIST)
                .map(|(_, part)| part)
                .collect();
            let (path, said) = (self.wrong_key(parts.join(".")), wrong(error.inner().message()));
            self.explain(&path, &format!("{}: {said}", bracketed(&path)))
        })?;
        config.check("").map_err(|wrong| self.explain(&wrong.path, &wrong.to_string()))?;
        Ok(config)
    }

    /// The full name of the key whose value was refused under this name. Of a table that includes the keys of another one only
    /// the name of the table is told, so its keys are tried one by one.
    fn wrong_key(&self, path: String) -> String {
        let inside = format!("{path}.");
        let is_wrong = |key: &&String| {
            let Some(value) = tree::take(&mut self.table.clone(), key) else { return false };
            let mut alone = Table::new();
            tree::put(&mut alone, key, value);
            Config::deserialize(alone).is_err()
        };
        let wrong = self.origins.keys().filter(|key| key.starts_with(&inside)).find(is_wrong).cloned();
        wrong.unwrap_or(path)
    }

    /// An error about a key, with the place where the key is set.
    pub(super) fn explain(&self, path: &str, message: &str) -> anyhow::Error {
        // An error in a list of engines belongs to the layer from which the list came.
        let (stage, _) = path.split_once('.').unwrap_or((path, ""));
        let list = format!("{stage}.{}", engines::LIST);
        match self.origins.get(path).or_else(|| self.origins.get(&list)) {
            Some(origin) => self.located(origin, path, message),
            None => anyhow!("{message}"),
        }
    }

    fn located(&self, origin: &Origin, path: &str, message: &str) -> anyhow::Error {
        let Origin::File(name) = origin else { return anyhow!("{origin}: {message}") };
        let text = self.files.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text);
        let (stage, key) = path.split_once('.').unwrap_or((path, ""));
        let list = format!("{stage}.{}", engines::LIST);
        let in_list = format!("{list}.{key}");
        let keys = self.whole.all_keys();
        let aliases = keys.iter().find(|key| key.path == path).map(|key| key.aliases.as_slice());
        let aliases = aliases.unwrap_or_default().iter().map(|alias| alias.path.as_str());
        // An engine given only by its name has no line of its own, so the line of the list is named.
        let mut places = [path].into_iter().chain(aliases).chain([in_list.as_str(), list.as_str()]);
        match places.find_map(|place| tree::line(text, place)) {
            Some(line) => anyhow!("{name}:{line}: {message}"),
            None => anyhow!("{name}: {message}"),
        }
    }
}

/// All sections and keys of the configuration.
pub(super) fn described() -> SectionInfo {
    Config::section("").unwrap_or_else(|| SectionInfo::new("", ""))
}

/// `[turn] silence_ms` for `turn.silence_ms`.
fn bracketed(path: &str) -> String {
    path.rsplit_once('.').map_or_else(|| format!("[{path}]"), |(section, key)| format!("[{section}] {key}"))
}

/// Rephrases an error of the parser for whoever wrote the value.
fn wrong(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let Some(rest) = first.strip_prefix("unknown variant ") else { return first.to_owned() };
    // The parser quotes the value first, then the known ones.
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let (value, known) = (quoted.next().unwrap_or_default(), quoted.collect::<Vec<_>>());
    let nearest = names::nearest(value, known.iter().copied()).unwrap_or_default();
    format!("\"{value}\" is not known; did you mean \"{nearest}\"? There are {}", known.join(", "))
}

/// The text as a TOML value, or as a string if it is not valid TOML.
fn parse(text: &str) -> Value {
    let document: Option<Table> = format!("value = {text}").parse().ok();
    document.and_then(|mut t| t.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Replaces `${NAME}` in every string by the environment variable; `$${` stands for a literal `${`.
fn expand(value: &mut Value, vars: &[(String, String)], name: &str) -> Result<()> {
    match value {
        Value::String(text) => *text = expanded(text, vars, name)?,
        Value::Array(values) => values.iter_mut().try_for_each(|value| expand(value, vars, name))?,
        Value::Table(table) => table.iter_mut().try_for_each(|(_, value)| expand(value, vars, name))?,
        _ => {}
    }
    Ok(())
}

fn expanded(text: &str, vars: &[(String, String)], name: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some((variable, after)) = rest[at + 2..].split_once('}') else {
            bail!("{name}: \"{text}\" has a ${{ without its }}");
        };
        let value = vars.iter().find(|(known, _)| known == variable).map(|(_, value)| value);
        out.push_str(value.ok_or_else(|| {
            anyhow!("{name}: the environment variable {variable} is not set, or is no valid UTF-8")
        })?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn at(text: &str, name: &str, span: Option<std::ops::Range<usize>>, message: &str) -> anyhow::Error {
    let line = span.map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    anyhow!("{name}:{line}: {message}")
}
