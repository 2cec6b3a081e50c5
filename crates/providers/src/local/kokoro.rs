//! Kokoro-82M: an optional voice, more natural than Piper's and several times slower.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use antiphon_core::{AudioChunk, BoxStream, Error, Result, SampleRate, SpeechRequest, Tts, TtsCard, Voice};
use futures_util::{StreamExt, TryStreamExt};
use ort::session::Session;
use ort::value::TensorRef;
use serde::Deserialize;

use super::phrases::{self, Script, Synthesis};
use super::waveform::finish;
use crate::local::onnx::{OnnxRuntime, existing, failed};
use crate::local::phonemes::Phonemizer;
use crate::pool::{ModelPool, Operation};

/// Sample rate of the model's output.
const RATE: SampleRate = SampleRate::HZ_24000;
/// The most phonemes of one synthesis. A voice has one row of styles for each number of phonemes.
const MAX_PHONEMES: usize = 510;
/// Length of one row of a voice.
const STYLE: usize = 256;
/// The first voice in the list of Kokoro's own documentation.
const DEFAULT: &str = "af_heart";

#[derive(Deserialize)]
struct Vocabulary {
    vocab: HashMap<char, i64>,
}

/// The styles of a voice: one row of [`STYLE`] numbers for each number of phonemes.
type Styles = Arc<[f32]>;

/// What a thread of the pool is to say, and how.
struct Job {
    script: Script,
    styles: Styles,
    speed: f32,
}

/// The Kokoro model with its voices.
pub struct Kokoro {
    run: Operation<Job, Synthesis>,
    /// The default voice comes first.
    voices: Vec<Voice>,
    /// Those of each voice, in the order of `voices`.
    styles: Vec<Styles>,
}

/// The model as one thread of the pool runs it, with a session of its own.
struct Synthesiser {
    session: Session,
    vocabulary: Arc<Vocabulary>,
    phonemizer: Arc<Phonemizer>,
}

impl Kokoro {
    /// Opens the model's folder: `model.onnx`, `vocab.json`, and `voices/*.bin`.
    pub fn open(
        runtime: &OnnxRuntime,
        pool: &ModelPool,
        phonemizer: &Arc<Phonemizer>,
        folder: &Path,
    ) -> Result<Self> {
        let model = existing(&folder.join("model.onnx"))?;
        let path = existing(&folder.join("vocab.json"))?;
        let text = std::fs::read_to_string(&path).map_err(|e| unusable(&path, &e.to_string()))?;
        let vocabulary: Arc<Vocabulary> =
            Arc::new(serde_json::from_str(&text).map_err(|e| unusable(&path, &e.to_string()))?);
        let (voices, styles) = voices(&folder.join("voices"))?.into_iter().unzip();
        let (runtime, phonemizer) = (runtime.clone(), phonemizer.clone());
        let open = move || -> Result<Synthesiser> {
            let session = runtime.session(&model)?;
            Ok(Synthesiser { session, vocabulary: vocabulary.clone(), phonemizer: phonemizer.clone() })
        };
        let run = pool.operation("kokoro", 1, open, |synthesiser: &mut Synthesiser, jobs: Vec<Job>| {
            jobs.into_iter().map(|job| synthesiser.run(job)).collect()
        })?;
        Ok(Self { run, voices, styles })
    }
}

fn unusable(path: &Path, what: &str) -> Error {
    Error::invalid(format!("{} cannot be used for Kokoro: {what}", path.display()))
}

