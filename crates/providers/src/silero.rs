//! Silero VAD: voice activity by a small recurrent network, for all calls at once.
//!
//! One thread owns the model. It takes one waiting window of every call, runs them as one batch and starts over;
//! with one call waiting the batch is one, with a thousand it is [`MAX_BATCH`].

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use antiphon_core::{BoxStream, Error, MediaTime, Result, SampleRate, Vad, VadStream, VoiceProbability};
use futures_util::{StreamExt, stream};
use ort::session::Session;
use ort::value::TensorRef;
use tokio::sync::mpsc;

use crate::onnx::{OnnxRuntime, failed};

/// Samples the model judges at once: 32 ms at 16 kHz (the model knows no other).
const WINDOW: usize = 512;
/// Samples of the window before that it wants to see again.
const CONTEXT: usize = 64;
/// Its memory: two layers of 128.
const STATE: usize = 256;
/// Larger batches gain nothing (ENGINES: 58 us a window at 32, 60 at 64) and delay the first.
const MAX_BATCH: usize = 32;
/// Windows of one call that may wait: one second. A thread that far behind skips.
const MAX_WAITING: usize = 31;
/// Windows run before a new voice is judged, so that the network's memory is warm: 96 ms.
const WARM_UP: usize = 3;

/// Says whether 16 kHz samples may hold speech, cheaply and erring on the side of speech.
pub type Gate = Box<dyn FnMut(&[i16]) -> bool + Send>;

/// The detector.
pub struct SileroVad {
    shared: Arc<Shared>,
    next: AtomicU64,
    gate: Box<dyn Fn() -> Gate + Send + Sync>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
}

#[derive(Default)]
struct Inbox {
    messages: Vec<Message>,
    stopping: bool,
}

enum Message {
    Open(u64, mpsc::UnboundedSender<VoiceProbability>),
    Window(Window),
    Close(u64),
}

struct Window {
    call: u64,
    at: MediaTime,
    samples: Box<[i16; WINDOW]>,
    waiting: Arc<AtomicUsize>,
    /// The first after the gate was closed: forget what was before.
    first: bool,
    /// Only warms the network's memory.
    warm: bool,
}

impl SileroVad {
    /// Loads the model. `gate` makes each call's first gate; windows that do not pass it are silence.
    pub fn open(
        runtime: &OnnxRuntime,
        model: &Path,
        gate: impl Fn() -> Gate + Send + Sync + 'static,
    ) -> Result<Self> {
        let session = runtime.session(model)?;
        let shared = Arc::new(Shared::default());
        let inbox = shared.clone();
        let thread = std::thread::Builder::new()
            .name("vad".to_owned())
            .spawn(move || Worker::new(session).serve(&inbox))
            .map_err(|e| Error::internal(format!("cannot start the VAD thread: {e}")))?;
        Ok(Self { shared, next: AtomicU64::new(0), gate: Box::new(gate), thread: Some(thread) })
    }
}

impl Drop for SileroVad {
    fn drop(&mut self) {
        lock(&self.shared.inbox).stopping = true;
        self.shared.wake.notify_one();
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
        let (output, mut judged) = mpsc::unbounded_channel();
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        self.shared.post(Message::Open(call, output.clone()));
        let input = Input {
            shared: self.shared.clone(),
            call,
            gate: (self.gate)(),
            closed: true,
            recent: VecDeque::with_capacity(WARM_UP),
            window: [0; WINDOW],
            filled: 0,
            judged: 0,
            waiting: Arc::default(),
            output,
        };
        (Box::new(input), stream::poll_fn(move |cx| judged.poll_recv(cx)).boxed())
    }
}

impl Shared {
    fn post(&self, message: Message) {
        let mut inbox = lock(&self.inbox);
        let idle = inbox.messages.is_empty();
        inbox.messages.push(message);
        drop(inbox);
        if idle {
            self.wake.notify_one();
        }
    }
}

