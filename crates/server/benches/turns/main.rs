//! When the server takes a turn for over: `cargo bench -p antiphon-server --bench turns
//! [-- --server PROGRAM] [--telephone] [--row NAME] [--group NAME] [--at-once 4]`.
//!
//! People pause within their turns. A server that answers in such a pause cuts them off; one that waits longer is slower. So each row has
//! both, as eot-bench defines them: the share of turns that were taken for over in a pause after which the speaker went on, and the time
//! from the true end of the others until they were taken for over. Turns are played in real time over the talk page's WebSocket, to embedded
//! recognition, voice activity detection and turn detection; the language model and the voice are simulated. `--telephone` plays them as
//! they come out of a telephone; `--server` measures another build. Shares stand with their 95 % intervals (Wilson 1927).

mod over;
mod play;
#[path = "../support/server.rs"]
mod server;
mod sounds;
mod stimuli;
mod train;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use antiphon_stack::{self as stack, config};
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};

use over::Reaction;
use play::Ended;
use server::Server;
use sounds::Kind;
use stimuli::{Group, Stimulus};

/// What is no matter of turns is simulated, or off.
const BESIDE: &str = r#"
[embed]
engine = "sim"
[emotion]
engine = "off"
[cache]
enabled = false
[telemetry]
log = "error"
"#;
/// A language model and a voice that answer at once.
const SETTINGS: &str = r#"
[llm]
engine = "sim"
first_token_ms = 10
tokens = 3
text = "All right then."
[tts]
engine = "sim"
audio_ms = 200
"#;

/// An agent that speaks for half a minute with its real voice.
const SPEAKS: &str = r#"
[llm]
engine = "sim"
first_token_ms = 10
token_ms = 1
tokens = 75
text = "The library opens at nine in the morning and closes at six in the evening. On Saturdays it closes at noon, and on Sundays it stays closed all day. You can borrow up to five books at a time, and keep each of them for four weeks. If you need a book for longer, please call us before the time is over. There is a reading room on the second floor, where you may work as long as you like."
"#;

/// What is measured: a name, and the `[turn]` settings. A build that does not know a setting leaves its row out.
const ROWS: [(&str, &str); 8] = [
    ("as it ships", ""),
    ("patience low", "patience = \"low\""),
    ("patience high", "patience = \"high\""),
    ("silence 400 ms", "engine = \"silence\"\nsilence_ms = 400"),
    ("silence 600 ms", "engine = \"silence\"\nsilence_ms = 600"),
    ("silence 800 ms", "engine = \"silence\"\nsilence_ms = 800"),
    ("silence 1000 ms", "engine = \"silence\"\nsilence_ms = 1000"),
    ("silence 1500 ms", "engine = \"silence\"\nsilence_ms = 1500"),
];
/// How many people speak at once: as many as two cores hold without a delay.
const AT_ONCE: usize = 4;

/// What the command line asks for.
struct Options {
    program: String,
    telephone: bool,
    row: String,
    group: String,
    at_once: usize,
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    Options {
        program: after("--server").unwrap_or_else(|| env!("CARGO_BIN_EXE_antiphon").to_owned()),
        telephone: arguments.iter().any(|argument| argument == "--telephone"),
        row: after("--row").unwrap_or_default(),
        group: after("--group").unwrap_or_default(),
        at_once: after("--at-once").and_then(|n| n.parse().ok()).unwrap_or(AT_ONCE),
    }
}