/// The English voices of a folder. The first letter of a voice's name stands for its language.
fn voices(folder: &Path) -> Result<Vec<(Voice, Styles)>> {
    let missing =
        |e| Error::not_found(format!("{}: {e}; `antiphon models pull kokoro-82m`", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(missing)?;
    let mut voices = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Some(id) = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let language = match id.as_bytes().first() {
            Some(b'a') => "en-US",
            Some(b'b') => "en-GB",
            _ => continue,
        };
        let bytes = std::fs::read(&path).map_err(|e| unusable(&path, &e.to_string()))?;
        if bytes.len() != MAX_PHONEMES * STYLE * 4 {
            return Err(unusable(&path, "it is no voice of the right size"));
        }
        let styles: Styles = bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        voices.push((Voice { id, language: language.to_owned() }, styles));
    }
    voices.sort_by(|(a, _), (b, _)| (a.id != DEFAULT, &a.id).cmp(&(b.id != DEFAULT, &b.id)));
    if voices.is_empty() {
        return Err(unusable(folder, "it holds no English voice"));
    }
    Ok(voices)
}

impl Synthesiser {
    /// Says as much of a script as one synthesis may.
    fn run(&mut self, job: Job) -> Result<Synthesis> {
        let phonemes = match job.script {
            Script::Sentence(text) => self.phonemizer.misaki(&text)?,
            Script::Phonemes(phonemes) => phonemes,
        };
        // The row of styles for no phonemes comes first.
        let (now, rest) = phrases::cut(&phonemes, phrases::longest(MAX_PHONEMES - 1, job.speed));
        Ok(Synthesis { samples: self.say(now, &job.styles, job.speed)?, rest: rest.to_owned() })
    }

    fn say(&mut self, phonemes: &str, styles: &[f32], speed: f32) -> Result<Vec<i16>> {
        let failed = failed("Kokoro");
        let known = phonemes.chars().filter_map(|phoneme| self.vocabulary.vocab.get(&phoneme).copied());
        let mut tokens: Vec<i64> = std::iter::once(0).chain(known).collect();
        let spoken = tokens.len() - 1;
        if !phonemes.chars().any(char::is_alphabetic) || spoken == 0 {
            return Ok(Vec::new());
        }
        tokens.push(0);
        let style = &styles[spoken * STYLE..(spoken + 1) * STYLE];
        let speed = [speed];
        let tokens = TensorRef::from_array_view(([1, tokens.len()], tokens.as_slice())).map_err(&failed)?;
        let style = TensorRef::from_array_view(([1, STYLE], style)).map_err(&failed)?;
        let speed = TensorRef::from_array_view(([1], speed.as_slice())).map_err(&failed)?;
        let outputs = self
            .session
            .run(ort::inputs!["tokens" => tokens, "style" => style, "speed" => speed])
            .map_err(&failed)?;
        let (_, audio) = outputs[0].try_extract_tensor::<f32>().map_err(&failed)?;
        Ok(finish(audio, RATE.hz() as f32))
    }
}

impl Tts for Kokoro {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "kokoro", voices: &self.voices }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let asked = self.voices.iter().position(|voice| Some(&voice.id) == request.voice.as_ref());
        let styles = self.styles[asked.unwrap_or(0)].clone();
        let (run, priority) = (self.run.clone(), request.priority);
        let speed = phrases::speed(&request);
        let say = move |script| run.run(Job { script, styles: styles.clone(), speed }, priority);
        phrases::speak(&request.text, say).map_ok(|samples| AudioChunk::new(RATE, samples)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::Requester;

    use super::*;

    #[tokio::test]
    #[ignore = "needs a model of 330 MB that few use: `antiphon models pull kokoro-82m`"]
    async fn text_becomes_speech_in_the_voice_asked_for() {
        let models = antiphon_testkit::models();
        let folder = models.join("kokoro-82m");
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let pool = ModelPool::new(1).expect("threads");
        let kokoro = Kokoro::open(&runtime, &pool, &Arc::new(Phonemizer::new()), &folder).expect("opens");
        assert_eq!(kokoro.card().voices[0].id, DEFAULT);
        crate::spec::tts(&kokoro).await;
        let say = async |voice: Option<&str>| -> Vec<i16> {
            let voice = voice.map(str::to_owned);
            let request = SpeechRequest { voice, ..SpeechRequest::new(Requester::local(), "It is noon.") };
            let chunks: Vec<AudioChunk> = kokoro.speak(request).try_collect().await.expect("works");
            chunks.iter().flat_map(|chunk| chunk.samples.to_vec()).collect()
        };
        let (heart, george) = (say(None).await, say(Some("bm_george")).await);
        let seconds = heart.len() as f32 / RATE.hz() as f32;
        assert!((0.5..3.0).contains(&seconds), "{seconds} s");
        assert_ne!(heart, george);
    }

    #[test]
    fn what_is_no_voice_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("af_x.bin"), [0; 8]).expect("written");
        let error = voices(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("af_x.bin"), "{error}");
    }
}
