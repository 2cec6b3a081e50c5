//! `antiphon models`: lists, fetches and checks the models.

use antiphon_cache::private_files;
use antiphon_stack::config::Config;
use antiphon_stack::models::{self, Model, ModelState};
use anyhow::{Context, Result, bail};
use serde_json::json;

use super::print;
use super::table::table;

/// List, fetch and check models.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List the models, and show which of them are on this machine.
    List {
        /// Print one JSON object for each model.
        #[arg(long)]
        json: bool,
    },
    /// Fetch models: those named, or all that the server needs with the default configuration.
    Pull {
        /// Names, as `antiphon models list` prints them.
        names: Vec<String>,
        /// Fetch models again even if they are on this machine already.
        #[arg(long)]
        force: bool,
    },
    /// Read every file and compare its hash.
    Verify {
        /// Print one JSON object for each model.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: Command, config: &Config) -> Result<()> {
    let folder = config.models_dir()?;
    match command {
        Command::List { json } => {
            let states: Vec<(Model, ModelState)> =
                models::all()?.into_iter().map(|m| (m.clone(), m.state(&folder, false))).collect();
            show(&states, json);
            Ok(())
        }
        Command::Pull { names, force } => {
            // The data folder, in which models lie unless another folder is chosen, is nobody else's.
            let data = config.data_dir()?;
            if folder.starts_with(&data) {
                private_files::create_folder(&data)
                    .with_context(|| format!("cannot make {}", data.display()))?;
            }
            models::pull(&models::named(&names)?, &folder, force)
        }
        Command::Verify { json } => {
            let states: Vec<(Model, ModelState)> =
                models::all()?.into_iter().map(|m| (m.clone(), m.state(&folder, true))).collect();
            show(&states, json);
            let wrong: Vec<&str> = states
                .iter()
                .filter(|(model, state)| {
                    *state == ModelState::Corrupt || (model.default && *state == ModelState::Missing)
                })
                .map(|(model, _)| model.id.as_str())
                .collect();
            if wrong.is_empty() {
                return Ok(());
            }
            bail!("missing or damaged: {}; fetch them with `antiphon models pull`", wrong.join(", "))
        }
    }
}

fn show(states: &[(Model, ModelState)], json: bool) {
    if json {
        for (model, state) in states {
            let line = json!({ "id": model.id, "purpose": model.purpose, "licence": model.licence,
                "size": model.size(), "default": model.default, "state": state });
            print(&line.to_string());
        }
        return;
    }
    let mut table = table(["MODEL", "FOR", "MB", "LICENCE", "STATE"], 2..3);
    for (model, state) in states {
        let state = match state {
            ModelState::Ready => "ready",
            ModelState::Missing if model.default => "missing",
            ModelState::Missing => "not pulled",
            ModelState::Corrupt => "corrupt",
        };
        let size = format!("{:.1}", model.size() as f64 / 1e6);
        table.add_row([&model.id, &model.purpose, &size, &model.licence, state]);
    }
    print(&table.to_string());
}
