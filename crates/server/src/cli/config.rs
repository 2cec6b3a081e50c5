//! `antiphon config`: shows, describes and checks the configuration.

use antiphon_stack::config::{self, Effective};
use anyhow::{Result, bail};
use serde_json::json;

use super::{print, serve};

/// Show or check the configuration.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Print every value in force and where it came from; secrets only as "(set)".
    Show {
        /// Print one JSON object for each value.
        #[arg(long)]
        json: bool,
    },
    /// Read the configuration and say whether the server would start with it; models are checked by `antiphon doctor`.
    Check,
    /// Print what each key does, its default and what is allowed.
    #[command(
        after_help = "Examples:\n  antiphon config keys tts\n  antiphon config keys tts.elevenlabs.stability"
    )]
    Keys {
        /// A section or a key; all of them when missing.
        #[arg(default_value = "")]
        prefix: String,
        /// Print one JSON object for each key.
        #[arg(long)]
        json: bool,
    },
    /// Print a configuration file with every key at its default: antiphon.example.toml.
    Example,
    /// Print the reference of all keys in Markdown: docs/configuration.md.
    Reference,
}

impl Command {
    /// Prints what does not depend on a configuration. Returns false if this is no such command.
    pub(super) fn describes(&self) -> Result<bool> {
        match self {
            Self::Keys { prefix, json } => keys(prefix, *json)?,
            Self::Example => print(config::example().trim_end()),
            Self::Reference => print(config::page().trim_end()),
            Self::Show { .. } | Self::Check => return Ok(false),
        }
        Ok(true)
    }
}

pub(super) fn run(command: &Command, effective: &Effective) -> Result<()> {
    match command {
        Command::Check => {
            serve::check(&effective.config)?;
            print("the configuration is sound");
        }
        Command::Show { json } => {
            let table = toml::Table::try_from(&effective.config)?;
            show_section("", &table, effective, *json);
        }
        Command::Keys { .. } | Command::Example | Command::Reference => {}
    }
    Ok(())
}

/// Prints the keys of a section, then the sections in it.
fn show_section(path: &str, table: &toml::Table, effective: &Effective, json: bool) {
    let full = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let sections = table.iter().filter_map(|(name, value)| Some((full(name), value.as_table()?)));
    let sections: Vec<_> = sections.filter(|(path, _)| config::is_section(path)).collect();
    let mut keys = table.iter().filter(|(name, _)| !config::is_section(&full(name))).peekable();
    if keys.peek().is_some() && !json {
        print(&format!("[{path}]"));
    }
    for (name, value) in keys {
        show(&full(name), name, value, effective, json);
    }
    for (path, table) in sections {
        show_section(&path, table, effective, json);
    }
}

fn show(path: &str, key: &str, value: &toml::Value, effective: &Effective, json: bool) {
    let origin =
        effective.origins.iter().find(|(known, _)| known == path).map(|(_, origin)| origin.to_string());
    let origin = origin.as_deref().unwrap_or("default");
    if json {
        print(&json!({ "key": path, "value": value, "origin": origin }).to_string());
    } else {
        print(&format!("{:44} # {origin}", format!("{key} = {value}")));
    }
}

/// Prints the descriptions of keys.
fn keys(prefix: &str, json: bool) -> Result<()> {
    let keys = config::keys(prefix);
    if keys.is_empty() {
        bail!("there is no key or section `{prefix}`; `antiphon config keys` lists all");
    }
    for key in keys {
        if json {
            print(&serde_json::to_string(&key)?);
            continue;
        }
        let default = if key.default.is_null() { "not set".to_owned() } else { key.default.to_string() };
        print(&format!("{} ({}; default: {default})", key.path, key.kind));
        print(&format!("    {}", key.help));
        if !key.choices.is_empty() {
            print(&format!("    one of: {}", key.choices.join(", ")));
        }
        if let Some(check) = &key.check {
            print(&format!("    must be {check}"));
        }
        print(&format!("    environment: {}", key.environment.join(", ")));
        for alias in &key.aliases {
            let how = if alias.deprecated { "formerly" } else { "also" };
            print(&format!("    {how}: {}", alias.path));
        }
    }
    Ok(())
}
