//! What strangers can do to the calls of others: `make attack`, or `cargo bench -p antiphon-server --bench attack
//! [-- NAME] [--server PROGRAM]`.
//!
//! Each attack runs against a server of its own on this machine while four people talk to it. Its line tells the worst that
//! happened to one of them, how much memory the server came to hold, and what the attacker was told. `--server` measures another
//! build of the server. Everything is bounded: an attack lasts as long as the people's turns, and at most a minute.

mod attacks;
#[path = "../support/people.rs"]
mod people;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/speaker.rs"]
mod speaker;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use tokio::time::timeout;

use attacks::{Attack, Engines};
use people::{Turns, talk};
use server::Server;
use speaker::Clip;

/// Turns that each person takes beside an attack.
const TURNS: usize = 2;
/// The longest time that an attack goes on.
const LONGEST: Duration = Duration::from_mins(1);
/// All models are embedded.
const EMBEDDED: &str = "[cache]\nenabled = false\n[telemetry]\nlog = \"error\"\n";
/// Simulated engines, so that what memory is used for is not models.
const SIMULATED: &str = r#"
[turn]
engine = "silence"
[stt]
engine = "sim"
text = "What is the status of my order?"
[llm]
engine = "sim"
tokens = 20
text = "Your order has been shipped and will arrive on Thursday before noon."
[tts]
engine = "sim"
audio_ms = 2000
realtime = true
[embed]
engine = "sim"
[cache]
enabled = false
[telemetry]
log = "error"
"#;

/// What happened beside an attack.
struct Measured {
    turns: Turns,
    /// The most memory above what the server held before, in bytes; `None` when the server had died.
    grown: Option<u64>,
    /// What the attacker was told.
    told: String,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let program = arguments.iter().position(|argument| argument == "--server");
    let program = program.and_then(|at| arguments.get(at + 1).cloned());
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_antiphon").to_owned());
    let only = arguments.first().filter(|name| !name.starts_with("--"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let clips = Arc::new(Clip::load_all()?);
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["attack", "worst wait ms", "turns lost", "memory MB", "the attacker"]);
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for attack in
        Attack::ALL.iter().filter(|attack| only.is_none_or(|only| attack.name().contains(only.as_str())))
    {
        eprint!(".");
        let settings = if attack.engines() == Engines::Embedded { EMBEDDED } else { SIMULATED };
        let server = Arc::new(Server::start_program(&program, settings)?);
        let measured = runtime.block_on(measure(*attack, &server, &clips))?;
        table.add_row(row(*attack, &measured));
    }
    eprintln!();
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    {
        println!("{table}");
    }
    Ok(())
}

/// Lets people talk once, then beside the attack.
async fn measure(attack: Attack, server: &Arc<Server>, clips: &Arc<Vec<Clip>>) -> anyhow::Result<Measured> {
    // The first turns fill the caches of the instructions and of the operating system.
    talk(server, clips, 1).await;
    let before = server.usage()?.resident;
    let attacking = {
        let server = server.clone();
        tokio::spawn(async move { timeout(LONGEST, attack.run(&server)).await })
    };
    let turns = talk(server, clips, TURNS).await;
    let told = match attacking.await? {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => format!("failed: {error:#}"),
        Err(_) => "was still at it after a minute".to_owned(),
    };
    let grown = server.usage().ok().map(|usage| usage.peak.saturating_sub(before));
    Ok(Measured { turns, grown, told })
}

fn row(attack: Attack, measured: &Measured) -> [String; 5] {
    let worst = measured.turns.percentile(1.0);
    [
        attack.name().to_owned(),
        worst.map_or_else(|| "-".to_owned(), |wait| wait.as_millis().to_string()),
        measured.turns.lost.to_string(),
        measured.grown.map_or_else(|| "died".to_owned(), |bytes| (bytes / 1_000_000).to_string()),
        measured.told.clone(),
    ]
}
