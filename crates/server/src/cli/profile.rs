//! `antiphon profile`: shows where the running server's CPU time or memory goes.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_stack::config::Config;
use antiphon_telemetry::profile::{Kind, Profile};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;

use super::remote::Server;
use super::table::table;
use super::{print, runtime};

/// How long the server may take to look up the names of functions after it has sampled them.
const NAMING: Duration = Duration::from_mins(2);
/// How many rows the table has.
const ROWS: usize = 20;

/// Show where the running server's CPU time or memory goes.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon profile --duration 30 --output flame.svg\n  \
    antiphon profile --component stt\n  antiphon profile --memory --duration 120 --output leak.json")]
pub(super) struct ProfileArguments {
    /// How long to sample, 1 to 600 seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    duration: u64,
    /// Profile memory that is allocated meanwhile and not freed, instead of CPU time. What grows all the time may be
    /// a leak.
    #[arg(long)]
    memory: bool,
    /// Include only the work of this component.
    #[arg(long, value_name = "NAME", conflicts_with = "memory")]
    component: Option<String>,
    /// Also write the profile to a file: a flame graph as .svg, everything as .json, stacks as .folded.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Everything as JSON instead of tables.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(arguments: &ProfileArguments, config: &Config) -> Result<()> {
    if let Some(file) = &arguments.output {
        format_of(file)?;
    }
    let server = arguments.server.open(config)?;
    let kind = if arguments.memory { "heap" } else { "cpu" };
    let mut query = vec![("seconds", arguments.duration.to_string()), ("kind", kind.to_owned())];
    query.extend(arguments.component.iter().map(|name| ("component", name.clone())));
    let patience = Duration::from_secs(arguments.duration) + NAMING;
    let text = runtime()?.block_on(async {
        let asked = server.ask(Method::POST, "/api/performance/profile", &query, None, patience);
        tokio::pin!(asked);
        let bar = bar(arguments.duration);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                text = &mut asked => {
                    bar.finish_and_clear();
                    break text;
                }
                _ = tick.tick() => bar.inc(1),
            }
        }
    })?;
    let profile: Profile = serde_json::from_str(&text).context("the server's answer is not understood")?;
    if let Some(file) = &arguments.output {
        write(&profile, file)?;
    }
    print(&if arguments.json { serde_json::to_string(&profile)? } else { tables(&profile) });
    Ok(())
}

/// Writes a profile to a file, in the format of its extension.
pub(super) fn write(profile: &Profile, file: &Path) -> Result<()> {
    let content = match format_of(file)? {
        Format::Svg => profile.flame_graph(),
        Format::Json => serde_json::to_string_pretty(profile)?,
        Format::Folded => profile.folded.join("\n"),
    };
    std::fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

enum Format {
    Svg,
    Json,
    Folded,
}

fn format_of(file: &Path) -> Result<Format> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => Ok(Format::Svg),
        Some("json") => Ok(Format::Json),
        Some("folded" | "txt") => Ok(Format::Folded),
        _ => {
            anyhow::bail!("--output {}: give it a name that ends with .svg, .json or .folded", file.display())
        }
    }
}

fn bar(seconds: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:40} {pos} of {len} s").unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(seconds).with_style(style)
}

fn tables(profile: &Profile) -> String {
    let mut text = summary(profile);
    let shares = |title: &str, shares: &[antiphon_telemetry::profile::ProfileShare]| {
        let mut table = table([title, "SHARE"], 1..2);
        for one in shares.iter().take(ROWS) {
            table.add_row([one.name.clone(), percent(one.share)]);
        }
        format!("\n\n{table}")
    };
    if profile.kind == Kind::Cpu {
        text += &shares("COMPONENT", &profile.components);
    }
    if !profile.calls.is_empty() {
        text += &shares("CALL", &profile.calls);
    }
    if !profile.suspects.is_empty() {
        let mut suspects = table(["GROWS ALL THE TIME", "KIB/S", "KIB"], 1..3);
        for suspect in &profile.suspects {
            let kib = |bytes: f64| format!("{:.0}", bytes / 1_024.0);
            suspects.add_row([suspect.site.clone(), kib(suspect.bytes_per_s), kib(suspect.bytes as f64)]);
        }
        text += "\n\n";
        text += &suspects.to_string();
    }
    let mut top = table(["FUNCTION", "OWN", "WITH CALLEES", "WHERE"], 1..3);
    for function in profile.top.iter().take(ROWS) {
        let total = function.total as f64 / profile.total.max(1) as f64;
        let location = function.location.clone().unwrap_or_default();
        top.add_row([shortened(&function.name), percent(function.share), percent(total), location]);
    }
    let mut edges = table(["CALLER", "CALLEE", "SHARE"], 2..3);
    for edge in profile.call_graph.iter().filter(|edge| edge.caller != edge.callee).take(ROWS / 2) {
        let share = edge.weight as f64 / profile.total.max(1) as f64;
        edges.add_row([shortened(&edge.caller), shortened(&edge.callee), percent(share)]);
    }
    format!("{text}\n\n{top}\n\n{edges}")
}

fn summary(profile: &Profile) -> String {
    match profile.kind {
        Kind::Cpu => {
            let busy = profile.total as f64 / profile.rate.max(1) as f64 / profile.duration_s.max(0.001);
            let lost = if profile.lost > 0 { format!(", {} lost", profile.lost) } else { String::new() };
            format!("{:.0} s, {} samples{lost}: {busy:.2} cores busy", profile.duration_s, profile.total)
        }
        Kind::Heap => format!(
            "{:.0} s, {:.1} MiB allocated and not freed",
            profile.duration_s,
            profile.total as f64 / f64::from(1 << 20)
        ),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Shortens the names of generic functions, which can be many lines long, to their beginning and end.
fn shortened(name: &str) -> String {
    const MOST: usize = 90;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    let start: String = name.chars().take(MOST / 2).collect();
    let end: Vec<char> = name.chars().rev().take(MOST / 2 - 1).collect();
    format!("{start}…{}", end.into_iter().rev().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_ends_and_files_name_their_format() {
        let name = format!("begin{}end", "x".repeat(200));
        let short = shortened(&name);
        assert!(
            short.chars().count() <= 90 && short.starts_with("begin") && short.ends_with("end"),
            "{short}"
        );
        assert_eq!(shortened("a::b"), "a::b");
        assert!(format_of(Path::new("a.svg")).is_ok() && format_of(Path::new("a.png")).is_err());
    }
}
