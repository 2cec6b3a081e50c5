//! The embedded engines on recordings of people: what is said on telephones and read aloud is recognised, and the pauses of
//! a conversation are found.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use antiphon_audio::{Ingest, decode_file};
use antiphon_core::{Requester, Stt, SttInput, SttOptions, Vad};
use antiphon_providers::local::moonshine::Moonshine;
use antiphon_providers::local::onnx::OnnxRuntime;
use antiphon_providers::local::silero::SileroVad;
use antiphon_providers::pool::ModelPool;
use antiphon_testkit::{models, testdata};
use futures_util::{StreamExt, TryStreamExt, stream};

/// One recording in so many is heard, so that the tests stay short.
const EVERY: usize = 3;
/// What Silero judges at a time, in samples of 16 kHz.
const WINDOW: usize = 512;
const RATE: f64 = 16_000.0;
const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

fn runtime() -> OnnxRuntime {
    OnnxRuntime::load(&models().join("onnxruntime/libonnxruntime.so")).expect("loads")
}

/// A recording at 16 kHz.
fn recording(name: &str) -> Vec<i16> {
    let file = std::fs::read(testdata(name)).expect("readable");
    let audio = decode_file(&file, Duration::from_mins(1)).expect("a recording");
    let mut samples = Vec::new();
    let mut ingest = Ingest::new(audio.rate);
    ingest.samples(&audio.samples, &mut samples);
    samples
}

/// The rows of a table without the line that names the columns.
fn table(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(testdata(name)).expect("readable");
    let rows = text.lines().filter(|line| !line.starts_with("file\t"));
    rows.map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

/// The words as they sound.
fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace('#', " pound ").replace(['\'', '’'], "");
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().ok().and_then(|n: usize| DIGITS.get(n).copied()).unwrap_or(word).to_owned())
        .collect()
}

/// Substitutions, deletions and insertions between two texts.
fn errors(reference: &[String], heard: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, wanted) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, got) in heard.iter().enumerate() {
            let changed = diagonal + usize::from(wanted != got);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[heard.len()]
}

/// The share of words that Moonshine hears wrong in a folder.
async fn word_error_rate(folder: &str) -> f64 {
    let pool = ModelPool::new(1).expect("threads");
    let engine = Moonshine::open(&runtime(), &pool, &models().join("moonshine-tiny-en")).expect("opens");
    let (mut wrong, mut spoken) = (0, 0);
    for row in table(&format!("{folder}/transcripts.tsv")).iter().step_by(EVERY) {
        let samples = recording(&format!("{folder}/{}", row[0]));
        let input = stream::iter([SttInput::Audio(samples.into()), SttInput::Flush]).boxed();
        let heard: Vec<_> =
            engine.transcribe(SttOptions::new(Requester::local()), input).try_collect().await.expect("heard");
        let reference = words(row.last().expect("a text"));
        wrong += errors(&reference, &words(&heard.last().expect("an answer").text));
        spoken += reference.len();
    }
    wrong as f64 / spoken as f64
}

#[tokio::test]
async fn telephone_speech_is_recognised() {
    let rate = word_error_rate("telephone_speech").await;
    assert!(rate < 0.12, "{rate:.3} of the words are wrong");
}

#[tokio::test]
async fn read_speech_of_many_people_is_recognised() {
    // LibriSpeech calls these speakers hard. The few recordings heard here give 0.25, the whole set 0.16 (`cargo bench -p
    // antiphon-server --bench accuracy`).
    let rate = word_error_rate("librispeech_other").await;
    assert!(rate < 0.30, "{rate:.3} of the words are wrong");
}

/// How probable Silero finds speech in each window.
async fn probabilities(samples: &[i16]) -> Vec<f32> {
    let model = models().join("silero-vad/silero_vad.onnx");
    let vad = SileroVad::open(&runtime(), &model, || Box::new(|_: &[i16]| true)).expect("opens");
    let (mut input, mut output) = vad.open();
    let mut all = Vec::new();
    for window in samples.chunks_exact(WINDOW) {
        input.push(window);
        all.push(output.next().await.expect("judged").probability);
    }
    all
}

/// The share of the windows between two points in time that are speech.
fn voiced(probabilities: &[f32], from: &str, to: &str) -> f64 {
    let window = |time: &str| (time.parse::<f64>().expect("seconds") * RATE) as usize / WINDOW;
    let windows = &probabilities[window(from)..window(to).min(probabilities.len())];
    windows.iter().filter(|probability| **probability > 0.5).count() as f64 / windows.len() as f64
}

#[tokio::test]
async fn the_pauses_of_a_meeting_are_found() {
    let (segments, pauses) = (table("turns_ami/segments.tsv"), table("turns_ami/pauses.tsv"));
    for file in ["trn00.flac", "trn07.flac"] {
        let judged = probabilities(&recording(&format!("turns_ami/{file}"))).await;
        let mean = |rows: &[Vec<String>]| {
            let rows: Vec<_> = rows.iter().filter(|row| row[0] == file).collect();
            rows.iter().map(|row| voiced(&judged, &row[1], &row[2])).sum::<f64>() / rows.len() as f64
        };
        let (speech, pause) = (mean(&segments), mean(&pauses));
        // The segments of a meeting hold quiet stretches, too: 0.49 of them are voiced in the first file.
        assert!(speech > 0.35 && pause < 0.15, "{file}: voiced {speech:.2} of speech, {pause:.2} of pauses");
    }
}

#[tokio::test]
async fn neither_silence_nor_a_tone_is_speech() {
    for name in ["silence_40s", "tone_440hz_5s"] {
        let judged = probabilities(&recording(&format!("cases/{name}.flac"))).await;
        let voiced = judged.iter().filter(|probability| **probability > 0.5).count();
        assert_eq!(voiced, 0, "{name}: of {} windows", judged.len());
    }
}
