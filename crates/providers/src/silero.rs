//! Silero VAD: voice activity by a small recurrent network, for all calls at once.
//!
//! One thread owns the model. It takes one waiting window of every call, runs them as one batch and starts over;
//! with one call waiting the batch is one, with a thousand it is [`MAX_BATCH`].

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use antiphon_core::measure::account::{self, Account};
use antiphon_core::measure::{Component, Counter, Stage};
use antiphon_core::{BoxStream, Error, MediaTime, Result, SampleRate, Vad, VadStream, VoiceProbability};
use ort::session::Session;
use ort::value::TensorRef;

use crate::onnx::{OnnxRuntime, failed};
use crate::voice::{Probabilities, channel, lock};

/// Samples the model judges at once: 32 ms at 16 kHz (the model knows no other).
const WINDOW: usize = 512;
/// Samples of the window before that it wants to see again.
const CONTEXT: usize = 64;
/// Its memory: two layers of 128.
const LAYER: usize = 128;
const STATE: usize = 2 * LAYER;
/// Larger batches gain nothing (ENGINES: 58 us a window at 32, 60 at 64) and delay the first.
const MAX_BATCH: usize = 32;
/// Windows of one call that may wait: one second. Of a call further behind, the oldest are not judged.
const MAX_WAITING: usize = 31;
/// Windows run before a new voice is judged, so that the network's memory is warm: 96 ms.
const WARM_UP: usize = 3;

/// Says whether 16 kHz samples may hold speech, cheaply and erring on the side of speech.
pub type Gate = Box<dyn FnMut(&[i16]) -> bool + Send>;

/// The detector.
pub struct SileroVad {
    ready: Arc<Ready>,
    gate: Box<dyn Fn() -> Gate + Send + Sync>,
    thread: Option<JoinHandle<()>>,
    activity: Arc<Activity>,
}

/// What the detector has done for all calls.
struct Activity {
    /// Of a batch.
    run: Stage,
    windows: AtomicU64,
}

impl Component for Activity {
    fn name(&self) -> &'static str {
        "vad"
    }

    fn stages(&self) -> Vec<&Stage> {
        vec![&self.run]
    }

    fn counters(&self) -> Vec<Counter> {
        vec![Counter { name: "windows".into(), value: self.windows.load(Ordering::Relaxed) }]
    }
}

impl SileroVad {
    /// What it has done, as far as it is measured.
    pub fn component(&self) -> Arc<dyn Component> {
        self.activity.clone()
    }

    /// Loads the model. `gate` makes each call's first gate; windows that do not pass it are silence.
    pub fn open(
        runtime: &OnnxRuntime,
        model: &Path,
        gate: impl Fn() -> Gate + Send + Sync + 'static,
    ) -> Result<Self> {
        let session = runtime.session(model)?;
        let ready = Arc::new(Ready::default());
        let calls = ready.clone();
        let activity = Arc::new(Activity { run: Stage::new("batch"), windows: AtomicU64::new(0) });
        let measured = activity.clone();
        let thread = std::thread::Builder::new()
            .name("vad".to_owned())
            .spawn(move || Worker::new(session, measured).serve(&calls))
            .map_err(|e| Error::internal(format!("cannot start the VAD thread: {e}")))?;
        Ok(Self { ready, gate: Box::new(gate), thread: Some(thread), activity })
    }
}

impl Drop for SileroVad {
    fn drop(&mut self) {
        lock(&self.ready.calls).stopping = true;
        self.ready.wake.notify_one();
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
        let (output, probabilities) = channel();
        let input = Input {
            ready: self.ready.clone(),
            call: Arc::new(Mutex::new(Call::new(output))),
            gate: (self.gate)(),
            closed: true,
            recent: VecDeque::with_capacity(WARM_UP),
            window: [0; WINDOW],
            filled: 0,
            judged: 0,
        };
        (Box::new(input), probabilities)
    }
}

/// The calls that have windows waiting, each once.
#[derive(Default)]
struct Ready {
    calls: Mutex<ReadyCalls>,
    wake: Condvar,
}

#[derive(Default)]
struct ReadyCalls {
    waiting: VecDeque<Arc<Mutex<Call>>>,
    stopping: bool,
}

/// One call: its windows, and what the model remembers of it.
struct Call {
    account: Option<Arc<Account>>,
    output: Probabilities,
    windows: VecDeque<Window>,
    /// Among the ready calls, or in the batch being judged.
    scheduled: bool,
    context: [f32; CONTEXT],
    state: [f32; STATE],
}

struct Window {
    at: MediaTime,
    purpose: Purpose,
    /// The first after the gate was closed: forget what was before.
    first: bool,
    samples: [i16; WINDOW],
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    Judge,
    /// Only warms the network's memory.
    WarmUp,
    /// Known to be silent; waits for its turn.
    Silence,
}

impl Call {
    fn new(output: Probabilities) -> Self {
        Self {
            account: account::current(),
            output,
            windows: VecDeque::new(),
            scheduled: false,
            context: [0.0; CONTEXT],
            state: [0.0; STATE],
        }
    }

