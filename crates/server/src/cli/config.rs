//! `antiphon config`

use antiphon_stack::config::Effective;
use anyhow::Result;
use serde_json::json;

use super::print;

/// Show or check the configuration.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Print every value in force and where it came from; secrets only as "(set)".
    Show {
        /// Print a JSON object a value.
        #[arg(long)]
        json: bool,
    },
    /// Read the configuration and say whether it is sound.
    Check,
}

pub(super) fn run(command: &Command, effective: &Effective) -> Result<()> {
    match command {
        // Whoever gets here has read it without an error.
        Command::Check => print("the configuration is sound"),
        Command::Show { json } => {
            let table = toml::Table::try_from(&effective.config)?;
            for (section, keys) in &table {
                if !json {
                    print(&format!("[{section}]"));
                }
                for (key, value) in keys.as_table().into_iter().flatten() {
                    show(section, key, value, effective, *json);
                }
            }
        }
    }
    Ok(())
}

fn show(section: &str, key: &str, value: &toml::Value, effective: &Effective, json: bool) {
    let path = format!("{section}.{key}");
    let origin =
        effective.origins.iter().find(|(known, _)| *known == path).map(|(_, origin)| origin.to_string());
    let origin = origin.as_deref().unwrap_or("default");
    if json {
        print(&json!({ "key": path, "value": value, "origin": origin }).to_string());
    } else {
        print(&format!("{:44} # {origin}", format!("{key} = {value}")));
    }
}
