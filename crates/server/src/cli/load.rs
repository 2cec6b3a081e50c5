//! `antiphon load`: loads a server with simulated calls and reports how it held.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon_audio::{FileFormat, encode_file};
use antiphon_core::{AudioChunk, Requester, SpeechRequest};
use antiphon_lab::load::{
    self, Figures, Plan, Report, SPEECH_SHARE, ServerUsage, Speech, Target, Window, html,
};
use antiphon_stack::config::Config;
use antiphon_stack::{self as stack, machine};
use antiphon_telemetry::Store;
use anyhow::{Context, Result, bail};
use futures_util::TryStreamExt;
use reqwest::Url;

use super::print;
use super::table::table;
use crate::capacity::{self, Capacity};
use crate::logging::start_logging;

/// What callers say when no recordings are given: questions of different lengths.
const QUESTIONS: [&str; 4] = [
    "What is the status of my order?",
    "Could you please tell me when the next train to the airport leaves?",
    "I would like to change my address.",
    "Do you have a table for two people tomorrow evening at eight o'clock?",
];
/// Calls of a sustained load when none are given.
const SUSTAINED_CALLS: usize = 100;
/// Share of late frames above which the report says that the load generator is the bottleneck: then the 99th percentile of its
/// lateness is over a frame.
const LATE_SHARE: f64 = 0.01;
/// How often the server is asked for its use of CPU and memory.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Load the running server, or any other, with calls that really speak.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  antiphon load sustained --calls 100 --duration 3600 --out sustained.json\n  \
    antiphon load spike --calls 10 --to 500 --ramp 60 --duration 300\n  antiphon load stress --step 50 --save\n  \
    antiphon load sustained --url wss://voice.example.com/telephony/twilio/media --calls 20 --rate 2"
)]
pub(super) struct LoadArguments {
    /// How the load goes on.
    #[command(subcommand)]
    shape: Shape,
}

#[derive(clap::Subcommand)]
enum Shape {
    /// Hold the same number of calls all the time.
    Sustained(Common),
    /// Raise the number of calls steeply, hold it, and return to the number before.
    Spike(Spike),
    /// Add calls step by step until the server breaks, then hold few until all is well again.
    Stress(Stress),
}

#[derive(clap::Args)]
struct Common {
    /// The server's socket: Twilio Media Streams, or OpenAI Realtime when it ends with /v1/realtime. When missing:
    /// the Twilio socket of the running server.
    #[arg(long, value_name = "WS")]
    url: Option<String>,
    /// Calls at a time. For a spike: before the spike. For a stress test: at the beginning.
    #[arg(long, value_name = "N")]
    calls: Option<usize>,
    /// Questions per second, of all calls together. When missing: as many as make each caller speak 38.5 % of the time, as people
    /// do on the telephone (ITU-T P.59).
    #[arg(long, value_name = "R")]
    rate: Option<f64>,
    /// How long the load lasts. For a spike: how long it is held. For a stress test: how long each step is held.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// A key of the server; the first of [server] api_keys when missing.
    #[arg(long, value_name = "KEY", env = "ANTIPHON_LOAD_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Recordings of questions; the configured voice asks when there are none.
    #[arg(long, value_name = "AUDIO", num_args = 1..)]
    speech: Vec<PathBuf>,
    /// Share of the replies that are interrupted, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    interruptions: f64,
    /// A level is broken when the 95th percentile of turn latency is over this.
    #[arg(long, value_name = "MS", default_value_t = 2_000.0)]
    limit_ms: f64,
    /// Write the report to a file: JSON, and beside it the same as a page with plots.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Spike {
    #[command(flatten)]
    common: Common,
    /// Calls at the top of the spike.
    #[arg(long, value_name = "N", default_value_t = 500)]
    to: usize,
    /// How long the rise to the spike takes.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    ramp: f64,
}

#[derive(clap::Args)]
struct Stress {
    #[command(flatten)]
    common: Common,
    /// How many calls more each step has.
    #[arg(long, value_name = "N", default_value_t = 50)]
    step: usize,
    /// Calls in the last step.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    max: usize,
    /// Save how many calls this machine holds. The server then admits no more, unless [server.limits] max_calls
    /// says otherwise.
    #[arg(long)]
    save: bool,
}

