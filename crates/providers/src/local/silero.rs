//! Silero VAD: voice activity detection by a small recurrent network, for all calls at once.
//!
//! One thread owns the model. It takes one waiting window of each call, up to 32, runs them as one batch and starts over.
//! It never waits for a batch to fill.

mod call;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use antiphon_core::measure::{Component, Counter, Stage};
use antiphon_core::{BoxStream, Error, Result, Vad, VadStream, VoiceProbability};

use super::onnx::OnnxRuntime;
use super::voice::channel;
use call::{Input, Ready};
use worker::Worker;

/// A cheap test of whether 16 kHz samples may hold speech. When in doubt it says yes.
pub type Gate = Box<dyn FnMut(&[i16]) -> bool + Send>;

/// The Silero voice activity detector.
pub struct SileroVad {
    ready: Arc<Ready>,
    gate: Box<dyn Fn() -> Gate + Send + Sync>,
    thread: Option<JoinHandle<()>>,
    activity: Arc<Activity>,
}

/// The measurements of the detector, for all calls.
struct Activity {
    ready: Arc<Ready>,
    /// Duration of a batch.
    run: Stage,
    /// Windows that were run.
    windows: AtomicU64,
}

impl Component for Activity {
    fn name(&self) -> &'static str {
        "vad"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.run]
    }

    fn frame_wait(&self) -> Duration {
        self.ready.wait()
    }

    fn counters(&self) -> Vec<Counter> {
        vec![Counter::new("windows", self.windows.load(Ordering::Relaxed))]
    }
}

impl SileroVad {
    /// The measurements of the detector.
    pub fn component(&self) -> Arc<dyn Component> {
        self.activity.clone()
    }

    /// Loads the model. `gate` makes a gate for each call; windows that do not pass it count as silence without a
    /// run of the model.
    pub fn open(
        runtime: &OnnxRuntime,
        model: &Path,
        gate: impl Fn() -> Gate + Send + Sync + 'static,
    ) -> Result<Self> {
        let session = runtime.session(model)?;
        let ready = Arc::new(Ready::default());
        let calls = ready.clone();
        let (run, windows) = (Stage::new("batch"), AtomicU64::new(0));
        let activity = Arc::new(Activity { ready: ready.clone(), run, windows });
        let measured = activity.clone();
        let thread = std::thread::Builder::new()
            .name("vad".to_owned())
            .spawn(move || Worker::new(session, measured).serve(&calls))
            .map_err(|e| Error::internal(format!("cannot start the VAD thread: {e}")))?;
        Ok(Self { ready, gate: Box::new(gate), thread: Some(thread), activity })
    }

    fn open_behind(&self, gate: Gate) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>) {
        let (output, probabilities) = channel();
        (Box::new(Input::new(self.ready.clone(), output, gate)), probabilities)
    }
}

/// The same detector for audio that is no call's, such as files: every window is run.
pub struct UngatedSilero(pub Arc<SileroVad>);

impl Vad for UngatedSilero {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>) {
        self.0.open_behind(Box::new(|_| true))
    }
}

impl Drop for SileroVad {
    fn drop(&mut self) {
        self.ready.stop();
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

impl Vad for SileroVad {
    fn name(&self) -> &'static str {
        "silero"
    }

    fn open(&self) -> (Box<dyn VadStream>, BoxStream<'static, VoiceProbability>) {
        self.open_behind((self.gate)())
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::{MediaTime, SampleRate};
    use futures_util::StreamExt;

    use super::call::WINDOW;
    use super::*;

    /// A detector behind a gate, and a spoken sentence.
    fn speech(gate: fn(&[i16]) -> bool) -> (SileroVad, Vec<i16>) {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let vad =
            SileroVad::open(&runtime, &models.join("silero-vad/silero_vad.onnx"), move || Box::new(gate));
        (vad.expect("opens"), antiphon_testkit::wav16("read_speech/spk1_snt1.wav"))
    }

    async fn judge(vad: &SileroVad, samples: &[i16]) -> Vec<f32> {
        let (mut input, output) = vad.open();
        // Each window is awaited, because windows are dropped when more than a second of them waits.
        let mut output = output;
        let mut all = Vec::new();
        for window in samples.chunks_exact(WINDOW) {
            input.push(window);
            all.push(output.next().await.expect("judged").probability);
        }
        drop(input);
        assert_eq!(output.next().await, None, "ends with its input");
        all
    }

    #[tokio::test]
    async fn speech_is_told_from_silence() {
        let (vad, samples) = speech(|_| true);
        let voiced = judge(&vad, &samples).await;
        assert!(voiced.iter().filter(|p| **p > 0.5).count() * 2 > voiced.len());
        let silent = judge(&vad, &vec![0; 16_000]).await;
        assert!(silent.iter().all(|p| *p < 0.2), "{silent:?}");
    }

    #[tokio::test]
    async fn many_calls_at_once_are_judged_as_one_alone() {
        let (vad, samples) = speech(|_| true);
        let alone = judge(&vad, &samples).await;
        let together = futures_util::future::join_all((0..20).map(|_| judge(&vad, &samples))).await;
        for probabilities in together {
            for (a, b) in alone.iter().zip(&probabilities) {
                assert!((a - b).abs() < 1e-3, "{a} {b}");
            }
        }
    }

    #[tokio::test]
    async fn what_the_gate_stops_is_silence_and_the_next_voice_is_judged_warm() {
        let loud = |window: &[i16]| window.iter().any(|s| s.unsigned_abs() > 200);
        let (vad, samples) = speech(loud);
        let mut padded = vec![0; 32 * WINDOW];
        padded.extend(samples);
        let probabilities = judge(&vad, &padded).await;
        assert!(probabilities[..32].iter().all(|p| *p == 0.0));
        assert!(probabilities.iter().filter(|p| **p > 0.5).count() > 40);
    }

    #[tokio::test]
    async fn a_call_far_behind_loses_its_oldest_windows_and_keeps_their_order() {
        let (vad, samples) = speech(|_| true);
        let (mut input, output) = vad.open();
        for _ in 0..20 {
            input.push(&samples);
        }
        drop(input);
        let all: Vec<_> = output.collect().await;
        let windows = samples.len() as u64 * 20 / WINDOW as u64;
        assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert_eq!(
            all.last().map(|v| v.at),
            Some(MediaTime::from_samples(windows * WINDOW as u64, SampleRate::HZ_16000))
        );
    }

    #[tokio::test]
    async fn silence_does_not_overtake_the_voice_before_it() {
        let loud = |window: &[i16]| window.iter().any(|s| s.unsigned_abs() > 200);
        let (vad, samples) = speech(loud);
        let (mut input, output) = vad.open();
        input.push(&samples[8_192..8_192 + 4 * WINDOW]);
        input.push(&[0; 8 * WINDOW]);
        drop(input);
        let all: Vec<_> = output.collect().await;
        assert_eq!(all.len(), 12);
        assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
