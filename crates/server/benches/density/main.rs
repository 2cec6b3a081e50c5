//! How many calls one small machine holds: `cargo bench -p antiphon-server --bench density [-- CALLS...]`.
//!
//! Starts the server with `sim` language and speech engines and the real voice activity detector, dials it over
//! Twilio Media Streams with real speech, open loop, and prints a line per number of calls. Latency is from the
//! moment the last speech sample was due to be sent until the first reply audio arrives; the floor is the
//! configured silence plus the simulated delays. Client and server share the machine.

mod caller;
#[path = "../support/server.rs"]
mod server;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use caller::{Call, Clip};
use server::Server;

/// How often each caller speaks.
const TURNS: usize = 4;
/// From one turn to the next: the clip (3 s), the silence and the reply (2 s), and a rest.
const TURN_EVERY: Duration = Duration::from_secs(8);

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
    let clip = Arc::new(Clip::load()?);
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
        "late ms",
    ]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for &calls in levels {
        // A fresh server for each line, so that memory is comparable.
        let server = Server::start(&settings::settings())?;
        table.add_row(runtime.block_on(level(&server, &clip, calls))?);
        eprintln!("{calls} calls done");
    }
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    {
        println!("floor: {} ms (silence {} + simulated engines)", settings::FLOOR_MS, settings::SILENCE_MS);
        println!("{table}");
    }
    Ok(())
}

async fn level(server: &Server, clip: &Arc<Clip>, calls: usize) -> anyhow::Result<Vec<String>> {
    let before = server.usage()?;
    let start = tokio::time::Instant::now() + Duration::from_secs(1);
    let mut running = tokio::task::JoinSet::new();
    for n in 0..calls {
        // Spread over one turn, so that no two callers speak in step.
        let at = start + TURN_EVERY.mul_f64(n as f64 / calls as f64);
        running.spawn(
            Call::new(server.socket("/telephony/twilio/media"), clip.clone(), at).run(TURNS, TURN_EVERY),
        );
    }
    // All calls are up after the first turn; measured until the first hangs up.
    tokio::time::sleep_until(start + TURN_EVERY).await;
    let full = server.usage()?;
    let span = TURN_EVERY * (TURNS as u32 - 1);
    tokio::time::sleep(span).await;
    let after = server.usage()?;
    let mut latencies = Vec::new();
    let (mut errors, mut late) = (0, Duration::ZERO);
    while let Some(done) = running.join_next().await {
        match done? {
            Ok(outcome) => {
                errors += outcome.missed;
                late = late.max(outcome.late);
                latencies.extend(outcome.latencies);
            }
            Err(error) => {
                eprintln!("call failed: {error:#}");
                errors += TURNS;
            }
        }
    }
    latencies.sort();
    let percentile = |p: f64| {
        let at = ((latencies.len() as f64 * p).ceil() as usize).saturating_sub(1);
        latencies.get(at).map_or(f64::NAN, |l| l.as_secs_f64() * 1_000.0)
    };
    let cpu = after.cpu.saturating_sub(full.cpu).as_secs_f64() * 1_000.0 / span.as_secs_f64() / calls as f64;
    let memory = (after.resident.saturating_sub(before.resident)) as f64 / 1_024.0 / calls as f64;
    Ok(vec![
        calls.to_string(),
        latencies.len().to_string(),
        format!("{:.0}", percentile(0.5)),
        format!("{:.0}", percentile(0.95)),
        format!("{:.0}", percentile(0.99)),
        format!("{:+.0}", percentile(0.95) - settings::FLOOR_MS as f64),
        format!("{cpu:.2}"),
        format!("{memory:.0}"),
        errors.to_string(),
        late.as_millis().to_string(),
    ])
}