pub(super) fn run(arguments: &LoadArguments, config: &Config) -> Result<()> {
    start_logging(config, Some("error"))?;
    let (common, save) = match &arguments.shape {
        Shape::Sustained(common) => (common, false),
        Shape::Spike(spike) => (&spike.common, false),
        Shape::Stress(stress) => (&stress.common, stress.save),
    };
    if save && common.url.is_some() {
        bail!("--save keeps what this machine's own server holds: leave out --url");
    }
    let speech = Arc::new(speech(common, config)?);
    let plan = plan(&arguments.shape, speech.period_s(SPEECH_SHARE))?;
    // A single thread, because a load generator that fills all cores measures itself.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let key = common.key.clone();
        let key = key.or_else(|| config.server.api_keys.first().map(|key| key.reveal().to_owned()));
        let url = common.url.clone().unwrap_or_else(|| own_socket(config));
        let usage = usage(&url, key.as_deref()).await;
        let target = Target::new(url, key);
        let shown = std::io::stderr().is_terminal();
        let report = load::run(target, plan, speech, usage, |window| {
            if shown {
                eprint!("\r{}", progress(window));
            }
        })
        .await?;
        if shown {
            eprintln!();
        }
        anyhow::Ok(report)
    })?;
    let report = Report { machine: machine::describe(), commit: machine::commit().to_owned(), ..report };
    if let Some(out) = &common.out {
        let written = |file: &PathBuf, text: String| {
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        written(out, serde_json::to_string_pretty(&report)? + "\n")?;
        written(&out.with_extension("html"), html(&report))?;
    }
    print(&if common.json { serde_json::to_string(&report)? } else { figures(&report) });
    if save {
        runtime.block_on(keep(config, &report))?;
    }
    Ok(())
}

/// The plan that was asked for. `usual_s` is the time from one question of a caller to its next if no rate was given.
fn plan(shape: &Shape, usual_s: f64) -> Result<Plan> {
    let seconds = |given: Option<f64>, usual: f64| {
        Duration::try_from_secs_f64(given.unwrap_or(usual))
            .context("a duration is not a number of seconds from 0")
    };
    let (plan, common) = match shape {
        Shape::Sustained(common) => {
            let calls = common.calls.unwrap_or(SUSTAINED_CALLS);
            let period_s = period_s(common, Some(SUSTAINED_CALLS), usual_s)?;
            (Plan::sustained(calls, period_s, seconds(common.duration, 300.0)?), common)
        }
        Shape::Spike(Spike { common, to, ramp }) => {
            let ramp = seconds(Some(*ramp), 60.0)?;
            let (calls, hold) = (common.calls.unwrap_or(10), seconds(common.duration, 300.0)?);
            (Plan::spike(calls, *to, ramp, hold, period_s(common, None, usual_s)?), common)
        }
        Shape::Stress(Stress { common, step, max, .. }) => {
            let start = common.calls.unwrap_or(*step);
            let hold = seconds(common.duration, 30.0)?;
            (Plan::stress(start, *step, hold, *max, period_s(common, None, usual_s)?), common)
        }
    };
    Ok(Plan { interruptions: common.interruptions, limit_ms: common.limit_ms, ..plan })
}

/// The time from one question of a caller to its next: as the rate says, or `usual_s`. `calls` stands in where no number of calls is
/// given.
fn period_s(common: &Common, calls: Option<usize>, usual_s: f64) -> Result<f64> {
    let Some(rate) = common.rate else { return Ok(usual_s) };
    let calls = common.calls.or(calls).context("--rate is of all calls together: give --calls too")?;
    Ok(calls as f64 / rate)
}

fn own_socket(config: &Config) -> String {
    let scheme = if config.server.tls.is_some() { "wss" } else { "ws" };
    format!("{scheme}://{}/telephony/twilio/media", config.server.listen)
}

fn speech(common: &Common, config: &Config) -> Result<Speech> {
    let files: Vec<Vec<u8>> = if common.speech.is_empty() {
        spoken(config).context(
            "no recordings were given (--speech), and the default voice that would ask cannot be loaded",
        )?
    } else {
        let read =
            |file: &PathBuf| std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        common.speech.iter().map(read).collect::<Result<_>>()?
    };
    Ok(Speech::new(&files)?)
}

