//! `antiphon talk`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::{ids, run_call};
use antiphon_audio::{FileFormat, Resampler, decode_file, encode_file};
use antiphon_core::{AudioChunk, SampleRate};
use antiphon_telemetry::Metrics;
use anyhow::{Context, Result};

use super::{logging, print, runtime};
use crate::config::Config;
use crate::stack;
use crate::transports::file::{FileTransport, RATE, Said, Turn};

/// Hold a conversation from a recording to a file: the recording is the person, and waits while the agent speaks.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon talk --in question.wav --out reply.wav --json")]
pub(super) struct Arguments {
    /// The person: a recording (WAV, FLAC, MP3, Ogg, M4A, WebM).
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Where the agent's replies go, as WAV.
    #[arg(long = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print a JSON object a turn.
    #[arg(long)]
    json: bool,
    /// The recording talks on while the agent speaks, and may interrupt.
    #[arg(long)]
    overlap: bool,
}

/// The longest recording.
const LONGEST: Duration = Duration::from_hours(1);

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<()> {
    logging(config, Some("warn"))?;
    let bytes = std::fs::read(&arguments.input)
        .with_context(|| format!("cannot read {}", arguments.input.display()))?;
    let recording = decode_file(&bytes, LONGEST).with_context(|| format!("{}", arguments.input.display()))?;
    let mut samples = Vec::new();
    let mut resampler = Resampler::new(recording.rate, SampleRate::HZ_16000);
    resampler.process(&recording.samples, &mut samples);
    resampler.flush(&mut samples);
    let stack = stack::build(config)?;
    let audio = runtime()?.block_on(converse(arguments, config, stack, samples))?;
    if let Some(output) = &arguments.output {
        let file = encode_file(FileFormat::Wav, &AudioChunk::new(RATE, audio))?;
        std::fs::write(output, file).with_context(|| format!("cannot write {}", output.display()))?;
    }
    Ok(())
}

/// Holds the conversation; gives all that the agent said.
async fn converse(
    arguments: &Arguments,
    config: &Config,
    stack: stack::Stack,
    samples: Vec<i16>,
) -> Result<Vec<i16>> {
    let (transport, mut said) = FileTransport::new(samples, arguments.overlap);
    let engines = Arc::new(stack.engines);
    let call = run_call(
        ids::call(),
        engines,
        stack::session_config(config),
        Arc::new(Metrics::new()),
        transport,
        std::future::pending(),
    );
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
    call.await?;
    // The engines' threads end after the engines.
    drop(stack.pool);
    match failed {
        Some(error) if audio.is_empty() => anyhow::bail!("{error}"),
        Some(error) => eprintln!("antiphon: {error}"),
        None if audio.is_empty() => {
            eprintln!("antiphon: nothing was understood in {}", arguments.input.display());
        }
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
