//! `antiphon talk`: a conversation over the microphone, or from a recording to a file.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::{FileFormat, Resampler, decode_file, encode_file};
use antiphon_core::{AudioChunk, Caller, Event, SampleRate};
use antiphon_desk::{Connected, Desk};
use antiphon_stack::config::Config;
use antiphon_stack::{self as stack, BuildContext};
use antiphon_telemetry::Metrics;
use antiphon_transports::file::{self, FileTransport, RATE, Said};
use antiphon_transports::microphone::{self, Microphone};
use antiphon_transports::turns::{Turn, Turns};
use anyhow::{Context, Result};

use super::{print, runtime};
use crate::logging::start_logging;

/// Longest recording that may be given as input; all of it is decoded into memory first.
const LONGEST: Duration = Duration::from_hours(1);

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  antiphon talk\n  antiphon talk --in question.wav --out reply.wav --json"
)]
pub(super) struct TalkArguments {
    /// A recording (WAV, FLAC, MP3, Ogg, M4A, WebM) that replaces the microphone. It waits while the agent speaks.
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// The WAV file to which the agent's replies are written.
    #[arg(long = "out", value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,
    /// Print one JSON object for each turn.
    #[arg(long)]
    json: bool,
    /// Let the recording continue while the agent speaks, so that it may interrupt.
    #[arg(long, requires = "input")]
    overlap: bool,
}

pub(super) fn run(arguments: &TalkArguments, config: &Config) -> Result<()> {
    start_logging(config, Some("warn"))?;
    match &arguments.input {
        Some(input) => from_file(arguments, input, config),
        None => runtime()?.block_on(at_the_microphone(arguments.json, config)),
    }
}

fn from_file(arguments: &TalkArguments, input: &Path, config: &Config) -> Result<()> {
    let bytes = std::fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let recording = decode_file(&bytes, LONGEST).with_context(|| format!("{}", input.display()))?;
    let mut samples = Vec::new();
    let mut resampler = Resampler::new(recording.rate, SampleRate::HZ_16000);
    resampler.process(&recording.samples, &mut samples);
    resampler.flush(&mut samples);
    let audio = runtime()?.block_on(converse(arguments, config, samples))?;
    if audio.is_empty() {
        eprintln!("antiphon: nothing was understood in {}", input.display());
    }
    if let Some(output) = &arguments.output {
        let file = encode_file(FileFormat::Wav, &AudioChunk::new(RATE, audio))?;
        std::fs::write(output, file).with_context(|| format!("cannot write {}", output.display()))?;
    }
    Ok(())
}

/// Holds the conversation, and returns all that the agent said.
async fn converse(arguments: &TalkArguments, config: &Config, samples: Vec<i16>) -> Result<Vec<i16>> {
    let caches = stack::caches(config).await?;
    let stack = stack::build(config, &BuildContext { caches: caches.clone(), is_idle: None })?;
    stack::read_knowledge(stack.knowledge.as_deref()).await?;
    let (transport, mut said) = FileTransport::new(samples, arguments.overlap);
    let desk = Desk::local(stack.engines, stack.agent, Arc::new(Metrics::new()));
    let call = async move {
        let line = desk.admit(file::NAME, None)?;
        desk.take(line, Caller::by(file::NAME), |agent| Connected::to(agent, transport)).await?;
        anyhow::Ok(())
    };
    let call = tokio::spawn(call);
    let mut audio = Vec::new();
    let mut failed = None;
    while let Some(said) = said.recv().await {
        match said {
            Said::Audio(samples) => audio.extend(samples),
            Said::Turn(turn) => show(&turn, arguments.json)?,
            Said::Failed(error) => failed = Some(error),
        }
    }
    call.await??;
    if let Some(caches) = caches {
        caches.flush().await;
    }
    // The engines must end before their threads do.
    drop(stack.pool);
    match failed {
        Some(error) if audio.is_empty() => anyhow::bail!("{error}"),
        Some(error) => eprintln!("antiphon: {error}"),
        None => {}
    }
    Ok(audio)
}

fn show(turn: &Turn, json: bool) -> Result<()> {
    if json {
        print(&serde_json::to_string(turn)?);
    } else {
        print(&format!("you: {}\nagent: {}", turn.user, turn.reply));
    }
    Ok(())
}

/// Holds a conversation over the microphone until the person ends it with Ctrl-C.
async fn at_the_microphone(json: bool, config: &Config) -> Result<()> {
    let caches = stack::caches(config).await?;
    let stack = stack::build(config, &BuildContext { caches: caches.clone(), is_idle: None })?;
    stack::read_knowledge(stack.knowledge.as_deref()).await?;
    let (microphone, mut events) = Microphone::open()?;
    eprintln!(
        "Speak; interrupt whenever you like. With loudspeakers the agent hears itself: use headphones."
    );
    eprintln!("Ctrl-C ends the conversation.");
    let desk = Desk::local(stack.engines, stack.agent, Arc::new(Metrics::new()));
    let calls = desk.calls.clone();
    let call = async move {
        let line = desk.admit(microphone::NAME, None)?;
        let taken = desk.take(line, Caller::by(microphone::NAME), |agent| Connected::to(agent, microphone));
        taken.await?;
        anyhow::Ok(())
    };
    let interrupted = tokio::spawn(async move {
        drop(tokio::signal::ctrl_c().await);
        calls.end(Duration::ZERO);
    });
    let call = tokio::spawn(call);
    let mut turns = Turns::default();
    let mut screen = Screen { live: std::io::stdout().is_terminal(), line: String::new() };
    while let Some(event) = events.recv().await {
        let turn = turns.take(&event);
        if !json {
            screen.show(&event);
        } else if let Some(turn) = turn {
            show(&turn, true)?;
        }
    }
    call.await??;
    interrupted.abort();
    drop(stack.pool);
    Ok(())
}

/// Prints the conversation as it happens, with one line for each utterance.
struct Screen {
    /// Whether the output is a terminal, on which the last line can be rewritten.
    live: bool,
    line: String,
}

impl Screen {
    fn show(&mut self, event: &Event) {
        match event {
            Event::UserText { text, done, .. } => {
                self.rewrite(format!("you: {text}"));
                if *done {
                    self.end();
                }
            }
            Event::SpeechDropped { .. } => self.rewrite(String::new()),
            Event::OutputText { delta, .. } if self.line.starts_with("agent:") => self.append(delta),
            Event::OutputText { delta, .. } => self.rewrite(format!("agent: {}", delta.trim_start())),
            Event::ReplyDone { .. } => self.end(),
            Event::Interrupted { text, .. } => print(&format!("       (heard: {text})")),
            Event::Failed(error) => eprintln!("antiphon: {error}"),
            _ => {}
        }
    }

    /// Rewrites the last line. Where that is impossible, the line is printed once it is complete.
    fn rewrite(&mut self, line: String) {
        self.line = line;
        if self.live {
            let mut out = std::io::stdout().lock();
            // A terminal that has gone is not a failure of the command.
            let _ = write!(out, "\r\x1b[2K{}", self.line);
            let _ = out.flush();
        }
    }

    fn append(&mut self, text: &str) {
        self.line.push_str(text);
        if self.live {
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "{text}");
            let _ = out.flush();
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.live {
            print("");
        } else if !line.is_empty() {
            print(&line);
        }
    }
}
