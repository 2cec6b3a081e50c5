//! How long a person waits for a reply, and for which stages: `cargo bench -p antiphon-server --bench latency
//! [-- TURNS]`.
//!
//! Holds one call at a time in real time over the talk page's WebSocket, with recorded sentences and a server of its
//! own. Latency is measured from outside: from the moment the last sample of speech was sent until the first audio of
//! the reply came. The stages are those that the server reports with each turn; they overlap, so they add up to more
//! than the total. The second table is about interruptions: from the first sample of the person's speech until the
//! page is told to stop the agent's audio. The third is about questions asked again: from the moment a typed question
//! was sent until the first audio of the reply came, each time in a new call. Client and server share the machine.

#[path = "../support/server.rs"]
mod server;
#[path = "../support/speaker.rs"]
mod speaker;

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use server::Server;
use speaker::{Clip, Speaker};

const TURNS: usize = 20;
/// The default configuration, in which all models are embedded, but without caches.
const EMBEDDED: &str = "[cache]\nenabled = false\n[telemetry]\nlog = \"warn\"\n";
/// The same with caches, which are empty at first.
const CACHED: &str = "[cache]\ndisk = false\n[telemetry]\nlog = \"warn\"\n";
/// Questions, some with short and some with long answers.
const QUESTIONS: [&str; 4] = [
    "What is the capital of France?",
    "Why is the sky blue?",
    "How do I boil an egg?",
    "What is two plus two?",
];
/// Pause before a question is typed. No person types before the page has loaded, and the end of the previous call is
/// over by then.
const TYPED_AFTER: Duration = Duration::from_millis(200);
/// How often each question is asked again.
const REPEATED: usize = 25;
/// A configuration whose answers are long enough to be interrupted.
const TALKATIVE: &str = r#"
[llm]
engine = "sim"
first_token_ms = 50
token_ms = 5
tokens = 30
text = "It is a long story, and it begins in a small town by the sea, where an old man lived in a lighthouse with his dog. Every evening the two of them went down to the water, and counted the ships that came home."
[telemetry]
log = "warn"
"#;

fn main() -> ExitCode {
    let turns = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(TURNS);
    match run(turns) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latency: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(turns: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clips = Clip::load_all()?;
    let measured = {
        let server = Server::start(EMBEDDED)?;
        runtime.block_on(async {
            let mut speaker = Speaker::connect(&server.socket("/talk/ws")).await?;
            let mut measured = Vec::new();
            // The first turn is not counted: it fills the caches of the instructions and of the operating system.
            speaker.turn(&clips[0]).await?;
            for clip in clips.iter().cycle().skip(1).take(turns) {
                measured.push(speaker.turn(clip).await?);
                eprint!(".");
            }
            anyhow::Ok(measured)
        })?
    };
    let server = Server::start(TALKATIVE)?;
    let stopped = runtime.block_on(async {
        let mut speaker = Speaker::connect(&server.socket("/talk/ws")).await?;
        let mut stopped = Vec::new();
        for clip in clips.iter().cycle().take(turns) {
            stopped.push(speaker.interrupt(clip).await?);
            eprint!(".");
        }
        anyhow::Ok(stopped)
    })?;
    drop(server);
    let server = Server::start(CACHED)?;
    let (first, repeated) = runtime.block_on(asked_again(&server))?;
    eprintln!();
    let stage = |name: &str| -> Vec<Duration> {
        measured.iter().map(|turn| turn.stages.get(name).copied().unwrap_or_default()).collect()
    };
    let totals: Vec<Duration> = measured.iter().map(|turn| turn.total).collect();
    let mut table = table(["", "p50 ms", "p95 ms", "max ms", "share of total"]);
    let rows = [
        ("end of turn", stage("end_of_turn")),
        ("speech to text", stage("stt")),
        ("language model, first token", stage("llm_ttft")),
        ("voice, first audio", stage("tts_ttfb")),
        ("overhead of the engine", stage("overhead")),
        ("total, as reported", stage("total")),
        ("total, as heard", totals.clone()),
    ];
    for (name, spans) in rows {
        let share = mean(&spans) / mean(&totals) * 100.0;
        table.add_row([row(name, &spans), vec![format!("{share:.0} %")]].concat());
    }
    let mut interruptions = self::table(["", "p50 ms", "p95 ms", "max ms", "not stopped"]);
    let heard: Vec<Duration> = stopped.iter().flatten().copied().collect();
    let missed = stopped.len() - heard.len();
    interruptions
        .add_row([row("onset of speech to silence of the agent", &heard), vec![missed.to_string()]].concat());
    let mut cached = self::table(["", "p50 ms", "p95 ms", "max ms", "from the cache"]);
    for (name, asked, cached_only) in
        [("asked for the first time", &first, false), ("asked again, if from the cache", &repeated, true)]
    {
        // An answer that was cut short is not cached. The small model sometimes does not stop by itself, so such
        // answers are left out.
        let counted = asked.iter().filter(|(_, served)| *served || !cached_only);
        let waits: Vec<Duration> = counted.map(|(wait, _)| *wait).collect();
        let served = asked.iter().filter(|(_, served)| *served).count();
        cached.add_row([tenths(name, &waits), vec![format!("{served} of {}", asked.len())]].concat());
    }
    #[expect(clippy::print_stdout, reason = "the tables are what this program is for")]
    {
        println!("{} turns, embedded models, one call\n{table}", measured.len());
        println!("{} interruptions\n{interruptions}", stopped.len());
        println!("{} questions, typed, asked again in new calls\n{cached}", QUESTIONS.len());
    }
    Ok(())
}

/// Times from a question to the first audio of its answer, and whether its words came from the cache: for the first
/// time it is asked, and for the repetitions.
async fn asked_again(server: &Server) -> anyhow::Result<(Asked, Asked)> {
    let (mut first, mut repeated) = (Vec::new(), Vec::new());
    for time in 0..=REPEATED {
        for question in QUESTIONS {
            let mut speaker = Speaker::connect(&server.socket("/talk/ws")).await?;
            tokio::time::sleep(TYPED_AFTER).await;
            let asked = speaker.ask(question, time == 0).await?;
            if time == 0 { &mut first } else { &mut repeated }.push(asked);
        }
        eprint!(".");
    }
    Ok((first, repeated))
}

type Asked = Vec<(Duration, bool)>;

fn table(header: [&str; 5]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(name: &str, spans: &[Duration]) -> Vec<String> {
    percentiles(name, spans, 0)
}

/// Durations in milliseconds with one decimal place.
fn tenths(name: &str, spans: &[Duration]) -> Vec<String> {
    percentiles(name, spans, 1)
}

fn percentiles(name: &str, spans: &[Duration], decimals: usize) -> Vec<String> {
    let mut sorted = spans.to_vec();
    sorted.sort();
    let percentile = |p: f64| {
        let at = ((sorted.len() as f64 * p).ceil() as usize).saturating_sub(1);
        sorted
            .get(at)
            .map_or_else(|| "-".to_owned(), |span| format!("{:.decimals$}", span.as_secs_f64() * 1_000.0))
    };
    vec![name.to_owned(), percentile(0.5), percentile(0.95), percentile(1.0)]
}

fn mean(spans: &[Duration]) -> f64 {
    spans.iter().map(Duration::as_secs_f64).sum::<f64>() / spans.len().max(1) as f64
}
