//! `antiphon benchmark`: measures the components and whole calls, and compares them with earlier results.

mod bench;
pub(super) mod child;
pub(super) mod compare;
mod history;
mod profiler;
mod result;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use antiphon_lab::compare::{Comparison, Verdict};
use antiphon_stack::config::Config;
use antiphon_telemetry::Store;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::table::table;
use super::{call_runtime, print};
use crate::logging::start_logging;
use bench::{Bench, Case};
use compare::{Baseline, ComparedPair, ComparedProgram};
use profiler::Profiler;
use result::RunResult;

/// Measure the components and the whole, with the configured engines.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command")]
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  antiphon benchmark --component stt --iterations 50 --output stt.json\n  \
    antiphon benchmark --component reply --profile heap.json --memory\n  \
    antiphon benchmark --component reply --compare other.toml\n  \
    antiphon benchmark --component llm --compare ./antiphon-before --gate 10%"
)]
pub(super) struct BenchmarkArguments {
    /// What to measure: audio, vad, turn, stt, llm, tts, embed, reply, replies, pipeline. May be given several times;
    /// all of them when missing.
    #[arg(long, value_name = "NAME")]
    component: Vec<String>,
    /// How often; 50 for most, fewer where one takes seconds.
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// Also write the result to a file.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How the result is written.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Speech to measure with; the configured voice's own when missing.
    #[arg(long, value_name = "AUDIO")]
    input: Option<PathBuf>,
    /// Compare with a result (.json), a configuration (.toml) or another antiphon program; the last two are measured
    /// now, in turn with this one.
    #[arg(long, value_name = "BASELINE", conflicts_with = "steps")]
    compare: Option<PathBuf>,
    /// With --compare: fail when something is slower by more than this.
    #[arg(long, value_name = "PERCENT", requires = "compare", value_parser = share, default_value = "10%")]
    gate: f64,
    /// Also profile the CPU while measuring: a flame graph as .svg, everything as .json.
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    profile: Option<PathBuf>,
    /// With --profile: memory that is allocated and not freed, by site, and what grows all the time, instead of
    /// CPU time.
    #[arg(long, requires = "profile")]
    memory: bool,
    /// Neither keep the result nor look at those before.
    #[arg(long)]
    no_history: bool,
    /// Measure when asked, a line of iterations at a time: for --compare and `antiphon optimize`.
    #[arg(long, hide = true)]
    steps: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Csv,
    Markdown,
    Table,
}

/// A share from text: `10%`, `10` and `0.1` are all a tenth.
fn share(text: &str) -> Result<f64, String> {
    let refused = || format!("'{text}' is not a share: give it as 10%");
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let number: f64 = number.trim().parse().map_err(|_| refused())?;
    let share = if percent || number >= 1.0 { number / 100.0 } else { number };
    if (0.0..10.0).contains(&share) { Ok(share) } else { Err(refused()) }
}

