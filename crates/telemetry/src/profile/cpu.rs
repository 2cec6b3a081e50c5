//! CPU profiles: stacks sampled by CPU time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::modules::Unwind;
use super::signal::Sampling;
use super::{Kind, Profile, ProfileError, Stack, Weights};

/// Samples a second of CPU time of one core: no divisor of the periods at which a server works, so that it does not
/// look always at the same moment. A sample costs some 30 us in all: 0.3 %.
pub const HERTZ: u32 = 99;
/// How often samples are collected.
const COLLECT_EVERY: Duration = Duration::from_millis(50);

/// One profile at a time: there is one signal.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A CPU profile being taken.
pub struct CpuSampler {
    stop: Sender<()>,
    collector: JoinHandle<(Weights, u64)>,
    began: Instant,
}

impl CpuSampler {
    /// Begins.
    pub fn start() -> Result<Self, ProfileError> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err(ProfileError::Busy);
        }
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("profiler".to_owned());
        let begun = Sampling::start(HERTZ).and_then(|sampling| {
            let collector = thread.spawn(move || {
                let collected = collect(sampling, &stopped);
                TAKEN.store(false, Ordering::Release);
                collected
            })?;
            Ok(Self { stop, collector, began: Instant::now() })
        });
        if begun.is_err() {
            TAKEN.store(false, Ordering::Release);
        }
        Ok(begun?)
    }

    /// Ends it and puts it into words, which takes a second or two of one core; only what `component` did, if one is
    /// named. `call` names the call of a number.
    pub fn finish(self, component: Option<&str>, call: impl Fn(u32) -> Option<String>) -> Profile {
        let duration = self.began.elapsed();
        drop(self.stop);
        // The collector has nothing that panics; if it did, there is nothing to show.
        let (weights, lost) = self.collector.join().unwrap_or_else(|_| (Weights::empty(), 0));
        let profile = weights.profile(Kind::Cpu, component, call);
        Profile { duration_s: duration.as_secs_f64(), rate: HERTZ.into(), lost, ..profile }
    }
}

impl Weights {
    fn empty() -> Self {
        Self { stacks: HashMap::new(), threads: HashMap::new() }
    }
}

/// Unwinds samples until whoever began the profile ends it or is gone.
fn collect(mut sampling: Sampling, stopped: &mpsc::Receiver<()>) -> (Weights, u64) {
    let mut unwind = Unwind::new();
    let mut weights = Weights::empty();
    loop {
        let over = stopped.recv_timeout(COLLECT_EVERY) != Err(RecvTimeoutError::Timeout);
        sampling.drain(|sample| {
            let addresses = unwind.addresses(sample.registers, &sample.stack[..sample.length]);
            let thread = sample.thread;
            weights.threads.entry(thread).or_insert_with(|| name(thread));
            *weights.stacks.entry(Stack { tag: sample.tag, thread, addresses }).or_default() += 1;
        });
        if over {
            return (weights, sampling.lost());
        }
    }
}

/// A thread's name; threads of one kind are numbered, which is of no interest.
fn name(thread: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap_or_default();
    let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '_', ' ']);
    if name.is_empty() { "thread".to_owned() } else { name.to_owned() }
}
