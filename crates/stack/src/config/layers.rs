//! The layers of the configuration: the file, and the environment over it.

use std::fmt;

use anyhow::{Result, anyhow, bail};
use toml::{Table, Value};

/// Environment variables of this prefix are settings: `ANTIPHON_SECTION__KEY`.
const PREFIX: &str = "ANTIPHON_";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This file.
    File(String),
    /// This environment variable.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) | Self::Environment(name) => f.write_str(name),
        }
    }
}

/// The merged values and the origin of each that is not a default.
pub(super) fn merge(
    text: &str,
    name: &str,
    vars: &[(String, String)],
) -> Result<(Table, Vec<(String, Origin)>)> {
    let mut table: Table =
        text.parse().map_err(|e: toml::de::Error| at(text, name, e.span(), e.message()))?;
    expand(&mut Value::Table(std::mem::take(&mut table)), vars, name).map(|value| table = value)?;
    let mut origins = Vec::new();
    for (section, value) in &table {
        if let Value::Table(keys) = value {
            origins
                .extend(keys.keys().map(|key| (format!("{section}.{key}"), Origin::File(name.to_owned()))));
        }
    }
    for (variable, value) in vars {
        let Some((section, key)) = variable.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__"))
        else {
            continue;
        };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let keys = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(keys) = keys else { bail!("{variable}: [{section}] is no section") };
        keys.insert(key.clone(), parse(value));
        let path = format!("{section}.{key}");
        origins.retain(|(known, _)| *known != path);
        origins.push((path, Origin::Environment(variable.clone())));
    }
    Ok((table, origins))
}

/// Puts a key of `below` into `table` unless it is there already; true when it was put there.
pub(super) fn put_below(table: &mut Table, below: &Table, section: &str, key: &str) -> bool {
    let Some(Value::Table(from)) = below.get(section) else { return false };
    let Some(value) = from.get(key) else { return false };
    let keys = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(keys) = keys else { return false };
    let missing = !keys.contains_key(key);
    if missing {
        keys.insert(key.to_owned(), value.clone());
    }
    missing
}

/// A TOML value, or else the text itself.
fn parse(text: &str) -> Value {
    let document: Option<Table> = format!("value = {text}").parse().ok();
    document.and_then(|mut t| t.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Replaces `${NAME}` in every string; `$${` stands for `${`.
fn expand(value: &mut Value, vars: &[(String, String)], name: &str) -> Result<Table> {
    fn walk(value: &mut Value, vars: &[(String, String)], name: &str) -> Result<()> {
        match value {
            Value::String(text) => *text = expanded(text, vars, name)?,
            Value::Array(values) => values.iter_mut().try_for_each(|v| walk(v, vars, name))?,
            Value::Table(table) => table.iter_mut().try_for_each(|(_, v)| walk(v, vars, name))?,
            _ => {}
        }
        Ok(())
    }
    walk(value, vars, name)?;
    match std::mem::replace(value, Value::Boolean(false)) {
        Value::Table(table) => Ok(table),
        _ => Ok(Table::new()),
    }
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
        out.push_str(value.ok_or_else(|| anyhow!("{name}: the environment variable {variable} is not set"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Says where in the file the key of a message is, and which known key comes nearest.
pub(super) fn locate(text: &str, name: &str, message: &str) -> anyhow::Error {
    // serde quotes what it names: the unknown key first, then the known ones.
    let quoted: Vec<&str> =
        message.lines().next().unwrap_or_default().split('`').skip(1).step_by(2).collect();
    let mut said = message.lines().next().unwrap_or_default().to_owned();
    if message.starts_with("unknown") && quoted.len() > 1 {
        let likeness = |known: &&&str| strsim::jaro_winkler(known, quoted[0]);
        let nearest = quoted[1..].iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        if let Some(nearest) = nearest {
            said = format!("unknown key `{}`; did you mean `{nearest}`?", quoted[0]);
        }
    }
    let key = message.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    // An unknown key is quoted; of a wrong value, the path to its key is told.
    let path = key.and_then(|path| path.rsplit('.').next());
    let wanted = if message.starts_with("unknown field") { quoted.first().copied() } else { path };
    let line = wanted.and_then(|wanted| {
        text.lines().position(|line| {
            let line = line.trim_start().trim_start_matches('[');
            line.strip_prefix(wanted).is_some_and(|rest| rest.trim_start().starts_with(['=', ']', '.']))
        })
    });
    match line {
        Some(line) => anyhow!("{name}:{}: {said}", line + 1),
        None => anyhow!("{said}"),
    }
}

fn at(text: &str, name: &str, span: Option<std::ops::Range<usize>>, message: &str) -> anyhow::Error {
    let line = span.map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    anyhow!("{name}:{line}: {message}")
}