/// The input half of one call.
struct Input {
    shared: Arc<Shared>,
    call: u64,
    gate: Gate,
    /// The gate did not let the window before through, or there was none.
    closed: bool,
    /// The latest windows that did not pass.
    recent: VecDeque<[i16; WINDOW]>,
    window: [i16; WINDOW],
    filled: usize,
    judged: u64,
    waiting: Arc<AtomicUsize>,
    output: mpsc::UnboundedSender<VoiceProbability>,
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
        if !(self.gate)(&self.window) {
            self.closed = true;
            if self.recent.len() == WARM_UP {
                self.recent.pop_front();
            }
            self.recent.push_back(self.window);
            // The call may be over.
            let _ = self.output.send(VoiceProbability { at, probability: 0.0 });
            return;
        }
        let mut first = std::mem::take(&mut self.closed);
        while let Some(window) = self.recent.pop_front() {
            self.post(at, &window, first, true);
            first = false;
        }
        self.post(at, &self.window, first, false);
    }

    fn post(&self, at: MediaTime, samples: &[i16; WINDOW], first: bool, warm: bool) {
        if self.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let (waiting, samples) = (self.waiting.clone(), Box::new(*samples));
            self.shared.post(Message::Window(Window { call: self.call, at, samples, waiting, first, warm }));
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.shared.post(Message::Close(self.call));
    }
}

/// What the model remembers of one call.
struct Call {
    output: mpsc::UnboundedSender<VoiceProbability>,
    context: [f32; CONTEXT],
    state: [f32; STATE],
    /// In the batch being put together.
    taken: bool,
}

/// The thread that owns the model.
struct Worker {
    session: Session,
    calls: HashMap<u64, Call>,
    waiting: VecDeque<Window>,
    input: Vec<f32>,
    state: Vec<f32>,
}

impl Worker {
    fn new(session: Session) -> Self {
        Self {
            session,
            calls: HashMap::new(),
            waiting: VecDeque::new(),
            input: Vec::new(),
            state: Vec::new(),
        }
    }

    fn serve(&mut self, shared: &Shared) {
        let mut messages = Vec::new();
        loop {
            {
                let mut inbox = lock(&shared.inbox);
                while inbox.messages.is_empty() && self.waiting.is_empty() && !inbox.stopping {
                    inbox = shared.wake.wait(inbox).unwrap_or_else(PoisonError::into_inner);
                }
                if inbox.stopping {
                    return;
                }
                std::mem::swap(&mut inbox.messages, &mut messages);
            }
            for message in messages.drain(..) {
                match message {
                    Message::Open(call, output) => {
                        let call_state =
                            Call { output, context: [0.0; CONTEXT], state: [0.0; STATE], taken: false };
                        self.calls.insert(call, call_state);
                    }
                    Message::Window(window) => self.waiting.push_back(window),
                    Message::Close(call) => drop(self.calls.remove(&call)),
                }
            }
            let batch = self.take();
            if !batch.is_empty() {
                self.judge(&batch);
            }
        }
    }

    /// The first waiting window of each call, as far as the batch goes.
    fn take(&mut self) -> Vec<Window> {
        let mut batch = Vec::with_capacity(MAX_BATCH.min(self.waiting.len()));
        let mut later = VecDeque::with_capacity(self.waiting.len());
        while let Some(window) = self.waiting.pop_front() {
            let Some(call) = self.calls.get_mut(&window.call) else { continue };
            if call.taken || batch.len() == MAX_BATCH {
                later.push_back(window);
            } else {
                call.taken = true;
                batch.push(window);
            }
        }
        self.waiting = later;
        batch
    }

