//! `antiphon performance`: shows how long the steps of a turn take in the running server.

use std::io::IsTerminal;
use std::time::Duration;

use antiphon_stack::config::Config;
use antiphon_telemetry::{Report, StageReport};
use anyhow::{Context, Result};
use clap::ValueEnum;

use super::remote::Server;
use super::table::table;
use super::{print, runtime};

/// How often the live view is redrawn.
const EVERY: Duration = Duration::from_secs(1);

/// Show how long the steps of a turn take in the running server.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon performance\n  antiphon performance --live --minutes 5\n  \
    antiphon performance --component stt --export csv")]
pub(super) struct PerformanceArguments {
    /// Show only the component of this name.
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// Show only the last N minutes, up to a year. When missing: the last hour.
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Redraw every second.
    #[arg(long, conflicts_with = "export")]
    live: bool,
    /// Print in a format for other programs.
    #[arg(long, value_enum)]
    export: Option<Export>,
    /// The same as --export json.
    #[arg(long, conflicts_with = "export")]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Export {
    Json,
    Csv,
    Prometheus,
}

pub(super) fn run(arguments: &PerformanceArguments, config: &Config) -> Result<()> {
    let server = arguments.server.open(config)?;
    runtime()?.block_on(async {
        if arguments.export == Some(Export::Prometheus) {
            print(server.get("/metrics", &[]).await?.trim_end());
            return Ok(());
        }
        let component = arguments.component.iter().map(|name| ("component", name.clone()));
        let minutes = arguments.minutes.iter().map(|minutes| ("minutes", minutes.to_string()));
        let wanted: Vec<_> = component.chain(minutes).collect();
        loop {
            let text = server.get("/api/performance", &wanted).await?;
            let report: Report =
                serde_json::from_str(&text).context("the server's answer is not understood")?;
            match arguments.export.or(arguments.json.then_some(Export::Json)) {
                Some(Export::Json) => print(&serde_json::to_string(&report)?),
                Some(Export::Csv) => print(&csv(&report)),
                _ => {
                    if arguments.live && std::io::stdout().is_terminal() {
                        print("\x1b[2J\x1b[H");
                    }
                    print(&stages(&report));
                }
            }
            if !arguments.live {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    })
}

fn csv(report: &Report) -> String {
    let mut lines = vec!["component,stage,count,errors,p50_ms,p95_ms,p99_ms,max_ms,mean_ms".to_owned()];
    for component in &report.components {
        for stage in &component.stages {
            let StageReport { name, count, errors, p50_ms, p95_ms, p99_ms, max_ms, mean_ms, .. } = stage;
            let component = &component.name;
            lines.push(format!(
                "{component},{name},{count},{errors},{p50_ms},{p95_ms},{p99_ms},{max_ms},{mean_ms}"
            ));
        }
    }
    lines.join("\n")
}

fn stages(report: &Report) -> String {
    let mut table = table(
        ["COMPONENT", "STAGE", "COUNT", "ERRORS", "P50 MS", "P95 MS", "P99 MS", "MAX MS", "P95 OVER TIME"],
        2..8,
    );
    for component in &report.components {
        for stage in &component.stages {
            let ms = |value: f64| if stage.count == 0 { "-".to_owned() } else { format!("{value:.1}") };
            table.add_row([
                component.name.to_string(),
                stage.name.to_string(),
                stage.count.to_string(),
                stage.errors.to_string(),
                ms(stage.p50_ms),
                ms(stage.p95_ms),
                ms(stage.p99_ms),
                ms(stage.max_ms),
                sparkline(&stage.p95_history_ms),
            ]);
        }
    }
    let window = Duration::from_secs_f64(report.window_s);
    let counters = report.components.iter().flat_map(|component| {
        let counted = component.counters.iter().filter(|counter| counter.value > 0);
        counted.map(|counter| format!("{} {} {}", component.name, counter.name, counter.value))
    });
    let levels = report.components.iter().flat_map(|component| {
        component.levels.iter().map(|level| {
            let of =
                level.limit.map_or_else(String::new, |limit| format!(" of {}", amount(limit, &level.unit)));
            format!("{} {} {}{of}", component.name, level.name, amount(level.value, &level.unit))
        })
    });
    let (counters, levels): (Vec<String>, Vec<String>) = (counters.collect(), levels.collect());
    let mut text = format!("the last {}\n{table}", span(window));
    for line in [counters.join(" · "), levels.join(" · ")] {
        if !line.is_empty() {
            text.push('\n');
            text.push_str(&line);
        }
    }
    text
}

/// A level as text for people: bytes in MiB, large numbers without fractions.
fn amount(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => format!("{:.1} MiB", value / f64::from(1 << 20)),
        "bytes/s" => format!("{:.1} KiB/s", value / 1_024.0),
        _ if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0} {unit}"),
        _ => format!("{value:.2} {unit}"),
    }
}

fn span(window: Duration) -> String {
    match window.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// The latest values as bars; the largest is a full bar.
fn sparkline(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const WIDTH: usize = 30;
    let values = &values[values.len().saturating_sub(WIDTH)..];
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(_) if most <= 0.0 => BARS[0],
        Some(value) => BARS[((value / most * 7.0).round() as usize).min(7)],
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_has_a_bar_for_each_value_and_a_gap_where_there_is_none() {
        assert_eq!(sparkline(&[Some(1.0), None, Some(8.0)]), "▂ █");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[Some(0.0)]), "▁");
        assert_eq!(sparkline(&vec![Some(1.0); 100]).chars().count(), 30);
    }
}
