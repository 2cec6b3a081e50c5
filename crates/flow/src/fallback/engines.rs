//! The engines of a stage: which of them work, which rest, and the probes that end a rest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use antiphon_core::measure::Counter;
use antiphon_core::{Error, ErrorKind, Priority, lock};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::FallbackStage;
use super::pace::Pace;
use super::reason::Reason;
use crate::target::AnswerBounds;

/// The first rest: most network failures are over by then.
const MIN_REST: Duration = Duration::from_secs(1);
/// The longest rest: a recovery is noticed within this and [`PROBE_BOUND`], and a dead engine is asked four times a minute.
const MAX_REST: Duration = Duration::from_secs(15);
/// The longest wait that an engine may ask for: rate limits are counted by the minute.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);
/// An engine that takes longer than this for the smallest request does not count as working.
const PROBE_BOUND: Duration = Duration::from_secs(5);

/// The engines in order and what is known of them.
pub(super) struct Engines<E: ?Sized> {
    all: Vec<Member<E>>,
    pub(super) bounds: AnswerBounds,
    switches: [AtomicU64; Reason::ALL.len()],
    probes: AtomicU64,
    recoveries: AtomicU64,
}

struct Member<E: ?Sized> {
    engine: Arc<E>,
    /// Its name, with a number where several share one.
    label: String,
    requests: AtomicU64,
    rest: Mutex<Rest>,
    /// How fast it speaks, if it is a voice.
    pace: Pace,
}

#[derive(Default)]
struct Rest {
    /// The length of the last rest; zero once a request has succeeded since.
    length: Duration,
    /// `Some` while the engine rests.
    probing: Option<Probing>,
}

/// The task that probes a resting engine; dropping this ends it.
struct Probing(AbortHandle);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<E: FallbackStage + ?Sized> Engines<E> {
    pub(super) fn new(engines: Vec<Arc<E>>, bounds: AnswerBounds) -> Self {
        let names: Vec<_> = engines.iter().map(|engine| engine.engine_name()).collect();
        let label = |n: usize| match names[..n].iter().filter(|name| **name == names[n]).count() {
            0 => names[n].to_owned(),
            before => format!("{} {}", names[n], before + 1),
        };
        let member = |(n, engine)| Member {
            engine,
            label: label(n),
            requests: AtomicU64::new(0),
            rest: Mutex::default(),
            pace: Pace::default(),
        };
        Self {
            all: engines.into_iter().enumerate().map(member).collect(),
            bounds,
            switches: Default::default(),
            probes: AtomicU64::new(0),
            recoveries: AtomicU64::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn engine(&self, index: usize) -> &E {
        &self.all[index].engine
    }

    pub(super) fn pace(&self, index: usize) -> &Pace {
        &self.all[index].pace
    }

    pub(super) fn ask(&self, index: usize) -> Arc<E> {
        self.all[index].requests.fetch_add(1, Ordering::Relaxed);
        self.all[index].engine.clone()
    }

    pub(super) fn is_well(&self, index: usize) -> bool {
        lock(&self.all[index].rest).probing.is_none()
    }

    /// The engine that the next request begins with.
    pub(super) fn in_use(&self) -> usize {
        (0..self.len()).find(|n| self.is_well(*n)).unwrap_or(0)
    }

    pub(super) fn switched(&self, reason: Reason) {
        self.switches[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A request to this engine went well.
    pub(super) fn succeeded(&self, index: usize) {
        let rested = std::mem::take(&mut *lock(&self.all[index].rest));
        if rested.probing.is_some() {
            self.recoveries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request to this engine failed: the engine rests, unless the failure does not speak against it or there is no other one.
    pub(super) fn failed(self: &Arc<Self>, index: usize, error: &Error, live: bool) {
        let refused = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound);
        // A time-out of background work may only mean that it waited behind live work.
        let waited = !live && error.kind() == ErrorKind::Timeout;
        let mut rest = lock(&self.all[index].rest);
        if refused || waited || self.len() == 1 || rest.probing.is_some() {
            return;
        }
        rest.lengthen();
        let asked = error.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
        let probing = probe(Arc::downgrade(self), index, rest.length.max(asked));
        rest.probing = Some(Probing(tokio::spawn(probing).abort_handle()));
    }

    pub(super) fn counters(&self) -> Vec<Counter> {
        let count = |name: String, value: &AtomicU64| Counter::new(name, value.load(Ordering::Relaxed));
        let requests = self.all.iter().map(|e| count(format!("{} requests", e.label), &e.requests));
        let switches =
            Reason::ALL.iter().map(|r| count(format!("switches {}", r.name()), &self.switches[*r as usize]));
        let probes =
            [count("probes".to_owned(), &self.probes), count("recoveries".to_owned(), &self.recoveries)];
        requests.chain(switches).chain(probes).collect()
    }
}

impl Rest {
    fn lengthen(&mut self) {
        self.length = (self.length * 2).clamp(MIN_REST, MAX_REST);
    }
}

/// Lets an engine rest and probes it, with longer and longer rests, until it answers or the fallback is gone.
async fn probe<E: FallbackStage + ?Sized>(engines: Weak<Engines<E>>, index: usize, mut rest: Duration) {
    loop {
        sleep(rest).await;
        let Some(answer) = engines.upgrade().map(|engines| {
            engines.probes.fetch_add(1, Ordering::Relaxed);
            engines.engine(index).probe()
        }) else {
            return;
        };
        let answer = timeout(PROBE_BOUND, answer).await;
        let Some(engines) = engines.upgrade() else { return };
        let mut state = lock(&engines.all[index].rest);
        if let Ok(Ok(())) = answer {
            engines.recoveries.fetch_add(1, Ordering::Relaxed);
            // This drops the handle that aborts this task, which is harmless because nothing is awaited any more.
            state.probing = None;
            return;
        }
        state.lengthen();
        rest = state.length;
    }
}

/// Whether somebody waits in silence, now or soon.
pub(super) fn is_live(priority: Priority) -> bool {
    priority.is_live()
}