    fn judge(&mut self, batch: &[Window]) {
        let probabilities = self.run(batch);
        for (n, window) in batch.iter().enumerate() {
            window.waiting.fetch_sub(1, Ordering::Relaxed);
            let Some(call) = self.calls.get_mut(&window.call) else { continue };
            call.taken = false;
            if !window.warm {
                // A model that fails hears nothing, and the call goes on with what else ends a turn.
                let probability = probabilities.as_ref().map_or(0.0, |p| p[n]);
                // The call may be over.
                let _ = call.output.send(VoiceProbability { at: window.at, probability });
            }
        }
        if let Err(error) = probabilities {
            tracing::error!(%error, "voice activity detection failed");
        }
    }

    fn run(&mut self, batch: &[Window]) -> Result<Vec<f32>> {
        let n = batch.len();
        self.input.clear();
        self.state.resize(n * STATE, 0.0);
        for (row, window) in batch.iter().enumerate() {
            let Some(call) = self.calls.get_mut(&window.call) else { continue };
            if window.first {
                call.context = [0.0; CONTEXT];
                call.state = [0.0; STATE];
            }
            self.input.extend_from_slice(&call.context);
            self.input.extend(window.samples.iter().map(|s| f32::from(*s) / 32_768.0));
            call.context.copy_from_slice(&self.input[self.input.len() - CONTEXT..]);
            // The model wants its state as [layer, call, 128].
            for layer in 0..2 {
                let to = (layer * n + row) * 128;
                self.state[to..to + 128].copy_from_slice(&call.state[layer * 128..(layer + 1) * 128]);
            }
        }
        let failed = failed("Silero VAD");
        let rate = [16_000_i64];
        let input =
            TensorRef::from_array_view(([n, CONTEXT + WINDOW], self.input.as_slice())).map_err(&failed)?;
        let state = TensorRef::from_array_view(([2, n, 128], self.state.as_slice())).map_err(&failed)?;
        let sr = TensorRef::from_array_view(((), rate.as_slice())).map_err(&failed)?;
        let outputs = self
            .session
            .run(ort::inputs!["input" => input, "state" => state, "sr" => sr])
            .map_err(&failed)?;
        let (_, probabilities) = outputs["output"].try_extract_tensor::<f32>().map_err(&failed)?;
        let (_, states) = outputs["stateN"].try_extract_tensor::<f32>().map_err(&failed)?;
        for (row, window) in batch.iter().enumerate() {
            let Some(call) = self.calls.get_mut(&window.call) else { continue };
            for layer in 0..2 {
                let from = (layer * n + row) * 128;
                call.state[layer * 128..(layer + 1) * 128].copy_from_slice(&states[from..from + 128]);
            }
        }
        Ok(probabilities.to_vec())
    }
}

fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech() -> Option<(SileroVad, Vec<i16>)> {
        let (models, data) = (crate::testing::models()?, crate::testing::testdata()?);
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let vad =
            SileroVad::open(&runtime, &models.join("silero-vad/silero_vad.onnx"), || Box::new(|_| true));
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
        let Some((vad, samples)) = speech() else { return };
        let voiced = judge(&vad, &samples).await;
        assert!(voiced.iter().filter(|p| **p > 0.5).count() * 2 > voiced.len());
        let silent = judge(&vad, &vec![0; 16_000]).await;
        assert!(silent.iter().all(|p| *p < 0.2), "{silent:?}");
    }

    #[tokio::test]
    async fn many_calls_at_once_are_judged_as_one_alone() {
        let Some((vad, samples)) = speech() else { return };
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
        let Some((_, samples)) = speech() else { return };
        let models = crate::testing::models().expect("found before");
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let loud = |window: &[i16]| window.iter().any(|s| s.unsigned_abs() > 200);
        let model = models.join("silero-vad/silero_vad.onnx");
        let vad = SileroVad::open(&runtime, &model, move || Box::new(loud)).expect("opens");
        let mut padded = vec![0; 32 * WINDOW];
        padded.extend(samples);
        let probabilities = judge(&vad, &padded).await;
        assert!(probabilities[..32].iter().all(|p| *p == 0.0));
        assert!(probabilities.iter().filter(|p| **p > 0.5).count() > 40);
    }
}
