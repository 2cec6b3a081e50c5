//! Piper: the default voice. Any single-speaker English Piper voice (`.onnx` with its `.onnx.json`) works.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
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

/// The most phonemes of one synthesis at the usual speed, which are 3 s to 6 s of speech: a live turn waits so long for a busy thread. Each
/// model thread also keeps the memory that its longest synthesis needed, which grows with the length. What a server takes in all is
/// bounded and printed by a test: `cargo test -p antiphon-server --test monitoring long_words -- --nocapture`.
const MAX_PHONEMES: usize = 100;

/// What the voice's `.onnx.json` says.
#[derive(Deserialize)]
struct Settings {
    audio: AudioSettings,
    inference: InferenceSettings,
    espeak: EspeakSettings,
    num_speakers: u32,
    #[serde(default)]
    phoneme_type: Option<String>,
    phoneme_id_map: HashMap<String, Vec<i64>>,
}

#[derive(Deserialize)]
struct AudioSettings {
    sample_rate: u32,
}

#[derive(Deserialize)]
struct InferenceSettings {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

#[derive(Deserialize)]
struct EspeakSettings {
    voice: String,
}

/// What a thread of the pool is to say, and how fast.
struct Job {
    script: Script,
    speed: f32,
}

/// A voice of Piper, a speech synthesiser that runs on the CPU.
pub struct Piper {
    run: Operation<Job, Synthesis>,
    rate: SampleRate,
    voice: Voice,
}

/// The voice as one thread of the pool runs it, with a session of its own.
struct Synthesiser {
    session: Session,
    settings: Arc<Settings>,
    phonemizer: Arc<Phonemizer>,
}

impl Piper {
    /// Opens a voice; its settings lie beside it, with `.json` added to the name.
    pub fn open(
        runtime: &OnnxRuntime,
        pool: &ModelPool,
        phonemizer: &Arc<Phonemizer>,
        model: &Path,
    ) -> Result<Self> {
        let model = existing(model)?;
        let settings = Arc::new(Settings::read(&model)?);
        let rate = SampleRate::new(settings.audio.sample_rate)
            .ok_or_else(|| unusable(&model, "an absurd sample rate"))?;
        let name = model.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let voice = Voice { id: name, language: "en-US".to_owned() };
        let (runtime, phonemizer) = (runtime.clone(), phonemizer.clone());
        let open = move || -> Result<Synthesiser> {
            let session = runtime.session(&model)?;
            Ok(Synthesiser { session, settings: settings.clone(), phonemizer: phonemizer.clone() })
        };
        let run = pool.operation("piper", 1, open, |synthesiser: &mut Synthesiser, jobs: Vec<Job>| {
            jobs.into_iter().map(|job| synthesiser.run(job)).collect()
        })?;
        Ok(Self { run, rate, voice })
    }
}

fn unusable(model: &Path, what: &str) -> Error {
    Error::invalid(format!("{} cannot be used as a Piper voice: {what}", model.display()))
}

impl Settings {
    fn read(model: &Path) -> Result<Self> {
        let mut path = model.as_os_str().to_owned();
        path.push(".json");
        let path = existing(&PathBuf::from(path))?;
        let text = std::fs::read_to_string(&path).map_err(|e| unusable(&path, &e.to_string()))?;
        let settings: Self = serde_json::from_str(&text).map_err(|e| unusable(&path, &e.to_string()))?;
        if !settings.espeak.voice.starts_with("en") {
            let what =
                format!("it speaks {}, and only English can be turned into phonemes", settings.espeak.voice);
            return Err(unusable(model, &what));
        }
        if settings.num_speakers > 1 {
            return Err(unusable(model, "it has several speakers"));
        }
        if settings.phoneme_type.as_deref().is_some_and(|kind| kind != "espeak") {
            return Err(unusable(model, "its phonemes are not espeak's"));
        }
        Ok(settings)
    }

