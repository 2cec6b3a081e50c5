//! A benchmark in a process of its own, which is controlled step by step, so that two of them can alternate.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use antiphon_stack::config::{self, Config, MODELS_VARIABLE};
use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::result::Measured;

/// Longest time for loading the models.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// Longest time for one step.
const STEP_WITHIN: Duration = Duration::from_mins(10);
/// The configuration key of the models' folder.
const MODELS_DIR: &str = "server.models_dir";
/// What the child prints once its engines are loaded.
pub(crate) const READY: &str = "ready";

/// A child process that measures one component on request.
pub(crate) struct Runner {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Runner {
    /// Starts `program`, which may be another version, with a configuration file and with keys that override it.
    pub(crate) async fn start(
        program: &Path,
        config: Option<&Path>,
        settings: &[(String, String)],
        component: &str,
        recording: Option<&Path>,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        command.args(["benchmark", "--component", component, "--steps"]);
        if let Some(recording) = recording {
            command.arg("--input").arg(recording);
        }
        for (key, value) in settings {
            // Older programs refuse this key because they do not know it, but they ignore a variable that they do
            // not know.
            let variable = if key == MODELS_DIR { MODELS_VARIABLE.to_owned() } else { config::variable(key) };
            command.env(variable, value);
        }
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = spawned.with_context(|| format!("cannot start {}", program.display()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a process without input and output");
        };
        let mut runner = Self { child, input, output: BufReader::new(output).lines() };
        let ready = runner.line(READY_WITHIN).await?;
        if ready != READY {
            bail!("{} does not measure step by step: it is too old", program.display());
        }
        Ok(runner)
    }

    /// Measures this many iterations.
    pub(crate) async fn step(&mut self, iterations: usize) -> Result<Measured> {
        self.input.write_all(format!("{iterations}\n").as_bytes()).await?;
        let line = self.line(STEP_WITHIN).await?;
        serde_json::from_str(&line).with_context(|| format!("a measurement is not understood: {line}"))
    }

    async fn line(&mut self, within: Duration) -> Result<String> {
        let line = tokio::time::timeout(within, self.output.next_line()).await;
        let line = line.context("the measuring process does not answer")??;
        if let Some(line) = line {
            return Ok(line);
        }
        let status = self.child.wait().await?;
        bail!("the measuring process ended ({status}); its messages are above")
    }
}

/// The settings with which a child finds models and data in the same place as this process.
pub(crate) fn place(config: &Config) -> Result<[(String, String); 2]> {
    let setting = |key: &str, path: PathBuf| (key.to_owned(), path.display().to_string());
    Ok([setting("server.data_dir", config.data_dir()?), setting(MODELS_DIR, config.models_dir()?)])
}
