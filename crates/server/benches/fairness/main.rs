//! What other people's calls feel of one client: `cargo bench -p antiphon-server --bench fairness
//! [-- TURNS] [--clients 1,10,100] [--load NAME] [--server PROGRAM]`.
//!
//! Four people talk to the server in real time over the talk page's WebSocket, with recorded sentences and embedded models, and
//! each takes a few turns: alone, then beside each kind of load from so many clients. A turn lasts from the last sample of
//! speech until the first audio of the reply; the median of each of its stages, as the server reports them, shows where the time went.
//! Then each load runs without calls, to show that nothing was taken from it where it disturbs nobody. Clients and server share the
//! machine. `--load` takes a part of a load's name and leaves the others out; `--server` measures another build.

mod loads;
#[path = "../support/people.rs"]
mod people;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/speaker.rs"]
mod speaker;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use tokio::task::JoinSet;

use loads::{Load, Material, Outcome};
use people::{CALLS, Turns, talk};
use server::Server;
use speaker::Clip;

/// How many turns each of them takes.
const TURNS: usize = 4;
/// How many clients there are of each load.
const CLIENTS: [usize; 3] = [1, 10, 100];
/// The default configuration, in which all models are embedded, but without caches.
const SETTINGS: &str = "[cache]\nenabled = false\n[telemetry]\nlog = \"error\"\n";
/// The stages of a turn, as the server names them and as they stand in the table.
const STAGES: [(&str, &str); 5] =
    [("end_of_turn", "end"), ("stt", "STT"), ("llm_ttft", "LLM"), ("tts_ttfb", "TTS"), ("overhead", "rest")];
/// Time that a load has to reach its full strength.
const BEGINS: Duration = Duration::from_secs(3);
/// How long a load is measured without calls.
const ALONE: Duration = Duration::from_secs(20);

/// What the command line asks for.
struct Options {
    turns: usize,
    clients: Vec<usize>,
    loads: Vec<Load>,
    program: String,
}

fn main() -> ExitCode {
    match run(&options()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fairness: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let clients = after("--clients").map(|list| list.split(',').filter_map(|n| n.parse().ok()).collect());
    let load = after("--load").unwrap_or_default().to_lowercase();
    Options {
        turns: arguments.first().and_then(|turns| turns.parse().ok()).unwrap_or(TURNS),
        clients: clients.unwrap_or_else(|| CLIENTS.to_vec()),
        loads: Load::ALL.into_iter().filter(|l| l.name().to_lowercase().contains(&load)).collect(),
        program: after("--server").unwrap_or_else(|| env!("CARGO_BIN_EXE_antiphon").to_owned()),
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let clips = Arc::new(Clip::load_all()?);
    let material = Arc::new(Material::of(&clips)?);
    let server = Arc::new(Server::start_program(&options.program, SETTINGS)?);
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let stages = STAGES.map(|(_, title)| title);
    let header = ["beside", "clients", "p50 ms", "p95 ms", "lost"].into_iter().chain(stages);
    table.set_header(header.chain(["served", "refused", "failed"]));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    // The first turns are not counted: they fill the caches of the instructions and of the operating system.
    runtime.block_on(talk(&server, &clips, CALLS, 1));
    for &load in &options.loads {
        // Repeated before each load: how far these rows lie apart is the noise of the others.
        let alone = runtime.block_on(talk(&server, &clips, CALLS, options.turns));
        table.add_row(row("nothing", 0, Some(&alone), &Outcome::default()));
        for &clients in &options.clients {
            let (turns, outcome) = runtime.block_on(async {
                let (clients, outcome) = start(load, clients, &server, &material);
                tokio::time::sleep(BEGINS).await;
                let turns = talk(&server, &clips, CALLS, options.turns).await;
                drop(clients);
                (turns, outcome)
            });
            let row = row(load.name(), clients, Some(&turns), &outcome);
            // Also as it comes, so that what was measured of a run that is broken off is not lost.
            eprintln!("{}", row.join("  "));
            table.add_row(row);
            tell_failures(load, clients, &outcome);
        }
    }
    // No call was seen for a while, as in a server that has none.
    runtime.block_on(async { tokio::time::sleep(ALONE).await });
    for &load in &options.loads {
        let outcome = runtime.block_on(async {
            let (clients, outcome) = start(load, 10, &server, &material);
            tokio::time::sleep(ALONE).await;
            drop(clients);
            outcome
        });
        table.add_row(row(&format!("{}, no calls, {} s", load.name(), ALONE.as_secs()), 10, None, &outcome));
    }
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    {
        println!("{CALLS} calls of {} turns, embedded models\n{table}", options.turns);
    }
    Ok(())
}

/// Starts so many clients, which go on until they are dropped.
fn start(
    load: Load,
    clients: usize,
    server: &Arc<Server>,
    material: &Arc<Material>,
) -> (JoinSet<()>, Arc<Outcome>) {
    let outcome = Arc::<Outcome>::default();
    let mut set = JoinSet::new();
    for _ in 0..clients {
        set.spawn(load.run(server.clone(), material.clone(), outcome.clone()));
    }
    (set, outcome)
}

/// Says on standard error why requests failed.
fn tell_failures(load: Load, clients: usize, outcome: &Outcome) {
    for (reason, count) in outcome.reasons() {
        eprintln!("\n{}, {clients} clients: {count} times {reason}", load.name());
    }
}

fn row(name: &str, clients: usize, turns: Option<&Turns>, outcome: &Outcome) -> Vec<String> {
    let milliseconds =
        |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |time| time.as_millis().to_string());
    let percentile = |share: f64| milliseconds(turns.and_then(|turns| turns.percentile(share)));
    let stage = |name: &str| milliseconds(turns.and_then(|turns| turns.percentile_of_stage(0.5, name)));
    let lost = turns.map_or_else(|| "-".to_owned(), |turns| turns.lost.to_string());
    let counts = [&outcome.served, &outcome.refused, &outcome.failed];
    let counts = counts.map(|count| count.load(Ordering::Relaxed).to_string());
    let turns = [name.to_owned(), clients.to_string(), percentile(0.5), percentile(0.95), lost];
    turns.into_iter().chain(STAGES.map(|(name, _)| stage(name))).chain(counts).collect()
}
