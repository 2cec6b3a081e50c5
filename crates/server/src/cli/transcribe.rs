//! `antiphon transcribe`: turns recordings into text.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use antiphon_audio::{Resampler, decode_file};
use antiphon_core::{Requester, SampleRate, Segment, Stt, SttInput, SttOptions};
use antiphon_stack::config::Config;
use antiphon_stack::{self as stack, BuildContext};
use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::{print, runtime};
use crate::logging::start_logging;

/// Longest recording that is transcribed; all of it is decoded into memory first.
const LONGEST: Duration = Duration::from_hours(4);

/// Turn recordings into text.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon transcribe meeting.wav\n  antiphon transcribe *.flac --json")]
pub(super) struct TranscribeArguments {
    /// Recordings: WAV, FLAC, MP3, Ogg, M4A, WebM.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object for each file.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Transcribed {
    file: PathBuf,
    text: String,
    segments: Vec<Segment>,
    audio_s: f64,
    wall_s: f64,
}

pub(super) fn run(arguments: &TranscribeArguments, config: &Config) -> Result<()> {
    start_logging(config, Some("warn"))?;
    let stack = stack::build(config, &BuildContext::default())?;
    let runtime = runtime()?;
    for file in &arguments.files {
        let done = runtime.block_on(transcribe(file, stack.engines.stt.as_ref(), config))?;
        print(&if arguments.json { serde_json::to_string(&done)? } else { done.text });
    }
    Ok(())
}

async fn transcribe(file: &Path, stt: &dyn Stt, config: &Config) -> Result<Transcribed> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    #[expect(clippy::disallowed_methods, reason = "printed for people")]
    let started = Instant::now();
    let audio = decode_file(&bytes, LONGEST).with_context(|| format!("{}", file.display()))?;
    let mut samples = Vec::new();
    let mut resampler = Resampler::new(audio.rate, SampleRate::HZ_16000);
    resampler.process(&audio.samples, &mut samples);
    resampler.flush(&mut samples);
    let pieces: Vec<SttInput> = samples.chunks(1_600).map(|piece| SttInput::Audio(piece.into())).collect();
    let options = SttOptions { language: config.stt.language.clone(), ..SttOptions::new(Requester::local()) };
    let mut transcripts = stt.transcribe(options, stream::iter(pieces).boxed());
    let mut last = antiphon_core::Transcript::default();
    while let Some(transcript) = transcripts.next().await {
        last = transcript.with_context(|| format!("{}", file.display()))?;
    }
    Ok(Transcribed {
        file: file.to_owned(),
        text: last.text,
        segments: last.segments,
        audio_s: audio.duration().as_secs_f64(),
        wall_s: started.elapsed().as_secs_f64(),
    })
}
