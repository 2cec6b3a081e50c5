//! A voice that says a text the same each time, a recogniser that listens, and speech that is changed less than anybody
//! would notice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use antiphon_audio::Resampler;
use antiphon_core::{AudioChunk, Requester, SampleRate, SpeechRequest, Stt, SttInput, SttOptions, Tts};
use antiphon_providers::local::moonshine::Moonshine;
use antiphon_providers::local::onnx::OnnxRuntime;
use antiphon_providers::local::phonemes::Phonemizer;
use antiphon_providers::local::piper::Piper;
use antiphon_providers::pool::ModelPool;
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;

/// Changes that hardly anybody hears. A clause whose words change with one of them is too hard for the recogniser to say anything
/// about the cache.
pub(crate) const CONTROLS: [Control; 4] = [
    Control { name: "noise -50 dB", change: |audio| with_noise(audio, -50.0) },
    Control { name: "noise -40 dB", change: |audio| with_noise(audio, -40.0) },
    Control { name: "5 ms later", change: later },
    Control { name: "resampled", change: |audio| resample(&resample(audio, twice(audio.rate)), audio.rate) },
];

/// A change that has nothing to do with a codec.
pub(crate) struct Control {
    pub(crate) name: &'static str,
    change: fn(&AudioChunk) -> AudioChunk,
}

/// What the recogniser heard of a clause, from the voice and from the cache.
pub(crate) struct Heard {
    pub(crate) fresh: String,
    pub(crate) kept: String,
    /// Whether the words stayed the same with each of [`CONTROLS`].
    pub(crate) same: [bool; CONTROLS.len()],
}

impl Heard {
    /// Whether the words are the same from the cache.
    pub(crate) fn is_kept(&self) -> bool {
        letters(&self.kept) == letters(&self.fresh)
    }
}

/// The Piper voice and the Moonshine recogniser that the tests listen with.
pub(crate) struct Models {
    pub(crate) voice: Arc<dyn Tts>,
    recogniser: Moonshine,
    _pool: ModelPool,
    _settings: TempDir,
}

impl Models {
    /// Opens the installed models.
    pub(crate) fn open() -> Self {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let pool = ModelPool::new(1).expect("threads");
        let recogniser = Moonshine::open(&runtime, &pool, &models.join("moonshine-tiny-en")).expect("opens");
        let settings = tempfile::tempdir().expect("a folder");
        let voice = steady_voice(&models, settings.path());
        let voice = Piper::open(&runtime, &pool, &Arc::new(Phonemizer::new()), &voice).expect("opens");
        Self { voice: Arc::new(voice), recogniser, _pool: pool, _settings: settings }
    }

    /// Listens to a clause as it was said, to what was kept of it, and to what the controls make of it.
    pub(crate) async fn listen(&self, fresh: &AudioChunk, kept: &AudioChunk) -> Heard {
        let words = self.hear(fresh).await;
        let mut same = [false; CONTROLS.len()];
        for (same, control) in same.iter_mut().zip(&CONTROLS) {
            *same = letters(&self.hear(&(control.change)(fresh)).await) == letters(&words);
        }
        Heard { fresh: words, kept: self.hear(kept).await, same }
    }

    async fn hear(&self, audio: &AudioChunk) -> String {
        let samples = resample(audio, SampleRate::HZ_16000).samples;
        let input = stream::iter([SttInput::Audio(samples), SttInput::Flush]).boxed();
        let heard = self.recogniser.transcribe(SttOptions::new(Requester::local()), input);
        let heard: Vec<_> = heard.try_collect().await.expect("heard");
        heard.last().expect("an answer").text.clone()
    }
}

/// Piper as it is delivered says a text differently each time: it draws how the voice sounds (`noise_scale`) and how long
/// each sound lasts (`noise_w`). This one always takes the mean; its settings are put into `folder`.
fn steady_voice(models: &Path, folder: &Path) -> PathBuf {
    const NAME: &str = "en_US-joe-medium.onnx";
    let delivered = models.join("piper-en_US-joe-medium");
    let settings = std::fs::read(delivered.join(format!("{NAME}.json"))).expect("readable");
    let mut settings: Value = serde_json::from_slice(&settings).expect("JSON");
    for noise in ["noise_scale", "noise_w"] {
        settings["inference"][noise] = 0.into();
    }
    std::fs::write(folder.join(format!("{NAME}.json")), settings.to_string()).expect("writable");
    std::fs::copy(delivered.join(NAME), folder.join(NAME)).expect("copied");
    folder.join(NAME)
}

/// All of a clause, as one chunk.
pub(crate) async fn say(tts: &dyn Tts, text: &str) -> AudioChunk {
    let chunks: Vec<AudioChunk> =
        tts.speak(SpeechRequest::new(Requester::local(), text)).try_collect().await.expect("said");
    assert!(chunks.iter().all(|chunk| chunk.rate == chunks[0].rate), "one rate");
    let samples: Vec<i16> = chunks.iter().flat_map(|chunk| chunk.samples.iter().copied()).collect();
    AudioChunk::new(chunks[0].rate, samples)
}

/// The letters and digits of what was heard: "482-13977" and "48213977" are the same words.
fn letters(heard: &str) -> String {
    heard.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Adds white noise, the same every time, at `level` decibels relative to the mean power.
fn with_noise(audio: &AudioChunk, level: f64) -> AudioChunk {
    let power = audio.samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>();
    let mean = power / audio.samples.len() as f64;
    // The power of what is spread evenly up to `peak` is a third of its square.
    let peak = (3.0 * mean).sqrt() * 10_f64.powf(level / 20.0);
    let mut noise = StdRng::seed_from_u64(1);
    let noisy = |&sample: &i16| (f64::from(sample) + peak * noise.random_range(-1.0..1.0)).round() as i16;
    AudioChunk::new(audio.rate, audio.samples.iter().map(noisy).collect::<Vec<_>>())
}

fn later(audio: &AudioChunk) -> AudioChunk {
    let mut samples = vec![0; audio.rate.hz() as usize / 200];
    samples.extend_from_slice(&audio.samples);
    AudioChunk::new(audio.rate, samples)
}

fn twice(rate: SampleRate) -> SampleRate {
    SampleRate::new(2 * rate.hz()).expect("a rate")
}

pub(crate) fn resample(audio: &AudioChunk, rate: SampleRate) -> AudioChunk {
    let mut resampler = Resampler::new(audio.rate, rate);
    let mut samples = Vec::new();
    resampler.process(&audio.samples, &mut samples);
    resampler.flush(&mut samples);
    AudioChunk::new(rate, samples)
}
