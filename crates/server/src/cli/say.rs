//! `antiphon say`: speaks a text with the configured voice.

use std::path::{Path, PathBuf};

use antiphon_audio::{FileFormat, encode_file};
use antiphon_core::{AudioChunk, Requester, SpeechRequest};
use antiphon_stack::config::Config;
use antiphon_stack::{self as stack, BuildContext};
use anyhow::{Context, Result, bail};
use futures_util::TryStreamExt;

use super::{print, runtime};
use crate::logging::start_logging;

/// Speak a text into a file.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  antiphon say \"It is 3:30pm.\" -o time.wav\n  antiphon say Hello -o hello.mp3"
)]
pub(super) struct SayArguments {
    /// The text to speak.
    text: String,
    /// The file to write; its extension selects the format: mp3, opus, flac, wav, pcm.
    #[arg(short, long, value_name = "FILE", default_value = "speech.wav")]
    output: PathBuf,
}

pub(super) fn run(arguments: &SayArguments, config: &Config) -> Result<()> {
    start_logging(config, Some("warn"))?;
    let format = format(&arguments.output)?;
    let stack = stack::build(config, &BuildContext::default())?;
    let request = SpeechRequest {
        voice: config.agent.voice.clone(),
        speed: config.tts.speed,
        ..SpeechRequest::new(Requester::local(), arguments.text.clone())
    };
    let chunks: Vec<AudioChunk> = runtime()?.block_on(stack.engines.tts.speak(request).try_collect())?;
    let Some(rate) = chunks.first().map(|chunk| chunk.rate) else {
        bail!("nothing in the text can be spoken");
    };
    let samples: Vec<i16> = chunks.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect();
    let file = encode_file(format, &AudioChunk::new(rate, samples))?;
    let output = &arguments.output;
    std::fs::write(output, file).with_context(|| format!("cannot write {}", output.display()))?;
    print(&output.display().to_string());
    Ok(())
}

fn format(path: &Path) -> Result<FileFormat> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if let Some(format) = FileFormat::from_name(&ending) {
        return Ok(format);
    }
    let known = FileFormat::ALL.map(FileFormat::name).join(", ");
    bail!("{}: the ending names no format that can be written: {known}", path.display())
}
