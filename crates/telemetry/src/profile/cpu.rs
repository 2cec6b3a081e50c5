//! CPU profiles: stacks that are sampled by CPU time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::modules::Unwind;
use super::signal::Sampling;
use super::{Kind, Profile, ProfileError, Stack, Weights};

/// Samples in a second of CPU time of one core. It is no round number, so that samples do not fall into step with
/// work that repeats every 10 or 20 ms. A sample costs some 30 us in all, which makes 0.3 %.
pub const HERTZ: u32 = 99;
/// How often the samples are collected from the buffer.
const COLLECT_EVERY: Duration = Duration::from_millis(50);

/// Whether a profile is being taken. There is one signal, so only one profile can be taken at a time.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A CPU profile that is being taken.
pub struct CpuSampler {
    /// Dropping it tells the collector to stop.
    stop: Sender<()>,
    collector: JoinHandle<(Weights, u64)>,
    began: Instant,
}

impl CpuSampler {
    /// Starts sampling; fails while another profile of CPU time is taken.
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

    /// Stops sampling and looks up the names, which takes a second or two of one core. Only the work of `component`
    /// counts, if one is named. `call` maps a call's number to its id.
    pub fn finish(self, component: Option<&str>, call: impl Fn(u32) -> Option<String>) -> Profile {
        let duration = self.began.elapsed();
        drop(self.stop);
        // Nothing in the collector panics. If it did, the profile would be empty.
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

/// Unwinds samples until the profile is finished or its [`CpuSampler`] is dropped.
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

/// A thread's name without its number, so that the threads of one pool count together.
fn name(thread: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap_or_default();
    let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '_', ' ']);
    if name.is_empty() { "thread".to_owned() } else { name.to_owned() }
}