/// The questions, spoken by the default voice.
fn spoken(config: &Config) -> Result<Vec<Vec<u8>>> {
    let (voice, pool) = stack::default_voice(config)?;
    let runtime = super::runtime()?;
    let say = |question: &&str| {
        let chunks: Vec<AudioChunk> =
            runtime.block_on(voice.speak(SpeechRequest::new(Requester::local(), *question)).try_collect())?;
        let rate = chunks.first().context("the voice says nothing")?.rate;
        let samples: Vec<i16> = chunks.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect();
        Ok(encode_file(FileFormat::Wav, &AudioChunk::new(rate, samples))?)
    };
    let said = QUESTIONS.iter().map(say).collect();
    drop(voice);
    drop(pool);
    said
}

/// Asks the server in the background, at intervals, what it uses; `None` if it does not report that.
async fn usage(socket: &str, key: Option<&str>) -> impl Fn() -> Option<ServerUsage> + use<> {
    let latest = Arc::new(Mutex::new(None));
    let url = Url::parse(&socket.replacen("ws", "http", 1)).and_then(|url| url.join("/metrics")).ok();
    // An error means that another provider is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(ASK_EVERY).build().ok();
    if let Some((url, client)) = url.zip(client) {
        let (told, key) = (Arc::downgrade(&latest), key.map(str::to_owned));
        let ask = async move || {
            let get = client.get(url.clone());
            let get = if let Some(key) = &key { get.bearer_auth(key) } else { get };
            used(&get.send().await.ok()?.text().await.ok()?)
        };
        // The use before the test is the baseline for the calls.
        *latest.lock().unwrap_or_else(PoisonError::into_inner) = ask().await;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(ASK_EVERY).await;
                let answer = ask().await;
                let Some(told) = told.upgrade() else { return };
                *told.lock().unwrap_or_else(PoisonError::into_inner) = answer;
            }
        });
    }
    move || *latest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the metrics whose names all Prometheus client libraries share.
fn used(metrics: &str) -> Option<ServerUsage> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let values: HashMap<&str, f64> = lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(k, v)| Some((k, v.parse().ok()?)))
        .collect();
    Some(ServerUsage {
        cpu_s: *values.get("process_cpu_seconds_total")?,
        resident_bytes: *values.get("process_resident_memory_bytes")? as u64,
    })
}

fn progress(window: &Window) -> String {
    let Figures { answered, latency, .. } = &window.figures;
    format!(
        "{:5.0} s  {:5} calls  {:5} answers  p50 {:6.0} ms  p95 {:6.0} ms  errors {:5.2} %   ",
        window.time_s,
        window.calls_up,
        answered,
        latency.p50_ms,
        latency.p95_ms,
        window.figures.error_share() * 100.0
    )
}

fn figures(report: &Report) -> String {
    let mut table = table(
        [
            "CALLS",
            "TURNS",
            "P50 MS",
            "P95 MS",
            "P99 MS",
            "ERRORS",
            "MISSED",
            "BUSY",
            "GAPS",
            "CALLERS SPEAK",
            "AGENT SPEAKS",
            "CPU MS/CALL-S",
            "KIB/CALL",
            "LATE FRAMES",
            "LATE P99 MS",
            "",
        ],
        0..15,
    );
    let all =
        (report.plan.phases.iter().map(|phase| phase.to).max().unwrap_or_default(), &report.totals, "all");
    let levels = report
        .levels
        .iter()
        .map(|level| (level.calls, &level.figures, if level.broken { "BROKEN" } else { "" }));
    for (calls, figures, mark) in levels.chain([all]) {
        let server = figures.server.as_ref();
        let optional =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        table.add_row([
            calls.to_string(),
            figures.turns.to_string(),
            format!("{:.0}", figures.latency.p50_ms),
            format!("{:.0}", figures.latency.p95_ms),
            format!("{:.0}", figures.latency.p99_ms),
            format!("{:.2} %", figures.error_share() * 100.0),
            figures.missed.to_string(),
            figures.busy.to_string(),
            figures.gaps.count.to_string(),
            percent(figures.caller_speech_share),
            percent(figures.agent_speech_share),
            optional(server.and_then(|server| server.cpu_ms_per_call_second)),
            optional(server.and_then(|server| server.bytes_per_call).map(|bytes| bytes / 1_024.0)),
            figures.frames_late.to_string(),
            format!("{:.1}", figures.lateness.p99_ms),
            mark.to_owned(),
        ]);
    }
    let mut lines = vec![table.to_string(), conversation(report)];
    lines.extend(report.capacity.map(|calls| format!("holds {calls} calls")));
    lines.extend(report.breaking_point.map(|calls| format!("breaks at {calls} calls")));
    lines.extend(report.recovery_s.map(|seconds| format!("well again after {seconds:.1} s")));
    lines.extend(report.first_failure.as_ref().map(|failure| format!("the first failure: {failure}")));
    lines.extend(report.levels.iter().find(|level| level.figures.late_share() > LATE_SHARE).map(|level| {
        format!(
            "from {} calls on the load generator measures itself: {} of its frames were late; run it on another machine",
            level.calls,
            percent(level.figures.late_share())
        )
    }));
    lines.join("\n")
}

