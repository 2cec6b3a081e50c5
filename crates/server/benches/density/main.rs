//! How many calls one small machine holds: `cargo bench -p antiphon-server --bench density [-- CALLS...]`.
//!
//! Starts a fresh server for each number of calls, with `sim` language and speech engines and the real voice activity
//! detector, and loads it over Twilio Media Streams with real speech: `antiphon load` at fixed levels. Callers speak
//! 38.5 % of the time (ITU-T P.59), and replies are 2 s long. Latency is from the moment the last speech sample was due
//! to be sent until the first reply audio arrives; the floor is the configured silence plus the simulated delays.
//! Client and server share the machine.

#[path = "../support/server.rs"]
mod server;
#[path = "../support/simulated.rs"]
mod simulated;

use std::cell::Cell;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use antiphon_lab::load::{self, Figures, Plan, SPEECH_SHARE, ServerUsage, Speech, Target};
use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};

use server::Server;

/// How long each level lasts.
const HELD: Duration = Duration::from_secs(24);
/// More calls than any level has.
const LIMITS: &str = "[server.limits]\nmax_calls = 5000\n[telemetry]\nlog = \"warn\"\n";

fn main() -> ExitCode {
    let calls: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let calls = if calls.is_empty() { vec![1, 10, 50, 100, 200] } else { calls };
    match run(&calls) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("density: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(levels: &[usize]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let path = antiphon_testkit::testdata("read_speech/spk1_snt1.wav");
    let speech = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let speech = Arc::new(Speech::new(&[speech])?);
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "calls",
        "turns",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "p95 over floor",
        "CPU ms/call-s",
        "KB/call",
        "errors",
        "gaps",
        "callers speak %",
        "agent speaks %",
        "reply s",
        "late frames",
        "late p99 ms",
    ]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for &calls in levels {
        // Each level gets a new server, so that its use of memory can be compared.
        let server = Server::start(&format!("{}{LIMITS}", simulated::settings()))?;
        table.add_row(runtime.block_on(level(&server, speech.clone(), calls))?);
        eprintln!("{calls} calls done");
    }
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    {
        println!("floor: {} ms (silence {} + simulated engines)", simulated::FLOOR_MS, simulated::SILENCE_MS);
        println!("{table}");
    }
    Ok(())
}

async fn level(server: &Server, speech: Arc<Speech>, calls: usize) -> anyhow::Result<Vec<String>> {
    let plan = Plan::sustained(calls, speech.period_s(SPEECH_SHARE), HELD);
    let target = Target::new(server.socket("/telephony/twilio/media"), None);
    let failed = Cell::new(None);
    let usage = || match server.usage() {
        Ok(usage) => Some(ServerUsage { cpu_s: usage.cpu.as_secs_f64(), resident_bytes: usage.resident }),
        Err(error) => {
            failed.set(Some(error));
            None
        }
    };
    let report = load::run(target, plan, speech, usage, |_| {}).await?;
    if let Some(error) = failed.take() {
        return Err(error);
    }
    let held = report.levels.first().context("the level was not reached")?;
    let Figures {
        turns,
        latency,
        lateness,
        server,
        gaps,
        caller_speech_share,
        agent_speech_share,
        reply_mean_s,
        frames_late,
        ..
    } = &held.figures;
    let used = server.context("the server's use is not known")?;
    Ok(vec![
        calls.to_string(),
        turns.to_string(),
        format!("{:.0}", latency.p50_ms),
        format!("{:.0}", latency.p95_ms),
        format!("{:.0}", latency.p99_ms),
        format!("{:+.0}", latency.p95_ms - simulated::FLOOR_MS as f64),
        format!("{:.2}", used.cpu_ms_per_call_second.unwrap_or(f64::NAN)),
        format!("{:.0}", used.bytes_per_call.unwrap_or(f64::NAN) / 1_024.0),
        format!("{}", held.figures.missed + held.figures.failed()),
        gaps.count.to_string(),
        format!("{:.1}", caller_speech_share * 100.0),
        format!("{:.1}", agent_speech_share * 100.0),
        format!("{reply_mean_s:.1}"),
        frames_late.to_string(),
        format!("{:.1}", lateness.p99_ms),
    ])
}
