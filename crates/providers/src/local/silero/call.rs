//! The calls of the detector: their audio in windows, and the queue of those that wait for the model.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use antiphon_core::measure::account::{self, Account};
use antiphon_core::{MediaTime, SampleRate, VadStream, VoiceProbability, lock};

use super::Gate;
use crate::local::voice::Probabilities;

/// Samples of a window, the only size that the model takes: 32 ms at 16 kHz.
pub(super) const WINDOW: usize = 512;
/// Samples of the previous window that are put before each window.
pub(super) const CONTEXT: usize = 64;
/// The size of the recurrent state: two layers of 128.
pub(super) const LAYER: usize = 128;
pub(super) const STATE: usize = 2 * LAYER;
/// Windows of one call that may wait: one second. When more wait, the oldest are dropped.
const MAX_WAITING: usize = 31;
/// Windows before the first one with sound that are run as well, 96 ms, so that the recurrent state fits the line.
const WARM_UP: usize = 3;

/// The calls with waiting windows, each of them once.
#[derive(Default)]
pub(super) struct Ready {
    calls: Mutex<ReadyCalls>,
    wake: Condvar,
}

#[derive(Default)]
struct ReadyCalls {
    /// Each with the time since which it waits.
    waiting: VecDeque<(Instant, Arc<Mutex<Call>>)>,
    stopping: bool,
}

impl Ready {
    /// Queues a call that has a window for the model.
    pub(super) fn push(&self, call: Arc<Mutex<Call>>) {
        lock(&self.calls).waiting.push_back((now(), call));
    }

    /// For how long the window that waits longest has waited.
    pub(super) fn wait(&self) -> Duration {
        lock(&self.calls).waiting.front().map_or(Duration::ZERO, |(since, _)| now() - *since)
    }

    /// Fills `batch` with one window of each ready call, up to `most`; waits for the first. Returns false when the
    /// thread is to stop.
    pub(super) fn gather(&self, batch: &mut Vec<(Arc<Mutex<Call>>, Window)>, most: usize) -> bool {
        let mut calls = lock(&self.calls);
        while batch.is_empty() {
            while calls.waiting.is_empty() && !calls.stopping {
                calls = self.wake.wait(calls).unwrap_or_else(PoisonError::into_inner);
            }
            if calls.stopping {
                return false;
            }
            while batch.len() < most
                && let Some((_, call)) = calls.waiting.pop_front()
            {
                let mut locked = lock(&call);
                let next = locked.next();
                locked.scheduled = next.is_some();
                drop(locked);
                if let Some(window) = next {
                    batch.push((call, window));
                }
            }
        }
        true
    }

    /// Tells the thread that runs the network to end.
    pub(super) fn stop(&self) {
        lock(&self.calls).stopping = true;
        self.wake.notify_one();
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread without a runtime; the work takes real time")]
fn now() -> Instant {
    Instant::now()
}

/// One call: its waiting windows and its state of the network.
pub(super) struct Call {
    pub(super) account: Option<Arc<Account>>,
    pub(super) output: Probabilities,
    pub(super) windows: VecDeque<Window>,
    /// Whether the call is among the ready calls or in the current batch.
    pub(super) scheduled: bool,
    pub(super) context: [f32; CONTEXT],
    pub(super) state: [f32; STATE],
}

pub(super) struct Window {
    pub(super) at: MediaTime,
    pub(super) purpose: Purpose,
    /// Whether it is the first after silence: the state of the network is reset before it.
    pub(super) first: bool,
    pub(super) samples: [i16; WINDOW],
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Purpose {
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
pub(super) struct Input {
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
    pub(super) fn new(ready: Arc<Ready>, output: Probabilities, gate: Gate) -> Self {
        Self {
            ready,
            call: Arc::new(Mutex::new(Call::new(output))),
            gate,
            closed: true,
            recent: VecDeque::with_capacity(WARM_UP),
            window: [0; WINDOW],
            filled: 0,
            judged: 0,
        }
    }

    /// Queues the complete window, or reports silence when it does not pass the gate.
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
            self.ready.push(self.call.clone());
            self.ready.wake.notify_one();
        }
    }
}