    /// The ids of the phonemes as Piper's voices were trained: `^`, then each phoneme followed by the pad, then `$`.
    fn ids(&self, phonemes: &str) -> Vec<i64> {
        let id = |symbol: &str| self.phoneme_id_map.get(symbol).and_then(|ids| ids.first().copied());
        let pad = id("_").unwrap_or(0);
        let mut ids = vec![id("^").unwrap_or(1), pad];
        let mut buffer = [0; 4];
        for c in phonemes.chars() {
            if let Some(phoneme) = id(c.encode_utf8(&mut buffer)) {
                ids.extend([phoneme, pad]);
            }
        }
        ids.push(id("$").unwrap_or(2));
        ids
    }
}

impl Synthesiser {
    /// Says as much of a script as one synthesis may.
    fn run(&mut self, job: Job) -> Result<Synthesis> {
        let phonemes = match job.script {
            Script::Sentence(text) => self.phonemizer.espeak(&text)?,
            Script::Phonemes(phonemes) => phonemes,
        };
        let (now, rest) = phrases::cut(&phonemes, phrases::longest(MAX_PHONEMES, job.speed));
        Ok(Synthesis { samples: self.say(now, job.speed)?, rest: rest.to_owned() })
    }

    fn say(&mut self, phonemes: &str, speed: f32) -> Result<Vec<i16>> {
        let failed = failed("Piper");
        if !phonemes.chars().any(char::is_alphabetic) {
            return Ok(Vec::new());
        }
        let settings = &self.settings;
        let ids = settings.ids(phonemes);
        let InferenceSettings { noise_scale, length_scale, noise_w } = settings.inference;
        let scales = [noise_scale, length_scale / speed, noise_w];
        let lengths = [ids.len() as i64];
        let input = TensorRef::from_array_view(([1, ids.len()], ids.as_slice())).map_err(&failed)?;
        let lengths = TensorRef::from_array_view(([1], lengths.as_slice())).map_err(&failed)?;
        let scales = TensorRef::from_array_view(([3], scales.as_slice())).map_err(&failed)?;
        let outputs = self
            .session
            .run(ort::inputs!["input" => input, "input_lengths" => lengths, "scales" => scales])
            .map_err(&failed)?;
        let (_, audio) = outputs["output"].try_extract_tensor::<f32>().map_err(&failed)?;
        Ok(finish(audio, settings.audio.sample_rate as f32))
    }
}

impl Tts for Piper {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "piper", voices: std::slice::from_ref(&self.voice) }
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let (run, rate, priority) = (self.run.clone(), self.rate, request.priority);
        let speed = phrases::speed(&request);
        phrases::speak(&request.text, move |script| run.run(Job { script, speed }, priority))
            .map_ok(move |samples| AudioChunk::new(rate, samples))
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::Requester;

    use super::*;

    #[tokio::test]
    async fn text_becomes_speech_of_plausible_length() {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let pool = ModelPool::new(1).expect("threads");
        let model = models.join("piper-en_US-joe-medium/en_US-joe-medium.onnx");
        let voice = Piper::open(&runtime, &pool, &Arc::new(Phonemizer::new()), &model).expect("opens");
        let say = async |text: &str, speed| -> f32 {
            let request = SpeechRequest { speed, ..SpeechRequest::new(Requester::local(), text) };
            let chunks: Vec<_> = voice.speak(request).try_collect().await.expect("works");
            chunks.iter().map(|c: &AudioChunk| c.duration().as_secs_f32()).sum()
        };
        let text = "Sure, I can help with that. What is your order number?";
        let length = say(text, 1.0).await;
        assert!((2.0..6.0).contains(&length), "{length} s");
        let fast = say(text, 2.0).await;
        assert!(fast < 0.7 * length, "{fast} s at double speed");
        assert!(say("***", 1.0).await < 0.01);
        assert!(say(&"W".repeat(100), 1.0).await > 10.0, "a word that is spelled is said to its end");
    }
}
