//! `antiphon cache`: shows, clears and fills the caches of the running server.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_stack::config::Config;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use comfy_table::Table;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::remote::{Remote, Server};
use super::table::table;
use super::{print, runtime};

/// Longest time for clearing. A gigabyte on disk takes a while.
const CLEARED_WITHIN: Duration = Duration::from_mins(2);
/// Longest time for one reply. A long reply takes a while to make and to speak.
const WARMED_WITHIN: Duration = Duration::from_mins(3);
/// What is shown of an entry that was made for a person.
const OF_A_PERSON: &str = "(a person's)";
/// The error for an answer of the server that has another form than this version expects.
const NOT_UNDERSTOOD: &str = "the server's answer is not understood";

/// Look at, clear and fill the caches of the running server.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon cache stats\n  antiphon cache list --cache reply\n  \
    antiphon cache warm questions.txt\n  antiphon cache clear --cache speech")]
pub(super) struct CacheArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show what each cache holds, how often it answered, and what that saved.
    Stats {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the cached entries, the latest first.
    List {
        /// Only of this cache.
        #[arg(long)]
        cache: Option<Kind>,
        /// At most this many, up to 1000.
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete cached entries.
    Clear {
        /// Only of this cache.
        #[arg(long)]
        cache: Option<Kind>,
    },
    /// Delete entries that have expired, which also happens automatically.
    ClearExpired {
        /// Only of this cache.
        #[arg(long)]
        cache: Option<Kind>,
    },
    /// Make replies ahead of time. Each line is a question that is answered as if it were the first in a call; lines
    /// that begin with `say:` are only spoken; empty lines and those that begin with `#` are ignored.
    Warm {
        /// The questions; - for standard input.
        file: PathBuf,
    },
    /// Enable a cache that was disabled.
    Enable {
        /// The cache to enable.
        cache: Kind,
    },
    /// Disable a cache until the server stops or it is enabled again.
    Disable {
        /// The cache to disable.
        cache: Kind,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Reply,
    Speech,
    Embedding,
    Result,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Speech => "speech",
            Self::Embedding => "embedding",
            Self::Result => "result",
        }
    }
}