    fn push(&mut self, window: Window) {
        if self.windows.len() == MAX_WAITING {
            self.windows.pop_front();
        }
        self.windows.push_back(window);
    }

    /// The next window for the model; silence before it is passed on.
    fn next(&mut self) -> Option<Window> {
        loop {
            let window = self.windows.pop_front()?;
            if window.purpose != Purpose::Silence {
                return Some(window);
            }
            self.output.send(VoiceProbability { at: window.at, probability: 0.0 });
        }
    }
}

/// The input half of one call.
struct Input {
    ready: Arc<Ready>,
    call: Arc<Mutex<Call>>,
    gate: Gate,
    /// The gate did not let the window before through, or there was none.
    closed: bool,
    /// The latest windows that did not pass.
    recent: VecDeque<[i16; WINDOW]>,
    window: [i16; WINDOW],
    filled: usize,
    judged: u64,
}

impl VadStream for Input {
    fn push(&mut self, mut samples: &[i16]) {
        while !samples.is_empty() {
            let take = samples.len().min(WINDOW - self.filled);
            let (now, later) = samples.split_at(take);
            self.window[self.filled..self.filled + take].copy_from_slice(now);
            self.filled += take;
            samples = later;
            if self.filled == WINDOW {
                self.filled = 0;
                self.judged += WINDOW as u64;
                self.judge();
            }
        }
    }
}

impl Input {
    fn judge(&mut self) {
        let at = MediaTime::from_samples(self.judged, SampleRate::HZ_16000);
        let samples = self.window;
        let passes = (self.gate)(&samples);
        let mut call = lock(&self.call);
        if !passes {
            self.closed = true;
            if self.recent.len() == WARM_UP {
                self.recent.pop_front();
            }
            self.recent.push_back(samples);
            if call.scheduled {
                call.push(Window { at, purpose: Purpose::Silence, first: false, samples });
            } else {
                call.output.send(VoiceProbability { at, probability: 0.0 });
            }
            return;
        }
        let mut first = std::mem::take(&mut self.closed);
        for samples in self.recent.drain(..) {
            call.push(Window { at, purpose: Purpose::WarmUp, first, samples });
            first = false;
        }
        call.push(Window { at, purpose: Purpose::Judge, first, samples });
        if !std::mem::replace(&mut call.scheduled, true) {
            drop(call);
            lock(&self.ready.calls).waiting.push_back(self.call.clone());
            self.ready.wake.notify_one();
        }
    }
}

/// The thread that owns the model. Its buffers are kept from batch to batch.
struct Worker {
    session: Session,
    batch: Vec<(Arc<Mutex<Call>>, Window)>,
    input: Vec<f32>,
    state: Vec<f32>,
    probabilities: Vec<f32>,
    /// How long the last run took.
    span: Duration,
    /// The last run failed: that was said already.
    failing: bool,
    activity: Arc<Activity>,
}

impl Worker {
    fn new(session: Session, activity: Arc<Activity>) -> Self {
        Self {
            session,
            batch: Vec::with_capacity(MAX_BATCH),
            input: Vec::with_capacity(MAX_BATCH * (CONTEXT + WINDOW)),
            state: Vec::with_capacity(MAX_BATCH * STATE),
            probabilities: Vec::with_capacity(MAX_BATCH),
            span: Duration::ZERO,
            failing: false,
            activity,
        }
    }

