//! Silero VAD: voice activity detection by a small recurrent network, for all calls at once.
//!
//! One thread owns the model. It takes one waiting window of each call, up to [`MAX_BATCH`], runs them as one batch and
//! starts over. It never waits for a batch to fill.

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

use super::voice::{Probabilities, channel};
use crate::local::onnx::{OnnxRuntime, failed};
use crate::lock::lock;

/// Samples of a window, the only size that the model takes: 32 ms at 16 kHz.
const WINDOW: usize = 512;
/// Samples of the previous window that are put before each window.
const CONTEXT: usize = 64;
/// The size of the recurrent state: two layers of 128.
const LAYER: usize = 128;
const STATE: usize = 2 * LAYER;
/// Windows in one batch. Larger batches gain nothing (58 µs a window in batches of 32, 60 µs in batches of 64)
/// and delay the first.
const MAX_BATCH: usize = 32;
/// Windows of one call that may wait: one second. When more wait, the oldest are dropped.
const MAX_WAITING: usize = 31;
/// Windows before the first one with sound that are run as well, 96 ms, so that the recurrent state fits the line.
const WARM_UP: usize = 3;

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

    fn counters(&self) -> Vec<Counter> {
        vec![Counter { name: "windows".into(), value: self.windows.load(Ordering::Relaxed) }]
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

/// The calls with waiting windows, each of them once.
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

/// One call: its waiting windows and its state of the network.
struct Call {
    account: Option<Arc<Account>>,
    output: Probabilities,
    windows: VecDeque<Window>,
    /// Whether the call is among the ready calls or in the current batch.
    scheduled: bool,
    context: [f32; CONTEXT],
    state: [f32; STATE],
}

struct Window {
    at: MediaTime,
    purpose: Purpose,
    /// Whether it is the first after silence: the state of the network is reset before it.
    first: bool,
    samples: [i16; WINDOW],
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    /// Its probability is sent to the call.
    Judge,
    /// It only updates the state of the network.
    WarmUp,
    /// It did not pass the gate: a probability of 0 is sent in its turn, without a run of the model.
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

    /// The next window for the model. The probabilities of silent windows before it are sent.
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
    /// Whether the previous window did not pass the gate, or there was none.
    closed: bool,
    /// The latest windows that did not pass the gate.
    recent: VecDeque<[i16; WINDOW]>,
    /// The window that is being filled, and the samples in it.
    window: [i16; WINDOW],
    filled: usize,
    /// Samples of all complete windows.
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

/// What the model thread owns. The buffers are reused from batch to batch.
struct Worker {
    session: Session,
    batch: Vec<(Arc<Mutex<Call>>, Window)>,
    input: Vec<f32>,
    state: Vec<f32>,
    probabilities: Vec<f32>,
    /// Duration of the latest batch.
    span: Duration,
    /// Whether the latest batch failed: the failure was logged already.
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

    /// Fills the batch with one window of each ready call; waits for the first call. Returns false when the
    /// thread is to stop.
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

    /// Sends each call of the batch its probability, and queues the calls that have more windows.
    fn answer(&mut self, ready: &Ready) {
        let share = self.span / self.batch.len().max(1) as u32;
        for (row, (call, window)) in self.batch.drain(..).enumerate() {
            let mut locked = lock(&call);
            if let Some(account) = &locked.account {
                account.charge(share);
            }
            if window.purpose == Purpose::Judge {
                // When the model fails, no voice is reported: the call goes on, and other signals end its turns.
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

    /// Runs the batch and fills `probabilities`, which stays empty when the run fails.
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
            // The shape of the model's state is [layer, call, 128].
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
