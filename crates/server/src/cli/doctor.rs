//! `antiphon doctor`: checks that everything the server needs is there and works.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use antiphon_cache::private_files;
use antiphon_core::{Error, ErrorKind};
use antiphon_stack::config::{Config, EmbedEngine, LlmEngine, SttEngine, TtsEngine};
use antiphon_stack::models::{self, ModelState};
use antiphon_stack::{self as stack, BuildContext};
use anyhow::{Result, bail};
use serde::Serialize;

use super::print;
use super::table::table;

/// How much memory the default models need, with a little more for calls, in bytes.
const MEMORY: u64 = 1_500 << 20;

/// Check that everything the server needs is there and works; say what to do about what does not.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon doctor\n  antiphon doctor --json")]
pub(super) struct DoctorArguments {
    /// Print one JSON object for each check.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, but not as well as it could.
    Warning,
    /// The server does not work with this.
    Failed,
}

#[derive(Serialize)]
struct Check {
    #[serde(rename = "check")]
    name: &'static str,
    verdict: Verdict,
    /// What was found and, if something is wrong, what to do.
    found: String,
}

fn ok(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Ok, found: found.into() }
}

fn warning(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Warning, found: found.into() }
}

fn failed(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Failed, found: found.into() }
}

pub(super) fn run(arguments: &DoctorArguments, config: &Config) -> Result<()> {
    let data = config.data_dir()?;
    let mut checks = vec![machine(), memory(), data_dir(&data), listen(config), pip()];
    checks.extend(model_files(config, &config.models_dir()?)?);
    checks.extend(language_servers(config)?);
    checks.push(engines(config));
    show(&checks, arguments.json)?;
    let broken = checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
    match broken {
        0 => Ok(()),
        1 => bail!("1 check failed"),
        n => bail!("{n} checks failed"),
    }
}

fn show(checks: &[Check], json: bool) -> Result<()> {
    if json {
        for check in checks {
            print(&serde_json::to_string(check)?);
        }
        return Ok(());
    }
    let mut table = table(["", "CHECK", "FOUND"], 0..0);
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        table.add_row([verdict, check.name, &check.found]);
    }
    print(&table.to_string());
    Ok(())
}

fn machine() -> Check {
    let cores = antiphon_stack::machine::cores();
    let found = format!("{cores} cores");
    if cores >= 2 {
        ok("processor", found)
    } else {
        warning("processor", format!("{found}; replies are slow on one"))
    }
}

/// Bytes that are available without swapping, as the kernel reports them.
fn memory() -> Check {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    match kib.map(|kib| kib << 10) {
        Some(free) if free >= MEMORY => ok("memory", format!("{} MB free", free >> 20)),
        Some(free) => {
            let found = format!("{} MB free; the default models need {} MB", free >> 20, MEMORY >> 20);
            warning("memory", found)
        }
        None => ok("memory", "unknown on this system"),
    }
}

fn data_dir(data: &Path) -> Check {
    let write = || -> std::io::Result<()> {
        private_files::create_folder(data)?;
        tempfile::tempfile_in(data).map(drop)
    };
    match write() {
        Ok(()) => ok("data", format!("{} can be written", data.display())),
        Err(error) => {
            let found = format!("{} cannot be written ({error}): set [server] data_dir", data.display());
            failed("data", found)
        }
    }
}

fn listen(config: &Config) -> Check {
    let address = config.server.listen;
    match TcpListener::bind(address) {
        Ok(_) => ok("listen", format!("{address} is free")),
        Err(error) => {
            let found = format!("{address} cannot be listened on ({error}): is the server running already?");
            warning("listen", found)
        }
    }
}

fn pip() -> Check {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if works("python3", &["-m", "pip", "--version"]) || works("pip3", &["--version"]) {
        ok("pip", "models can be fetched")
    } else {
        warning("pip", "models cannot be fetched: apt install python3-pip")
    }
}

/// Checks the models that the configuration uses, by reading them completely.
fn model_files(config: &Config, folder: &Path) -> Result<Vec<Check>> {
    let embedded = stack::listed(&config.llm, &config.llm.engines)
        .any(|llm| llm.resolved_engine() == LlmEngine::Llama && llm.model.is_none());
    let voice = |engine: TtsEngine| {
        stack::listed(&config.tts, &config.tts.engines).any(|tts| tts.engine == engine && tts.model.is_none())
    };
    let used = |id: &str| match id {
        "moonshine-tiny-en" => {
            stack::listed(&config.stt, &config.stt.engines).any(|stt| stt.engine == SttEngine::Moonshine)
        }
        "piper-en_US-joe-medium" => voice(TtsEngine::Piper),
        "kokoro-82m" => voice(TtsEngine::Kokoro),
        "smollm2-135m-instruct" => embedded,
        "minilm-l6-v2" => stack::listed(&config.embed, &config.embed.engines)
            .any(|embed| embed.engine == EmbedEngine::MiniLm),
        "wake-words" | "whisper-base" => false,
        _ => true,
    };
    let models = models::all()?.into_iter().filter(|model| used(&model.id));
    let states: Vec<_> = models.map(|model| (model.state(folder, true), model.id)).collect();
    let not = |wanted: ModelState| {
        let ids: Vec<&str> =
            states.iter().filter(|(state, _)| *state == wanted).map(|(_, id)| id.as_str()).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    };
    let mut checks = Vec::new();
    for (state, what) in [(ModelState::Missing, "missing"), (ModelState::Corrupt, "corrupt")] {
        if let Some(ids) = not(state) {
            checks.push(failed("models", format!("{what}: {ids}; `antiphon models pull {ids}`")));
        }
    }
    if checks.is_empty() {
        checks.push(ok("models", format!("{} are complete", states.len())));
    }
    Ok(checks)
}

/// Checks whether the servers of remote language models can be reached.
fn language_servers(config: &Config) -> Result<Vec<Check>> {
    let runtime = super::runtime()?;
    let checks = stack::listed(&config.llm, &config.llm.engines).filter_map(|llm| {
        let asked = runtime.block_on(stack::probe_llm(llm))?;
        let name = llm.base_url.as_deref().unwrap_or(llm.engine.name());
        let kind = |error: &anyhow::Error| error.downcast_ref::<Error>().map(Error::kind);
        Some(match asked {
            Ok(()) => ok("llm", format!("{name} answers")),
            Err(error) if kind(&error) == Some(ErrorKind::Unauthorized) => {
                failed("llm", format!("{name} refuses the key: set [llm] api_key"))
            }
            // Some servers cannot list their models, which is not an error.
            Err(error) if kind(&error) == Some(ErrorKind::NotFound) => {
                warning("llm", format!("{name}: {error}"))
            }
            Err(error) => failed("llm", format!("{name}: {error}")),
        })
    });
    Ok(checks.collect())
}

/// Loads all engines as the server would.
fn engines(config: &Config) -> Check {
    #[expect(clippy::disallowed_methods, reason = "printed for people")]
    let began = std::time::Instant::now();
    match stack::build(config, &BuildContext::default()) {
        Ok(stack) => {
            let seconds = began.elapsed().as_secs_f32();
            let lines: Vec<String> = stack
                .description
                .iter()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            drop(stack.engines);
            ok("engines", format!("loaded in {seconds:.1} s: {}", lines.join(", ")))
        }
        Err(error) => failed("engines", format!("{error:#}")),
    }
}