fn main() -> ExitCode {
    match run(&options()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("turns: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let has = |word: &str| std::env::args().any(|argument| argument == word);
    if has("train") {
        return train::run(&runtime, options.telephone, has("-v"));
    }
    if has("over") {
        return speak_over(&runtime, options);
    }
    let stimuli = Arc::new(turns(&runtime, options)?);
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "turns", "n", "cut off", "95 %", "wait mean ms", "p50", "p95", "never"]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (name, settings) in ROWS.into_iter().filter(|(name, _)| name.contains(&options.row)) {
        let settings = format!("[turn]\n{settings}\n{SETTINGS}{BESIDE}");
        let Ok(server) = Server::start_program(&options.program, &settings) else {
            eprintln!("{name}: unknown to this build");
            continue;
        };
        let ended = runtime.block_on(play::play(&Arc::new(server), &stimuli, options.at_once));
        for group in Group::ALL {
            let of_group: Vec<Ended> =
                ended.iter().filter(|(g, _)| *g == group).map(|(_, end)| *end).collect();
            add(&mut table, name, group.name(), &of_group);
        }
        let with_pauses: Vec<Ended> =
            ended.iter().filter(|(g, _)| *g != Group::Short).map(|(_, end)| *end).collect();
        add(&mut table, name, "all with pauses", &with_pauses);
    }
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    {
        println!("{table}");
    }
    Ok(())
}

/// What the agent does when something is heard while it speaks.
fn speak_over(runtime: &tokio::runtime::Runtime, options: &Options) -> Result<()> {
    let stack = stack::build(&config::load(None, None)?.config, &stack::BuildContext::default())?;
    let mut sounds = runtime.block_on(sounds::all(stack.engines.tts.as_ref()))?;
    drop(stack);
    sounds.retain(|sound| sound.kind.name().contains(&options.group));
    let server = Arc::new(Server::start_program(&options.program, &format!("{SPEAKS}{BESIDE}"))?);
    let reactions = runtime.block_on(over::play(&server, &Arc::new(sounds), options.at_once));
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "heard over the agent",
        "n",
        "stopped",
        "95 %",
        "p50 ms",
        "p95 ms",
        "stops",
        "given up",
        "taken for a turn",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for kind in Kind::ALL {
        let of_kind: Vec<Reaction> =
            reactions.iter().filter(|(k, _)| *k == kind).map(|(_, reaction)| *reaction).collect();
        if of_kind.is_empty() {
            continue;
        }
        let count = |is: fn(&Reaction) -> bool| of_kind.iter().filter(|reaction| is(reaction)).count();
        let mut delays: Vec<Duration> = of_kind.iter().filter_map(|reaction| reaction.stopped).collect();
        delays.sort();
        let at = |share: f64| {
            let at = ((delays.len() as f64 * share).ceil() as usize).saturating_sub(1);
            delays.get(at).map_or("-".to_owned(), |delay| delay.as_millis().to_string())
        };
        let stopped = delays.len();
        let (low, high) = interval(stopped, of_kind.len());
        let wanted = if kind.stops() { "" } else { " (no)" };
        table.add_row([
            format!("{kind}{wanted}"),
            of_kind.len().to_string(),
            format!("{:.0} %", 100.0 * stopped as f64 / of_kind.len() as f64),
            format!("{:.0}-{:.0}", 100.0 * low, 100.0 * high),
            at(0.5),
            at(0.95),
            of_kind.iter().map(|reaction| reaction.stops).sum::<usize>().to_string(),
            count(|reaction| reaction.gave_up).to_string(),
            count(|reaction| reaction.answered).to_string(),
        ]);
    }
    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    {
        println!("{table}");
    }
    Ok(())
}

/// The turns that are asked for.
fn turns(runtime: &tokio::runtime::Runtime, options: &Options) -> Result<Vec<Stimulus>> {
    let stack = stack::build(&config::load(None, None)?.config, &stack::BuildContext::default())?;
    let mut stimuli = runtime.block_on(stimuli::all(stack.engines.tts.as_ref()))?;
    stimuli.retain(|stimulus| stimulus.group.name().contains(&options.group));
    if options.telephone {
        stimuli = stimuli.iter().map(Stimulus::by_telephone).collect();
    }
    Ok(stimuli)
}

/// Adds a line to the table, if there were such turns.
fn add(table: &mut Table, row: &str, turns: &str, ended: &[Ended]) {
    if ended.is_empty() {
        return;
    }
    let cut = ended.iter().filter(|end| matches!(end, Ended::CutOff)).count();
    let never = ended.iter().filter(|end| matches!(end, Ended::Never)).count();
    let wait = |end: &Ended| if let Ended::After(wait) = end { Some(*wait) } else { None };
    let mut waits: Vec<Duration> = ended.iter().filter_map(wait).collect();
    waits.sort();
    let ms = |wait: Option<Duration>| wait.map_or("-".to_owned(), |wait| wait.as_millis().to_string());
    let at =
        |share: f64| ms(waits.get(((waits.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied());
    let mean = ms(waits.iter().sum::<Duration>().checked_div(waits.len() as u32));
    let (low, high) = interval(cut, ended.len());
    let line = [
        row.to_owned(),
        turns.to_owned(),
        ended.len().to_string(),
        format!("{:.0} %", 100.0 * cut as f64 / ended.len() as f64),
        format!("{:.0}-{:.0}", 100.0 * low, 100.0 * high),
        mean,
        at(0.5),
        at(0.95),
        never.to_string(),
    ];
    // Also as it comes, so that what was measured of a run that is broken off is not lost.
    eprintln!("{}", line.join("  "));
    table.add_row(line);
}

/// The interval that holds the true share with 95 % certainty, when so many of `n` were seen (Wilson 1927).
fn interval(seen: usize, n: usize) -> (f64, f64) {
    const Z: f64 = 1.96;
    let (n, share) = (n as f64, seen as f64 / n as f64);
    let middle = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    ((middle - spread) / scale, (middle + spread) / scale)
}
