//! `antiphon optimize`: searches for settings that are better on this machine.

mod search;
mod space;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use antiphon_lab::search::Value;
use antiphon_stack::config::Effective;
use antiphon_stack::{self as stack, BuildContext, machine};
use antiphon_telemetry::Store;
use anyhow::{Result, bail};
use serde::Serialize;

use super::benchmark::child::place;
use super::{print, runtime};
use crate::findings::{Finding, Goal, Overlay, Settings, is_better};
use crate::logging::start_logging;
use search::Optimizer;

/// Find better settings for this machine, by measuring.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command")]
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon optimize\n  antiphon optimize --goal capacity --budget 60\n  \
    antiphon optimize --apply\n  antiphon optimize --rollback")]
pub(super) struct OptimizeArguments {
    /// What the settings should improve.
    #[arg(long, value_enum, default_value_t = Goal::Latency)]
    goal: Goal,
    /// Measurements in total, over all settings that are tried.
    #[arg(long, value_name = "N", default_value_t = 40)]
    budget: usize,
    /// Iterations of one measurement.
    #[arg(long, value_name = "N", default_value_t = 6)]
    iterations: usize,
    /// Search only settings with these names. When missing: all. `antiphon performance --json` lists them.
    #[arg(long, value_name = "KEY", num_args = 1..)]
    only: Vec<String>,
    /// Also choose between the models that are installed: another voice sounds different.
    #[arg(long)]
    models: bool,
    /// Speech to measure with; the configured voice's own when missing.
    #[arg(long, value_name = "AUDIO")]
    input: Option<PathBuf>,
    /// Apply what the last search found; it takes effect at the next start.
    #[arg(long, conflicts_with = "rollback")]
    apply: bool,
    /// Restore the settings that were in effect before.
    #[arg(long)]
    rollback: bool,
    /// The outcome as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &OptimizeArguments, effective: &Effective, file: Option<&Path>) -> Result<()> {
    let config = &effective.config;
    start_logging(config, Some("error"))?;
    let folder = config.data_dir()?;
    let overlay = Overlay::of(&folder);
    if arguments.apply {
        let path = overlay.apply()?;
        print(&format!("in force from the next start on: {}", path.display()));
        return Ok(());
    }
    if arguments.rollback {
        let nothing = overlay.roll_back()?;
        print(if nothing { "rolled back: the defaults are in force" } else { "rolled back" });
        return Ok(());
    }
    runtime()?.block_on(async {
        let finding = search(arguments, effective, file).await?;
        let withdrawn = if finding.settings.is_empty() {
            overlay.withdraw()?
        } else {
            overlay.propose(&finding)?;
            false
        };
        let store = Store::open(&folder).await?;
        let content = serde_json::to_string(&finding)?;
        store.add_document("optimizer", finding.at, &finding.machine, &finding.engines, &content).await?;
        let outcome = Outcome { finding, withdrawn };
        print(&if arguments.json { serde_json::to_string(&outcome)? } else { outcome.text() });
        Ok(())
    })
}

async fn search(
    arguments: &OptimizeArguments,
    effective: &Effective,
    file: Option<&Path>,
) -> Result<Finding> {
    let config = &effective.config;
    let (knobs, start) = {
        // This stack is built only to learn which settings its components have.
        let stack = stack::build(config, &BuildContext::default())?;
        let models = config.models_dir()?;
        let models = arguments.models.then_some(models.as_path());
        space::knobs(&stack, config, &effective.origins, models, &arguments.only)
    };
    if knobs.is_empty() {
        bail!("there is no setting to search: the configuration sets all of them, or --only leaves them out");
    }
    for knob in &knobs {
        let values: Vec<String> = knob.values.iter().map(ToString::to_string).collect();
        tell(&format!("{}: {}", knob.name, values.join(", ")));
    }
    let optimizer = Optimizer {
        goal: arguments.goal,
        program: &std::env::current_exe()?,
        config: file,
        recording: arguments.input.as_deref(),
        place: place(config)?,
        iterations: arguments.iterations.max(1),
    };
    let told = |settings: &Settings, cost: f64| tell(&format!("{cost:9.2}  {}", line(settings)));
    let (settings, trials) = optimizer.search(&knobs, &start, arguments.budget.max(2), 1, told).await?;
    let comparison = if settings.is_empty() {
        None
    } else {
        tell(&format!("verifying {}", line(&settings)));
        optimizer.verify(&settings).await?
    };
    let better = comparison.as_ref().is_some_and(is_better);
    Ok(Finding {
        goal: arguments.goal,
        settings: if better { settings } else { Settings::new() },
        comparison,
        trials,
        machine: machine::describe(),
        commit: machine::commit().to_owned(),
        engines: stack::engine_names(config),
        at: antiphon_telemetry::unix_time().as_secs(),
    })
}

/// Prints progress, if a person is watching on a terminal.
fn tell(line: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("{line}");
    }
}

fn line(settings: &Settings) -> String {
    let pair = |(key, value): (&String, &Value)| format!("{key} = {value}");
    settings.iter().map(pair).collect::<Vec<_>>().join("  ")
}

/// The outcome of a search.
#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    finding: Finding,
    /// Whether the proposal of an earlier search was withdrawn.
    withdrawn: bool,
}

impl Outcome {
    /// The outcome as text for people.
    fn text(&self) -> String {
        let Finding { goal, settings, comparison, trials, .. } = &self.finding;
        let Some(comparison) = comparison.as_ref().filter(|_| !settings.is_empty()) else {
            let withdrawn =
                if self.withdrawn { "; what an earlier search proposed is withdrawn" } else { "" };
            return format!(
                "{trials} measurements: nothing is surely better than today's settings{withdrawn}"
            );
        };
        let percent = |ratio: f64| (ratio - 1.0) * 100.0;
        format!(
            "{}\n{}: {:.2}, before {:.2} ({:+.1} %; 95 % interval {:+.1} to {:+.1} %; p = {:.4})\n`antiphon optimize \
             --apply` puts it in force, `antiphon optimize --rollback` takes it back",
            line(settings),
            goal.unit(),
            comparison.candidate_ms,
            comparison.baseline_ms,
            percent(comparison.ratio),
            percent(comparison.low),
            percent(comparison.high),
            comparison.p_value
        )
    }
}
