//! What all callers together measured.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_core::FRAME;
use antiphon_core::measure::{Histogram, Snapshot};
use tokio::time::Instant;

use super::report::{Figures, Percentiles, ServerFigures};
use super::usage::{ServerUsage, own_cpu_s};

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Count {
    /// Turns that got a reply.
    Answered,
    /// Turns that got none before the caller's next.
    Missed,
    /// Calls that were turned away for now.
    Busy,
    /// Calls that found no server, or no WebSocket.
    ConnectFailed,
    /// Calls that the server ended, or no longer read.
    HungUp,
    /// Calls in which the server said what it must not, or refused what was asked.
    Protocol,
    /// Replies that a caller spoke into.
    Interruptions,
    /// Those that stopped.
    Honoured,
    /// 20 ms of all calls.
    Frames,
}
const COUNTS: usize = Count::Frames as usize + 1;

/// What is timed.
#[derive(Clone, Copy)]
pub(super) enum Span {
    /// From when the last sample of a question was due until the first audio of its reply came.
    Latency,
    /// From when an interruption began until the reply was silent.
    Stop,
    /// Silence within a reply because its audio came too late.
    Gap,
    /// Until a call could be spoken into.
    Connect,
    /// From when a frame was due until its caller got to it: the load generator's own fault.
    Late,
}
const SPANS: usize = Span::Late as usize + 1;

/// Why a call ended before its time.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server has no room.
    Busy(String),
    /// There was no call.
    Connect(String),
    /// The server ended it.
    HungUp(String),
    /// The server does not speak the protocol.
    Protocol(String),
}

/// Counts and times of all calls. To count never waits.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: [AtomicU64; COUNTS],
    spans: [Histogram; SPANS],
    up: AtomicUsize,
    first_failure: std::sync::OnceLock<String>,
}

/// A call that is up, until this is dropped.
pub(super) struct Up<'a>(&'a AtomicUsize);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tally {
    pub(super) fn count(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn record(&self, what: Span, span: Duration) {
        self.spans[what as usize].record(span);
    }

    pub(super) fn fail(&self, failure: Failure) {
        let (count, reason) = match failure {
            Failure::Busy(reason) => (Count::Busy, reason),
            Failure::Connect(reason) => (Count::ConnectFailed, reason),
            Failure::HungUp(reason) => (Count::HungUp, reason),
            Failure::Protocol(reason) => (Count::Protocol, reason),
        };
        self.count(count);
        self.first_failure.get_or_init(|| reason);
    }

    /// Counts a call as up.
    pub(super) fn up(&self) -> Up<'_> {
        self.up.fetch_add(1, Ordering::Relaxed);
        Up(&self.up)
    }

    /// Calls that are up now.
    pub(super) fn calls_up(&self) -> usize {
        self.up.load(Ordering::Relaxed)
    }

    /// What the first failed call said.
    pub(super) fn first_failure(&self) -> Option<&str> {
        self.first_failure.get().map(String::as_str)
    }

    /// Everything until now, with what the server used.
    pub(super) fn read(&self, server: Option<ServerUsage>) -> Reading {
        Reading {
            at: Instant::now(),
            counts: std::array::from_fn(|n| self.counts[n].load(Ordering::Relaxed)),
            spans: std::array::from_fn(|n| self.spans[n].snapshot()),
            server,
            own_cpu_s: own_cpu_s(),
        }
    }
}

/// Everything until one time.
#[derive(Clone)]
pub(super) struct Reading {
    at: Instant,
    counts: [u64; COUNTS],
    spans: [Snapshot; SPANS],
    server: Option<ServerUsage>,
    own_cpu_s: Option<f64>,
}

impl Reading {
    /// When.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// What the server used until then.
    pub(super) fn server(&self) -> Option<ServerUsage> {
        self.server
    }

    /// What happened since `earlier`; `idle` is what the server used when there were no calls, `calls` how many
    /// there are now.
    pub(super) fn since(&self, earlier: &Self, idle: Option<ServerUsage>, calls: usize) -> Figures {
        let count = |what: Count| self.counts[what as usize] - earlier.counts[what as usize];
        let spans =
            |what: Span| Percentiles::of(&self.spans[what as usize].since(&earlier.spans[what as usize]));
        let call_seconds = count(Count::Frames) as f64 * FRAME.as_secs_f64();
        let per_call_second = |before: f64, after: f64| {
            (call_seconds > 0.0).then(|| (after - before).max(0.0) * 1_000.0 / call_seconds)
        };
        let server = self.server.map(|now| ServerFigures {
            resident_bytes: now.resident_bytes,
            bytes_per_call: idle
                .filter(|_| calls > 0)
                .map(|idle| now.resident_bytes.saturating_sub(idle.resident_bytes) as f64 / calls as f64),
            cpu_ms_per_call_second: earlier.server.and_then(|then| per_call_second(then.cpu_s, now.cpu_s)),
        });
        let own_cpu = earlier.own_cpu_s.zip(self.own_cpu_s);
        Figures {
            duration_s: (self.at - earlier.at).as_secs_f64(),
            call_seconds,
            turns: count(Count::Answered) + count(Count::Missed),
            answered: count(Count::Answered),
            missed: count(Count::Missed),
            busy: count(Count::Busy),
            connect_failed: count(Count::ConnectFailed),
            hung_up: count(Count::HungUp),
            protocol_errors: count(Count::Protocol),
            interruptions: count(Count::Interruptions),
            interruptions_honoured: count(Count::Honoured),
            latency: spans(Span::Latency),
            interruption_stop: spans(Span::Stop),
            gaps: spans(Span::Gap),
            connect: spans(Span::Connect),
            lateness: spans(Span::Late),
            server,
            generator_cpu_ms_per_call_second: own_cpu.and_then(|(then, now)| per_call_second(then, now)),
        }
    }
}
