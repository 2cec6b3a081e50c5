//! The thread that runs the model.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon_core::measure::account;
use antiphon_core::{Result, VoiceProbability, lock};
use ort::session::Session;
use ort::value::TensorRef;

use super::Activity;
use super::call::{CONTEXT, Call, LAYER, Purpose, Ready, STATE, WINDOW, Window};
use crate::local::onnx::failed;

/// Windows in one batch. Larger batches gain nothing (58 µs a window in batches of 32, 60 µs in batches of 64)
/// and delay the first.
const MAX_BATCH: usize = 32;

/// What the model thread owns. The buffers are reused from batch to batch.
pub(super) struct Worker {
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
    pub(super) fn new(session: Session, activity: Arc<Activity>) -> Self {
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

    /// Judges windows until the detector is dropped.
    pub(super) fn serve(&mut self, ready: &Ready) {
        let _working = account::Worker::new("vad").begin();
        while ready.gather(&mut self.batch, MAX_BATCH) {
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
                ready.push(call);
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
