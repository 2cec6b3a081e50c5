//! Finds out whether something became slower: measures two versions or configurations alternately, or compares with a
//! stored result.

use std::path::{Path, PathBuf};

use antiphon_lab::compare::{Comparison, Round, compare};
use anyhow::{Context, Result, bail};

use super::child::Runner;
use super::result::{Measured, RunResult};

/// How many rounds a comparison has. In each round one side is measured and then the other.
const ROUNDS: usize = 10;

/// What the present program and configuration are compared with.
pub(crate) enum Baseline {
    /// A result that was written earlier. The machine may have been in another state then.
    Result(Box<RunResult>),
    /// The present program with another configuration, measured in turn with this one.
    Config(PathBuf),
    /// Another version of the program.
    Program(PathBuf),
}

impl Baseline {
    /// Recognises by the file which of these it is.
    pub(crate) fn open(file: &Path) -> Result<Self> {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let result = serde_json::from_str(&text);
                let result =
                    result.with_context(|| format!("{} holds no result of a benchmark", file.display()))?;
                Ok(Self::Result(Box::new(result)))
            }
            Some("toml") if file.is_file() => Ok(Self::Config(file.to_owned())),
            _ if file.is_file() => Ok(Self::Program(std::path::absolute(file)?)),
            _ => bail!(
                "{} is not there: name a result (.json), a configuration (.toml) or another antiphon program",
                file.display()
            ),
        }
    }
}

/// The two sides of a comparison.
pub(crate) struct ComparedPair<'a> {
    pub(crate) baseline: ComparedProgram<'a>,
    pub(crate) candidate: ComparedProgram<'a>,
    pub(crate) recording: Option<&'a Path>,
}

/// One side of a comparison: a program and how it is configured.
pub(crate) struct ComparedProgram<'a> {
    pub(crate) program: &'a Path,
    pub(crate) config: Option<&'a Path>,
    /// Keys that override the configuration.
    pub(crate) settings: &'a [(String, String)],
}

impl ComparedPair<'_> {
    /// Measures how long a component takes on both sides, alternating between them, with `iterations` on each side in
    /// total. `each` is called after every round.
    pub(crate) async fn measure(
        &self,
        component: &str,
        iterations: usize,
        each: impl FnMut(),
    ) -> Result<Vec<Round>> {
        let span = |measured: Measured| measured.metrics.into_iter().next().map(|total| total.samples_ms);
        self.rounds(component, iterations.div_ceil(ROUNDS).max(1), span, each).await
    }

    /// Measures the CPU time of a component, with one value for every `iterations`.
    pub(crate) async fn measure_cpu(&self, component: &str, iterations: usize) -> Result<Vec<Round>> {
        self.rounds(component, iterations, |measured| Some(vec![measured.cpu_ms]), || {}).await
    }

    async fn rounds(
        &self,
        component: &str,
        step: usize,
        figures: impl Fn(Measured) -> Option<Vec<f64>>,
        mut each: impl FnMut(),
    ) -> Result<Vec<Round>> {
        let start = |side: &ComparedProgram<'_>| {
            let (program, config) = (side.program.to_owned(), side.config.map(Path::to_owned));
            let (settings, recording) = (side.settings.to_vec(), self.recording.map(Path::to_owned));
            let component = component.to_owned();
            async move {
                Runner::start(&program, config.as_deref(), &settings, &component, recording.as_deref()).await
            }
        };
        let (mut baseline, mut candidate) = (start(&self.baseline).await?, start(&self.candidate).await?);
        let mut rounds = Vec::new();
        for n in 0..=ROUNDS {
            let (first, second) =
                if n % 2 == 0 { (&mut baseline, &mut candidate) } else { (&mut candidate, &mut baseline) };
            let (first, second) =
                (measured(first, step, &figures).await?, measured(second, step, &figures).await?);
            let (baseline, candidate) = if n % 2 == 0 { (first, second) } else { (second, first) };
            // The first round only warms both sides up, so it is not counted.
            if n > 0 {
                rounds.push(Round { baseline, candidate });
                each();
            }
        }
        Ok(rounds)
    }
}

async fn measured(
    runner: &mut Runner,
    iterations: usize,
    figures: impl Fn(Measured) -> Option<Vec<f64>>,
) -> Result<Vec<f64>> {
    figures(runner.step(iterations).await?).context("nothing was measured")
}

/// Compares two results, with their samples in the order in which they were measured.
pub(crate) fn results(baseline: &RunResult, candidate: &RunResult, component: &str) -> Option<Comparison> {
    let samples = |result: &RunResult| {
        let measured = result.components.iter().find(|measured| measured.component == component)?;
        Some(measured.total()?.samples_ms.clone())
    };
    let (baseline, candidate) = (samples(baseline)?, samples(candidate)?);
    let each = |samples: &[f64]| samples.len().div_ceil(ROUNDS).max(1);
    let (ours, theirs) = (each(&candidate), each(&baseline));
    let rounds: Vec<Round> = baseline
        .chunks(theirs)
        .zip(candidate.chunks(ours))
        .map(|(baseline, candidate)| Round { baseline: baseline.to_vec(), candidate: candidate.to_vec() })
        .collect();
    compare(&rounds)
}
