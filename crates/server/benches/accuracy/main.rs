//! The accuracy of the embedded engines for speech: `cargo bench -p antiphon-server --bench accuracy [-- -v]`.
//!
//! Prints the word error rate of speech recognition for the given recordings (for each file with `-v`), and for 50 of
//! the given questions that are first synthesised and then transcribed. Needs the models (`antiphon models pull`).

mod words;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use antiphon_audio::{Resampler, decode_file};
use antiphon_core::{
    AudioChunk, Requester, SampleRate, SpeechRequest, Stt, SttInput, SttOptions, Transcript, Tts,
};
use antiphon_stack::{self as stack, config};
use antiphon_testkit::large_testdata;
use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};

use words::Errors;

const QUESTIONS: usize = 50;

fn main() -> Result<()> {
    let verbose = std::env::args().any(|a| a == "-v");
    let runtime = tokio::runtime::Runtime::new()?;
    let stack = stack::build(&config::load(None, None)?.config, &stack::BuildContext::default())?;
    let stt = stack.engines.stt.as_ref();
    for (folder, goal) in [
        ("telephone_speech", 7.0),
        ("read_speech", 8.0),
        ("librispeech_other", f64::NAN),
        ("digits_8k", f64::NAN),
    ] {
        let errors = runtime.block_on(hear(stt, &large_testdata().join(folder), verbose))?;
        report(folder, errors, goal);
    }
    let errors = runtime.block_on(round_trip(stack.engines.tts.as_ref(), stt, verbose))?;
    report("spoken questions", errors, 10.0);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn report(what: &str, errors: Errors, goal: f64) {
    let goal = if goal.is_nan() { String::new() } else { format!("goal {goal:.0} %") };
    println!("{what:20} {:6.2} %  ({} of {} words)  {goal}", errors.rate(), errors.wrong, errors.words);
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn show(verbose: bool, name: &str, errors: Errors, reference: &str, heard: &str) {
    if verbose {
        println!("{name:24} {:6.1} %", errors.rate());
        if errors.wrong > 0 {
            println!("    - {reference}\n    + {heard}");
        }
    }
}

async fn hear(stt: &dyn Stt, folder: &Path, verbose: bool) -> Result<Errors> {
    let list = folder.join("transcripts.tsv");
    let list = std::fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let mut all = Errors::default();
    for line in list.lines() {
        let Some((name, text)) = line.split_once('\t') else { continue };
        let path = [name.to_owned(), format!("{name}.wav"), format!("{name}.flac")]
            .map(|name| folder.join(name))
            .into_iter()
            .find(|path| path.is_file());
        // The first line may hold the names of the columns, and is then skipped.
        let Some(path) = path else { continue };
        let text = text.rsplit('\t').next().unwrap_or(text);
        let audio = decode_file(&std::fs::read(&path)?, Duration::from_mins(10))?;
        let heard = transcribe(stt, &audio).await?;
        let errors = words::compare(text, &heard);
        show(verbose, name, errors, text, &heard);
        all += errors;
    }
    Ok(all)
}

async fn transcribe(stt: &dyn Stt, audio: &AudioChunk) -> Result<String> {
    let mut samples = Vec::new();
    let mut resampler = Resampler::new(audio.rate, SampleRate::HZ_16000);
    resampler.process(&audio.samples, &mut samples);
    resampler.flush(&mut samples);
    let pieces: Vec<SttInput> = samples.chunks(1_600).map(|piece| SttInput::Audio(piece.into())).collect();
    let transcripts: Vec<Transcript> = stt
        .transcribe(SttOptions::new(Requester::local()), stream::iter(pieces).boxed())
        .try_collect()
        .await?;
    Ok(transcripts.into_iter().next_back().unwrap_or_default().text)
}

async fn round_trip(tts: &dyn Tts, stt: &dyn Stt, verbose: bool) -> Result<Errors> {
    let mut all = Errors::default();
    for question in questions()? {
        let chunks: Vec<AudioChunk> =
            tts.speak(SpeechRequest::new(Requester::local(), question.clone())).try_collect().await?;
        let rate = chunks.first().context("nothing was said")?.rate;
        let samples: Vec<i16> = chunks.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect();
        let heard = transcribe(stt, &AudioChunk::new(rate, samples)).await?;
        let errors = words::compare(&question, &heard);
        show(verbose, "question", errors, &question, &heard);
        all += errors;
    }
    Ok(all)
}

/// Questions that are evenly spread over those in the file.
fn questions() -> Result<Vec<String>> {
    let folder = large_testdata().join("banking_questions");
    let file = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "csv"))
        .with_context(|| format!("no questions in {}", folder.display()))?;
    let mut text = String::new();
    std::fs::File::open(&file)?.read_to_string(&mut text)?;
    // Each line holds the text, a comma, and the intent.
    let question = |line: &str| {
        let text = line.rsplit_once(',').map_or(line, |(text, _)| text);
        text.trim_matches('"').replace("\"\"", "\"")
    };
    let all: Vec<String> = text.lines().skip(1).map(question).filter(|q| q.len() > 20).collect();
    let step = (all.len() / QUESTIONS).max(1);
    Ok(all.into_iter().step_by(step).take(QUESTIONS).collect())
}
