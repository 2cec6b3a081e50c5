//! What strangers, bad luck and ordinary clients can do to callers: `make attack`, or `cargo bench -p antiphon-server --bench
//! attack [-- SECTION | NAME] [--server PROGRAM]`.
//!
//! There are three sections. In A, people talk to the server while a stranger asks too much of it; in B, strangers want to
//! know what one person told or to be taken for another; in C, the language model misbehaves while four people talk. Each attack
//! runs against a server of its own on this machine, and its line tells the worst that happened to a caller. A section is chosen by
//! its letter, an attack by a part of its name. `--server` attacks another build of the server. Everything is bounded: an attack
//! lasts as long as the people's turns, and at most two minutes.

mod bytes;
mod client;
mod dead_air;
#[path = "../support/people.rs"]
mod people;
mod phone;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/simulated.rs"]
mod simulated;
#[path = "../support/speaker.rs"]
mod speaker;
mod trust;
mod upstream;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use bytes::Overload;
use dead_air::DeadAir;
use speaker::Clip;
use trust::Intrusion;

/// The letters of the sections.
const SECTIONS: [&str; 3] = [Overload::SECTION, Intrusion::SECTION, DeadAir::SECTION];
/// The longest time that an attack and what is measured beside it go on.
const LONGEST: Duration = Duration::from_mins(2);

/// The attacks of a section.
trait Attack: Copy + 'static {
    /// The letter by which the section is chosen.
    const SECTION: &'static str;
    const TITLE: &'static str;
    const HEADER: &'static [&'static str];
    const ALL: &'static [Self];

    fn name(self) -> &'static str;

    /// Starts a server and attacks it. Returns what stands in the table behind the name.
    async fn row(self, bench: &Bench) -> anyhow::Result<Vec<String>>;
}

/// What all attacks need.
struct Bench {
    /// The build of the server that is attacked.
    program: String,
    /// What people say.
    clips: Arc<Vec<Clip>>,
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
    let chosen = arguments.first().filter(|name| !name.starts_with("--")).map(String::as_str);
    let bench = Bench { program, clips: Arc::new(Clip::load_all()?) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    section::<Overload>(&runtime, &bench, chosen);
    section::<Intrusion>(&runtime, &bench, chosen);
    section::<DeadAir>(&runtime, &bench, chosen);
    Ok(())
}

/// Runs the chosen attacks of a section, and prints their table.
fn section<A: Attack>(runtime: &Runtime, bench: &Bench, chosen: Option<&str>) {
    let is_chosen = |attack: &A| match chosen {
        None => true,
        Some(letter) if SECTIONS.contains(&letter) => letter == A::SECTION,
        Some(name) => attack.name().contains(name),
    };
    let attacks: Vec<A> = A::ALL.iter().copied().filter(is_chosen).collect();
    if attacks.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(A::HEADER);
    // All columns but the first and the last hold figures.
    for column in table.column_iter_mut().skip(1).take(A::HEADER.len() - 2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for attack in attacks {
        eprint!(".");
        table.add_row(runtime.block_on(row(attack, bench)));
    }
    eprintln!();
    #[expect(clippy::print_stdout, reason = "the tables are what this program is for")]
    {
        println!("{}: {}\n{table}", A::SECTION, A::TITLE);
    }
}

/// The line of an attack. A server that does not start ends no other attack.
async fn row<A: Attack>(attack: A, bench: &Bench) -> Vec<String> {
    let happened = timeout(LONGEST, attack.row(bench)).await;
    let happened = happened.unwrap_or_else(|_| Err(anyhow::anyhow!("it was not over after two minutes")));
    let happened = happened.unwrap_or_else(|error| {
        let mut figures = vec!["-".to_owned(); A::HEADER.len() - 2];
        figures.push(format!("failed: {error:#}"));
        figures
    });
    [vec![attack.name().to_owned()], happened].concat()
}

/// A time as it stands in a table; a dash if there is none.
fn milliseconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.as_millis().to_string())
}
