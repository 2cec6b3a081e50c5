//! Texts generated from the declarations of keys: the example file, the reference page, and the list on the
//! command line.

use std::fmt::Write;

use antiphon_core::settings::{KeyInfo, SectionInfo};
use serde_json::Value;

use super::layers::described;

/// Width of comments in the example file, in characters.
const WIDTH: usize = 110;

/// All keys whose full names begin with `prefix`, in the order of their declarations. If there are none, those with
/// another such name.
pub fn keys(prefix: &str) -> Vec<KeyInfo> {
    let within = |path: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| {
            prefix.is_empty() || rest.is_empty() || rest.starts_with('.') || prefix.ends_with('.')
        })
    };
    let whole = described();
    let (mut now, mut formerly) = (Vec::new(), Vec::new());
    for key in whole.all_keys() {
        if within(&key.path) {
            now.push(key.clone());
        } else if key.aliases.iter().any(|alias| within(&alias.path)) {
            formerly.push(key.clone());
        }
    }
    if now.is_empty() { formerly } else { now }
}

/// An example file that shows every key with its default.
pub fn example() -> String {
    let mut text = "\
# Antiphon's configuration, with every key at its default. Copy it to antiphon.toml and keep what you change.
# Any key can also be set in the environment, as ANTIPHON_SECTION__KEY, and ${NAME} in a value is replaced by that
# environment variable: keep secrets there. This file is written by `antiphon config example`.
"
    .to_owned();
    for section in &described().sections {
        write_example(&mut text, section);
    }
    text
}

fn write_example(text: &mut String, section: &SectionInfo) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{}[{}]", comment(&section.help), section.path);
    for key in &section.keys {
        let help = match &key.check {
            Some(check) => format!("{} Must be {check}.", key.help),
            None => key.help.clone(),
        };
        let _ = match (set(key), key.example) {
            (Some(value), _) => writeln!(text, "{}{} = {value}", comment(&help), key.name()),
            (None, example) => {
                writeln!(text, "{}# {} = {}", comment(&help), key.name(), example.unwrap_or("\"...\""))
            }
        };
    }
    for inner in &section.sections {
        write_example(text, inner);
    }
}

/// The default of a key in TOML; `None` if it has no default.
fn set(key: &KeyInfo) -> Option<String> {
    match &key.default {
        Value::Null => None,
        Value::String(text) => Some(toml::Value::String(text.clone()).to_string()),
        // Numbers, booleans and empty lists look the same in TOML and in JSON.
        value => Some(value.to_string()),
    }
}

fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        if lines[lines.len() - 1].len() + 1 + word.len() > WIDTH {
            lines.push(String::from("#"));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

/// The reference page, in Markdown.
pub fn page() -> String {
    let whole = described();
    let mut text = "\
# Configuration

One TOML file: the one named with `--config`, else `./antiphon.toml`, else `antiphon/antiphon.toml` in the user's configuration
directory. Every key is optional. `${NAME}` in a value is replaced by that environment variable, and any key can be set in the
environment: `[turn] silence_ms` as `ANTIPHON_TURN__SILENCE_MS`. `antiphon config show` prints what is in force and where each
value came from; `antiphon config keys` prints this page's contents. Each of `[stt]`, `[llm]`, `[tts]` and `[embed]` may list
several engines in `engines`; each entry takes the keys of its section, also in its own tables:
`engines = [{ engine = \"elevenlabs\", elevenlabs = { stability = 0.4 } }, \"piper\"]`.

This page is written by `antiphon config reference`.
"
    .to_owned();
    for section in &whole.sections {
        write_section(&mut text, section);
    }
    write_aliases(&mut text, &whole);
    text
}

fn write_section(text: &mut String, section: &SectionInfo) {
    let _ = writeln!(text, "\n## `[{}]`\n{}\n", section.path, section.help);
    if !section.keys.is_empty() {
        let _ = writeln!(text, "| key | type | default | what it does |\n|---|---|---|---|");
    }
    for key in &section.keys {
        let default = set(key).map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
        let cells = [format!("`{}`", key.name()), kind(key), default, what(key)];
        let _ = writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    for inner in &section.sections {
        write_section(text, inner);
    }
}

/// The type of a key and its allowed values.
fn kind(key: &KeyInfo) -> String {
    let choices: Vec<_> = key.choices.iter().map(|choice| format!("`{choice}`")).collect();
    match &key.check {
        _ if !choices.is_empty() => choices.join(", "),
        Some(check) => format!("{}, {check}", key.kind),
        None => key.kind.to_owned(),
    }
}

fn what(key: &KeyInfo) -> String {
    let variables: Vec<_> = key.environment[1..].iter().map(|name| format!("`{name}`")).collect();
    let variables =
        if variables.is_empty() { String::new() } else { format!(" Also set by {}.", variables.join(", ")) };
    let also: Vec<_> =
        key.aliases.iter().filter(|a| !a.deprecated).map(|alias| format!("`{}`", alias.path)).collect();
    let also =
        if also.is_empty() { String::new() } else { format!(" May also stand at {}.", also.join(", ")) };
    format!("{}{variables}{also}", key.help)
}

fn write_aliases(text: &mut String, whole: &SectionInfo) {
    let keys = whole.all_keys();
    let old = keys.iter().flat_map(|key| key.aliases.iter().filter(|a| a.deprecated).map(move |a| (a, key)));
    let _ = writeln!(
        text,
        "\n## Old names\nThese go on working; whoever uses one is told the new one.\n\n| old | new |\n|---|---|"
    );
    for (alias, key) in old {
        let _ = writeln!(text, "| `{}` | `{}` |", alias.path, key.path);
    }
}
