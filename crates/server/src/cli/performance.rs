//! `antiphon performance`

use std::io::IsTerminal;
use std::time::Duration;

use antiphon_telemetry::{Report, StageReport};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use reqwest::Url;

use super::{print, runtime};
use crate::config::Config;

/// A server that does not answer within this is as good as gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the live view is drawn.
const EVERY: Duration = Duration::from_secs(1);

/// Show what the steps of a turn take in the running server.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon performance\n  antiphon performance --live --minutes 5\n  \
    antiphon performance --component stt --export csv")]
pub(super) struct Arguments {
    /// Only this component.
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// Only the last so many minutes, 1 to 60; the last hour when missing.
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Draw it anew every second.
    #[arg(long, conflicts_with = "export")]
    live: bool,
    /// For other programs.
    #[arg(long, value_enum)]
    export: Option<Export>,
    /// The same as --export json.
    #[arg(long, conflicts_with = "export")]
    json: bool,
    /// The server, instead of [server] listen.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Export {
    Json,
    Csv,
    Prometheus,
}

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<()> {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let server = arguments.url.clone().unwrap_or_else(|| format!("{scheme}://{}", config.server.listen));
    let server = server.trim_end_matches('/').to_owned();
    let key = config.server.api_keys.first().map(|key| key.reveal().to_owned());
    runtime()?.block_on(async {
        if arguments.export == Some(Export::Prometheus) {
            print(fetch(&format!("{server}/metrics"), key.as_deref()).await?.trim_end());
            return Ok(());
        }
        let url = address(&server, arguments)?;
        loop {
            let text = fetch(url.as_str(), key.as_deref()).await?;
            let report: Report =
                serde_json::from_str(&text).context("the server's answer is not understood")?;
            match arguments.export.or(arguments.json.then_some(Export::Json)) {
                Some(Export::Json) => print(&serde_json::to_string(&report)?),
                Some(Export::Csv) => print(&csv(&report)),
                _ => {
                    if arguments.live && std::io::stdout().is_terminal() {
                        print("\x1b[2J\x1b[H");
                    }
                    print(&table(&report));
                }
            }
            if !arguments.live {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    })
}

fn address(server: &str, arguments: &Arguments) -> Result<Url> {
    let minutes = arguments.minutes.map(|minutes| minutes.to_string());
    let component = arguments.component.as_deref().map(|component| ("component", component));
    let wanted = component.into_iter().chain(minutes.as_deref().map(|minutes| ("minutes", minutes)));
    Url::parse_with_params(&format!("{server}/api/performance"), wanted)
        .with_context(|| format!("{server} is no address of a server"))
}

async fn fetch(url: &str, key: Option<&str>) -> Result<String> {
    // Whoever was first has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let get = client.get(url);
    let get = if let Some(key) = key { get.bearer_auth(key) } else { get };
    let answer =
        get.send().await.with_context(|| format!("{url} does not answer: is the server running?"))?;
    let (status, text) = (answer.status(), answer.text().await?);
    if !status.is_success() {
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        bail!("{}", problem["detail"].as_str().unwrap_or(status.as_str()));
    }
    Ok(text)
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

fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "COMPONENT",
        "STAGE",
        "COUNT",
        "ERRORS",
        "P50 MS",
        "P95 MS",
        "P99 MS",
        "MAX MS",
        "P95 OVER TIME",
    ]);
    for column in 2..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
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
    let counters: Vec<String> = report
        .components
        .iter()
        .flat_map(|component| {
            let counted = component.counters.iter().filter(|counter| counter.value > 0);
            counted.map(|counter| format!("{} {} {}", component.name, counter.name, counter.value))
        })
        .collect();
    let window = Duration::from_secs(report.window_s as u64);
    let counted = if counters.is_empty() { String::new() } else { format!("\n{}", counters.join(" · ")) };
    format!("the last {}\n{table}{counted}", span(window))
}

fn span(window: Duration) -> String {
    match window.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// The latest values as bars, the largest full.
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