    fn serve(&mut self, ready: &Ready) {
        let _working = account::Worker::new("vad").begin();
        while self.gather(ready) {
            #[expect(
                clippy::disallowed_methods,
                reason = "a thread without a runtime; the work takes real time"
            )]
            let began = Instant::now();
            let ran = self.run();
            self.span = began.elapsed();
            self.activity.run.record(self.span);
            self.activity.windows.fetch_add(self.batch.len() as u64, Ordering::Relaxed);
            if ran.is_err() {
                self.activity.run.fail();
            }
            if let Err(error) = &ran
                && !self.failing
            {
                tracing::error!(%error, "voice activity detection failed; until it works again, nobody is heard");
            }
            self.failing = ran.is_err();
            self.answer(ready);
        }
    }

    /// Fills the batch with a window of each ready call; waits for the first. False when it is time to stop.
    fn gather(&mut self, ready: &Ready) -> bool {
        let mut calls = lock(&ready.calls);
        while self.batch.is_empty() {
            while calls.waiting.is_empty() && !calls.stopping {
                calls = ready.wake.wait(calls).unwrap_or_else(PoisonError::into_inner);
            }
            if calls.stopping {
                return false;
            }
            while self.batch.len() < MAX_BATCH
                && let Some(call) = calls.waiting.pop_front()
            {
                let mut locked = lock(&call);
                let next = locked.next();
                locked.scheduled = next.is_some();
                drop(locked);
                if let Some(window) = next {
                    self.batch.push((call, window));
                }
            }
        }
        true
    }

    /// Tells each call of the batch, and lines up again those that have more.
    fn answer(&mut self, ready: &Ready) {
        let share = self.span / self.batch.len().max(1) as u32;
        for (row, (call, window)) in self.batch.drain(..).enumerate() {
            let mut locked = lock(&call);
            if let Some(account) = &locked.account {
                account.charge(share);
            }
            if window.purpose == Purpose::Judge {
                // A model that fails hears nothing, and the call goes on with what else ends a turn.
                let probability = self.probabilities.get(row).copied().unwrap_or(0.0);
                locked.output.send(VoiceProbability { at: window.at, probability });
            }
            locked.scheduled = !locked.windows.is_empty();
            if locked.scheduled {
                drop(locked);
                lock(&ready.calls).waiting.push_back(call);
            }
        }
    }

    /// Fills `probabilities`; leaves none of a run that fails.
    fn run(&mut self) -> Result<()> {
        let n = self.batch.len();
        self.probabilities.clear();
        self.input.clear();
        self.state.resize(n * STATE, 0.0);
        for (row, (call, window)) in self.batch.iter().enumerate() {
            let mut call = lock(call);
            if window.first {
                call.context = [0.0; CONTEXT];
                call.state = [0.0; STATE];
            }
            self.input.extend_from_slice(&call.context);
            self.input.extend(window.samples.iter().map(|s| f32::from(*s) / 32_768.0));
            call.context.copy_from_slice(&self.input[self.input.len() - CONTEXT..]);
            // The model wants its state as [layer, call, 128].
            for (layer, state) in call.state.chunks_exact(LAYER).enumerate() {
                self.state[(layer * n + row) * LAYER..][..LAYER].copy_from_slice(state);
            }
        }
        let failed = failed("Silero VAD");
        let rate = [16_000_i64];
        let input =
            TensorRef::from_array_view(([n, CONTEXT + WINDOW], self.input.as_slice())).map_err(&failed)?;
        let state = TensorRef::from_array_view(([2, n, LAYER], self.state.as_slice())).map_err(&failed)?;
        let sr = TensorRef::from_array_view(((), rate.as_slice())).map_err(&failed)?;
        let outputs = self
            .session
            .run(ort::inputs!["input" => input, "state" => state, "sr" => sr])
            .map_err(&failed)?;
        let (_, probabilities) = outputs["output"].try_extract_tensor::<f32>().map_err(&failed)?;
        let (_, states) = outputs["stateN"].try_extract_tensor::<f32>().map_err(&failed)?;
        for (row, (call, _)) in self.batch.iter().enumerate() {
            for (layer, state) in lock(call).state.chunks_exact_mut(LAYER).enumerate() {
                state.copy_from_slice(&states[(layer * n + row) * LAYER..][..LAYER]);
            }
        }
        self.probabilities.extend_from_slice(probabilities);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    /// A detector behind a gate, and a sentence.
    fn speech(gate: fn(&[i16]) -> bool) -> Option<(SileroVad, Vec<i16>)> {
        let (models, data) = (crate::testing::models()?, crate::testing::testdata()?);
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let vad =
            SileroVad::open(&runtime, &models.join("silero-vad/silero_vad.onnx"), move || Box::new(gate));
        Some((vad.expect("opens"), crate::testing::wav16(&data.join("read_speech/spk1_snt1.wav"))))
    }

    async fn judge(vad: &SileroVad, samples: &[i16]) -> Vec<f32> {
        let (mut input, output) = vad.open();
        // Not faster than a thread can follow: a second at most may wait.
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
        let Some((vad, samples)) = speech(|_| true) else { return };
        let voiced = judge(&vad, &samples).await;
        assert!(voiced.iter().filter(|p| **p > 0.5).count() * 2 > voiced.len());
        let silent = judge(&vad, &vec![0; 16_000]).await;
        assert!(silent.iter().all(|p| *p < 0.2), "{silent:?}");
    }

    #[tokio::test]
    async fn many_calls_at_once_are_judged_as_one_alone() {
        let Some((vad, samples)) = speech(|_| true) else { return };
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
        let Some((vad, samples)) = speech(loud) else { return };
        let mut padded = vec![0; 32 * WINDOW];
        padded.extend(samples);
        let probabilities = judge(&vad, &padded).await;
        assert!(probabilities[..32].iter().all(|p| *p == 0.0));
        assert!(probabilities.iter().filter(|p| **p > 0.5).count() > 40);
    }

    #[tokio::test]
    async fn a_call_far_behind_loses_its_oldest_windows_and_keeps_their_order() {
        let Some((vad, samples)) = speech(|_| true) else { return };
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
        let Some((vad, samples)) = speech(loud) else { return };
        let (mut input, output) = vad.open();
        input.push(&samples[8_192..8_192 + 4 * WINDOW]);
        input.push(&[0; 8 * WINDOW]);
        drop(input);
        let all: Vec<_> = output.collect().await;
        assert_eq!(all.len(), 12);
        assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