/// How the callers and the agent spoke, in one line. It is of the whole test, with the times in which calls begin and end.
fn conversation(report: &Report) -> String {
    let Figures { caller_speech_share, agent_speech_share, question_mean_s, reply_mean_s, .. } =
        report.totals;
    format!(
        "in the whole test callers spoke {} of the time ({} wanted), {question_mean_s:.1} s a question; the agent {}, {reply_mean_s:.1} s a reply",
        percent(caller_speech_share),
        percent(report.speech_share_wanted),
        percent(agent_speech_share),
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

async fn keep(config: &Config, report: &Report) -> Result<()> {
    let Some(calls) = report.capacity else {
        bail!("nothing to keep: the first level was broken already; begin with fewer --calls");
    };
    let level = report.levels.iter().find(|level| level.calls == calls && !level.broken);
    let p95_ms = level.map_or(report.totals.latency.p95_ms, |level| level.figures.latency.p95_ms);
    let store = Store::open(&config.data_dir()?).await?;
    let found = Capacity { calls, p95_ms, commit: machine::commit().to_owned() };
    capacity::keep(&store, &stack::engine_names(config), &found).await?;
    eprintln!("kept: the server lets in {calls} calls from its next start on");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(calls: Option<usize>, rate: Option<f64>) -> Common {
        Common {
            url: None,
            calls,
            rate,
            duration: Some(60.0),
            key: None,
            speech: Vec::new(),
            interruptions: 0.0,
            limit_ms: 2_000.0,
            out: None,
            json: false,
        }
    }

    #[test]
    fn callers_ask_as_often_as_people_speak_unless_a_rate_is_given() {
        let sustained =
            |calls, rate| plan(&Shape::Sustained(common(calls, rate)), 7.5).map(|plan| plan.period_s);
        assert_eq!(sustained(Some(20), None).expect("a plan"), 7.5);
        assert_eq!(sustained(Some(20), Some(2.0)).expect("a plan"), 10.0);
        assert_eq!(sustained(None, Some(10.0)).expect("a plan"), 10.0);
        let stress = |calls, rate| {
            let stress = Stress { common: common(calls, rate), step: 50, max: 100, save: false };
            plan(&Shape::Stress(stress), 7.5).map(|plan| plan.period_s)
        };
        assert_eq!(stress(None, None).expect("a plan"), 7.5);
        assert_eq!(stress(Some(50), Some(10.0)).expect("a plan"), 5.0);
        let error = stress(None, Some(10.0)).expect_err("of how many calls?");
        assert!(error.to_string().contains("--calls"), "{error}");
    }

    #[test]
    fn what_the_server_uses_is_found_among_its_metrics() {
        let text = "# HELP process_cpu_seconds x\nprocess_cpu_seconds_total 12.5\nprocess_resident_memory_bytes 1048576\n";
        assert_eq!(used(text), Some(ServerUsage { cpu_s: 12.5, resident_bytes: 1 << 20 }));
        assert_eq!(used("nothing"), None);
    }
}