pub(super) fn run(arguments: &CacheArguments, config: &Config) -> Result<()> {
    let server = arguments.server.open(config)?;
    runtime()?.block_on(async {
        match &arguments.command {
            Command::Stats { json } => stats(&server, *json).await,
            Command::List { cache, limit, json } => list(&server, *cache, *limit, *json).await,
            Command::Clear { cache } => clear(&server, *cache, false).await,
            Command::ClearExpired { cache } => clear(&server, *cache, true).await,
            Command::Warm { file } => warm(&server, file).await,
            Command::Enable { cache } => switch(&server, *cache, true).await,
            Command::Disable { cache } => switch(&server, *cache, false).await,
        }
    })
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct CacheView {
    cache: String,
    on: bool,
    hits: u64,
    misses: u64,
    hit_rate: Option<f64>,
    saved_s: f64,
    evicted: u64,
    made_ahead: u64,
    used_ahead: u64,
    layers: Vec<LayerView>,
}

#[derive(Deserialize)]
struct Stats {
    data: Vec<CacheView>,
    semantic: Vec<SemanticView>,
}

#[derive(Deserialize)]
struct SemanticView {
    engine: String,
    gives: String,
    hits: u64,
    agreed: u64,
    disagreed: u64,
    audited: u64,
    wrong: u64,
    error_upper_95: f64,
    error_bound: f64,
}

#[derive(Deserialize)]
struct LayerView {
    layer: String,
    entries: u64,
    bytes: u64,
    max_bytes: Option<u64>,
}

async fn stats(server: &Remote, as_json: bool) -> Result<()> {
    let text = server.get("/api/cache", &[]).await?;
    if as_json {
        print(&text);
        return Ok(());
    }
    let page: Stats = serde_json::from_str(&text).context(NOT_UNDERSTOOD)?;
    let header = ["cache", "hits", "misses", "hit rate", "saved", "made ahead", "used", "evicted"];
    let mut rows = table(header, 1..8);
    for one in &page.data {
        let rate = one.hit_rate.map_or_else(|| "-".to_owned(), share);
        let name = if one.on { one.cache.clone() } else { format!("{} (off)", one.cache) };
        let [ahead, used, evicted] = [one.made_ahead, one.used_ahead, one.evicted].map(|n| n.to_string());
        let (hits, misses, saved) = (one.hits.to_string(), one.misses.to_string(), span(one.saved_s));
        rows.add_row([name, hits, misses, rate, saved, ahead, used, evicted]);
    }
    print(&rows.to_string());
    let mut places = table(["cache", "where", "entries", "size", "room"], 2..5);
    for one in &page.data {
        for layer in &one.layers {
            let room = layer.max_bytes.map_or_else(|| "-".to_owned(), size);
            let (entries, bytes) = (layer.entries.to_string(), size(layer.bytes));
            places.add_row([one.cache.clone(), layer.layer.clone(), entries, bytes, room]);
        }
    }
    print(&format!("\n{places}"));
    if !page.semantic.is_empty() {
        print(&format!("\n{}", by_meaning(&page.semantic)));
    }
    Ok(())
}

/// The table about the semantic cache of replies.
fn by_meaning(engines: &[SemanticView]) -> Table {
    let header =
        ["by meaning", "given", "hits", "agreed", "disagreed", "audited", "wrong", "error below", "bound"];
    let mut rows = table(header, 2..9);
    for one in engines {
        let [hits, agreed, disagreed] = [one.hits, one.agreed, one.disagreed].map(|n| n.to_string());
        let (audited, wrong) = (one.audited.to_string(), one.wrong.to_string());
        let error = if one.audited == 0 { "-".to_owned() } else { share(one.error_upper_95) };
        let (engine, gives) = (one.engine.clone(), one.gives.clone());
        rows.add_row([engine, gives, hits, agreed, disagreed, audited, wrong, error, share(one.error_bound)]);
    }
    rows
}

fn share(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[derive(Deserialize)]
struct EntryView {
    cache: String,
    tenant: String,
    label: String,
    bytes: u64,
    made: f64,
    expires: f64,
    cost_s: f64,
    ahead: bool,
}

async fn list(server: &Remote, cache: Option<Kind>, limit: usize, as_json: bool) -> Result<()> {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(cache.map(|cache| ("cache", cache.name().to_owned())));
    let text = server.ask(Method::GET, "/api/cache/entries", &query, None, CLEARED_WITHIN).await?;
    if as_json {
        print(&text);
        return Ok(());
    }
    let page: Page<EntryView> = serde_json::from_str(&text).context(NOT_UNDERSTOOD)?;
    if page.data.is_empty() {
        print("Nothing is kept.");
        return Ok(());
    }
    let now = antiphon_telemetry::unix_time().as_secs_f64();
    let mut rows = table(["cache", "tenant", "size", "age", "left", "took", "what"], 2..6);
    for entry in page.data {
        let (age, left) = (span(now - entry.made), span((entry.expires - now).max(0.0)));
        let ahead = if entry.ahead { " (made ahead)" } else { "" };
        let what = if entry.label.is_empty() { OF_A_PERSON.to_owned() } else { shortened(&entry.label) };
        let what = format!("{what}{ahead}");
        rows.add_row([entry.cache, entry.tenant, size(entry.bytes), age, left, span(entry.cost_s), what]);
    }
    print(&rows.to_string());
    if page.has_more {
        print("There are more: --limit shows up to 1000.");
    }
    Ok(())
}

async fn clear(server: &Remote, cache: Option<Kind>, expired: bool) -> Result<()> {
    let mut query: Vec<_> = cache.iter().map(|cache| ("cache", cache.name().to_owned())).collect();
    query.push(("expired", expired.to_string()));
    let text = server.ask(Method::DELETE, "/api/cache", &query, None, CLEARED_WITHIN).await?;
    let cleared: Value = serde_json::from_str(&text).context(NOT_UNDERSTOOD)?;
    print(&format!("{} entries deleted", cleared["cleared"]));
    let failed: Vec<_> =
        cleared["failed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !failed.is_empty() {
        bail!(
            "not cleared: {}; the server's log says why, and entries there go when they expire",
            failed.join(", ")
        );
    }
    Ok(())
}

async fn switch(server: &Remote, cache: Kind, on: bool) -> Result<()> {
    let path = format!("/api/cache/{}", cache.name());
    server.ask(Method::PATCH, &path, &[], Some(json!({ "on": on })), CLEARED_WITHIN).await?;
    print(&format!("The {} cache is {}.", cache.name(), if on { "on" } else { "off" }));
    Ok(())
}

async fn warm(server: &Remote, file: &Path) -> Result<()> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    let lines: Vec<(usize, &str)> = (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect();
    if lines.is_empty() {
        bail!("{} holds no question", file.display());
    }
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(lines.len() as u64)
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta} left  {wide_msg}")?);
    let mut failed = 0;
    for (number, line) in &lines {
        bar.set_message((*line).to_owned());
        let body = match line.strip_prefix("say:") {
            Some(phrase) => json!({ "phrase": phrase.trim() }),
            None => json!({ "question": line }),
        };
        if let Err(error) = server.ask(Method::POST, "/api/cache/warm", &[], Some(body), WARMED_WITHIN).await
        {
            failed += 1;
            bar.suspend(|| eprintln!("antiphon: {}:{number}: {error:#}", file.display()));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    print(&format!("{} of {} prepared", lines.len() - failed, lines.len()));
    if failed > 0 {
        bail!("{failed} could not be prepared");
    }
    Ok(())
}

fn shortened(label: &str) -> String {
    const MOST: usize = 60;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    label.chars().take(MOST - 1).chain(['…']).collect()
}

/// A span for people: `340 ms`, `12.0 s`, `3 min`, `2.5 h`.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_readable() {
        assert_eq!([0.34, 12.0, 180.0, 9_000.0].map(span), ["340 ms", "12.0 s", "3 min", "2.5 h"]);
    }
}