pub(super) fn run(arguments: &BenchmarkArguments, config: &Config, file: Option<&Path>) -> Result<ExitCode> {
    start_logging(config, Some("warn"))?;
    let named = arguments.component.iter().map(|name| Case::named(name)).collect::<Result<Vec<_>>>()?;
    let cases = if named.is_empty() { Case::ALL.to_vec() } else { named };
    if arguments.iterations == Some(0) {
        bail!("--iterations 0 would measure nothing");
    }
    call_runtime(config)?.block_on(async {
        if arguments.steps {
            steps(arguments, config, cases[0]).await?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(baseline) = &arguments.compare {
            return compared(arguments, config, file, &cases, &Baseline::open(baseline)?).await;
        }
        let result = measured(arguments, config, &cases).await?;
        show(arguments, &result)?;
        if !arguments.no_history {
            remember(config, &result).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn open(arguments: &BenchmarkArguments, config: &Config) -> Result<Bench> {
    let recording = arguments
        .input
        .as_deref()
        .map(|file| std::fs::read(file).with_context(|| format!("cannot read {}", file.display())));
    Bench::open(config, recording.transpose()?.as_deref()).await
}

/// Reads numbers of iterations from standard input, one on each line, and answers each with the measurements.
async fn steps(arguments: &BenchmarkArguments, config: &Config, case: Case) -> Result<()> {
    let bench = open(arguments, config).await?;
    print(child::READY);
    // Reading blocks the thread, which does no harm: there is nothing else to do between two lines.
    for line in std::io::stdin().lines() {
        let iterations = line?.trim().parse().context("a number of iterations was expected")?;
        let measured = bench.run(case, iterations, false, || {}).await?;
        print(&serde_json::to_string(&measured)?);
    }
    Ok(())
}

async fn measured(arguments: &BenchmarkArguments, config: &Config, cases: &[Case]) -> Result<RunResult> {
    let bench = open(arguments, config).await?;
    let iterations = |case: &Case| arguments.iterations.unwrap_or(case.usual_iterations());
    let profiler = arguments.profile.as_ref().map(|_| {
        let all = cases.iter().map(iterations).sum();
        Profiler::start(arguments.memory, all)
    });
    let mut profiler = profiler.transpose()?;
    let mut components = Vec::new();
    for case in cases {
        // Without a turn detector there is nothing to measure. That is an error only if it was asked for by name.
        if *case == Case::Turn && arguments.component.is_empty() && bench.stack.engines.turn.is_none() {
            continue;
        }
        let iterations = iterations(case);
        let bar = bar(iterations, case.name());
        let each = || {
            bar.inc(1);
            profiler.iter_mut().for_each(Profiler::iterated);
        };
        let measured = bench.run(*case, iterations, true, each).await;
        bar.finish_and_clear();
        components.push(measured.with_context(|| format!("{} ({})", case.name(), case.about()))?);
    }
    if let (Some(profiler), Some(file)) = (profiler, &arguments.profile) {
        super::profile::write(&profiler.finish().await?, file)?;
    }
    Ok(bench.result(components))
}

fn show(arguments: &BenchmarkArguments, result: &RunResult) -> Result<()> {
    let text = |format| {
        anyhow::Ok(match format {
            Format::Json => serde_json::to_string(result)?,
            Format::Csv => result.csv(),
            Format::Markdown => result.markdown(),
            Format::Table => result.table(),
        })
    };
    let format = arguments.format.or(arguments.json.then_some(Format::Json));
    if let Some(file) = &arguments.output {
        let by_name = match file.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Format::Csv,
            Some("md") => Format::Markdown,
            Some("txt") => Format::Table,
            _ => Format::Json,
        };
        let text = text(format.unwrap_or(by_name))?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    print(&text(format.unwrap_or(Format::Table))?);
    Ok(())
}

/// Stores the result, and prints where results on this machine have changed.
async fn remember(config: &Config, result: &RunResult) -> Result<()> {
    let store = Store::open(&config.data_dir()?).await?;
    history::keep(&store, result).await?;
    for measured in &result.components {
        let (runs, changes) = history::changes(&store, result, measured).await?;
        for change in changes {
            let point = &change.point;
            let ratio = (point.after / point.before - 1.0) * 100.0;
            eprintln!(
                "{}: changed by {ratio:+.1} % ({:.2} to {:.2} ms) with commit {} at {}, {runs} runs on this machine",
                measured.component, point.before, point.after, change.commit, change.at
            );
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Compared {
    component: String,
    interleaved: bool,
    verdict: Verdict,
    #[serde(flatten)]
    comparison: Comparison,
}

async fn compared(
    arguments: &BenchmarkArguments,
    config: &Config,
    file: Option<&Path>,
    cases: &[Case],
    baseline: &Baseline,
) -> Result<ExitCode> {
    let mut compared = Vec::new();
    let candidate = match baseline {
        Baseline::Result(_) => Some(measured(arguments, config, cases).await?),
        Baseline::Config(_) | Baseline::Program(_) => None,
    };
    let program = std::env::current_exe()?;
    // Both sides must find the models in the same place.
    let place = child::place(config)?;
    for case in cases {
        let (comparison, interleaved) = match (baseline, &candidate) {
            (Baseline::Result(before), Some(now)) => (compare::results(before, now, case.name()), false),
            (Baseline::Result(_), None) => continue,
            (Baseline::Config(other), _) => {
                let before = ComparedProgram { program: &program, config: Some(other), settings: &place };
                (in_turn(arguments, *case, before, &program, file).await?, true)
            }
            (Baseline::Program(other), _) => {
                let before = ComparedProgram { program: other, config: file, settings: &place };
                (in_turn(arguments, *case, before, &program, file).await?, true)
            }
        };
        let Some(comparison) = comparison else {
            if arguments.component.is_empty() {
                continue;
            }
            bail!(
                "{}: there is too little to compare: raise --iterations, or measure it in the baseline too",
                case.name()
            );
        };
        let verdict = comparison.verdict(arguments.gate);
        compared.push(Compared { component: case.name().to_owned(), interleaved, verdict, comparison });
    }
    let json = arguments.json || arguments.format == Some(Format::Json);
    print(&if json { serde_json::to_string(&compared)? } else { verdicts(&compared) });
    if let Some(file) = &arguments.output {
        let text = serde_json::to_string(&compared)? + "\n";
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let slower = compared.iter().any(|one| one.verdict == Verdict::Regression);
    Ok(if slower { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn in_turn(
    arguments: &BenchmarkArguments,
    case: Case,
    baseline: ComparedProgram<'_>,
    program: &Path,
    file: Option<&Path>,
) -> Result<Option<Comparison>> {
    let candidate = ComparedProgram { program, config: file, settings: baseline.settings };
    let sides = ComparedPair { baseline, candidate, recording: arguments.input.as_deref() };
    let iterations = arguments.iterations.unwrap_or(case.usual_iterations());
    let bar = bar(10, case.name());
    let rounds = sides.measure(case.name(), iterations, || bar.inc(1)).await;
    bar.finish_and_clear();
    Ok(antiphon_lab::compare::compare(&rounds?))
}

fn verdicts(compared: &[Compared]) -> String {
    let header = ["COMPONENT", "BEFORE MS", "NOW MS", "CHANGE", "95 % INTERVAL", "P", "VERDICT"];
    let mut table = table(header, 1..6);
    let change = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
    for Compared { component, verdict, comparison, .. } in compared {
        let verdict = match verdict {
            Verdict::Regression => "SLOWER",
            Verdict::Improvement => "faster",
            Verdict::NoChange => "no change",
        };
        table.add_row([
            component.clone(),
            format!("{:.2}", comparison.baseline_ms),
            format!("{:.2}", comparison.candidate_ms),
            change(comparison.ratio),
            format!("{} to {}", change(comparison.low), change(comparison.high)),
            format!("{:.4}", comparison.p_value),
            verdict.to_owned(),
        ]);
    }
    let mut text = table.to_string();
    if compared.iter().any(|one| !one.interleaved) {
        text += "\n\nMeasured at different times: what else the machine did then shows too. Compare with a program or a \
            configuration to measure both in turn.";
    }
    text
}

fn bar(length: usize, name: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:9} {bar:40} {pos} of {len}");
    ProgressBar::new(length as u64)
        .with_style(style.unwrap_or(ProgressStyle::default_bar()))
        .with_message(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_however_it_is_written() {
        for text in ["10%", "10 %", "10", "0.1"] {
            assert_eq!(share(text), Ok(0.1), "{text}");
        }
        for text in ["", "ten", "-1%", "5000%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
