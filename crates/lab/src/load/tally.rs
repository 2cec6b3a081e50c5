//! The counts and times of all callers together.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_core::FRAME;
use antiphon_core::measure::{Histogram, Snapshot};
use tokio::time::Instant;

use super::report::{Figures, Percentiles, ServerFigures};
use super::usage::{ServerUsage, own_cpu_s};

/// Number of variants of [`Count`].
const COUNTS: usize = Count::LateFrames as usize + 1;
/// Number of variants of [`Span`].
const SPANS: usize = Span::Late as usize + 1;

/// What a load test counts, each as one number.
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
    /// Calls that the server ended, or from which it read nothing any more.
    HungUp,
    /// Calls in which the server broke the protocol or reported an error.
    Protocol,
    /// Replies that a caller interrupted.
    Interruptions,
    /// Interrupted replies that stopped.
    Honoured,
    /// Questions that were asked later than planned, because the caller still waited for a reply or heard one.
    Delayed,
    /// Replies, greetings and the like that callers began to hear.
    Replies,
    /// Frames of 20 ms that were sent.
    Frames,
    /// Frames in which the caller spoke.
    Spoken,
    /// Frames while which the caller heard the agent.
    Heard,
    /// Frames that the load generator itself got to more than a frame too late.
    LateFrames,
}

/// The spans of time that a load test measures.
#[derive(Clone, Copy)]
pub(super) enum Span {
    /// Time from when the last sample of a question was due until the first audio of its reply came.
    Latency,
    /// Length of a question that was asked.
    Question,
    /// Time from the beginning of an interruption until the reply was silent.
    Stop,
    /// Silence within a reply because its audio came too late.
    Gap,
    /// Time until a call was connected.
    Connect,
    /// Time from when a frame was due until its caller got to it: the lateness of the load generator itself.
    Late,
}

/// Why a call ended before its time.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server has no room for another call.
    Busy(String),
    /// The call could not be connected.
    Connect(String),
    /// The server ended the call.
    HungUp(String),
    /// The server broke the protocol or reported an error.
    Protocol(String),
}

/// Counts and times of all calls. Counting is a few atomic operations and never waits.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: [AtomicU64; COUNTS],
    spans: [Histogram; SPANS],
    up: AtomicUsize,
    first_failure: std::sync::OnceLock<String>,
}

/// Counts a call as connected until it is dropped.
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

    /// Counts how late the load generator itself got to a frame.
    pub(super) fn late(&self, late: Duration) {
        self.record(Span::Late, late);
        if late > FRAME {
            self.count(Count::LateFrames);
        }
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

    /// Counts a call as connected as long as the returned value lives.
    pub(super) fn up(&self) -> Up<'_> {
        self.up.fetch_add(1, Ordering::Relaxed);
        Up(&self.up)
    }

    /// Calls that are connected now.
    pub(super) fn calls_up(&self) -> usize {
        self.up.load(Ordering::Relaxed)
    }

    /// The error of the first call that failed.
    pub(super) fn first_failure(&self) -> Option<&str> {
        self.first_failure.get().map(String::as_str)
    }

    /// All counts and times so far, with what the server has used.
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

/// All counts and times up to one moment.
#[derive(Clone)]
pub(super) struct Reading {
    at: Instant,
    counts: [u64; COUNTS],
    spans: [Snapshot; SPANS],
    server: Option<ServerUsage>,
    own_cpu_s: Option<f64>,
}

impl Reading {
    /// The moment of the reading.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// What the server had used by then.
    pub(super) fn server(&self) -> Option<ServerUsage> {
        self.server
    }

    /// The figures since `earlier`. `idle` is what the server used without calls, and `calls` is how many are connected now.
    pub(super) fn since(&self, earlier: &Self, idle: Option<ServerUsage>, calls: usize) -> Figures {
        let count = |what: Count| self.counts[what as usize] - earlier.counts[what as usize];
        let since = |what: Span| self.spans[what as usize].since(&earlier.spans[what as usize]);
        let spans = |what: Span| Percentiles::of(&since(what));
        let seconds = |what: Count| count(what) as f64 * FRAME.as_secs_f64();
        let call_seconds = seconds(Count::Frames);
        let questions = since(Span::Question);
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
            turns_delayed: count(Count::Delayed),
            busy: count(Count::Busy),
            connect_failed: count(Count::ConnectFailed),
            hung_up: count(Count::HungUp),
            protocol_errors: count(Count::Protocol),
            interruptions: count(Count::Interruptions),
            interruptions_honoured: count(Count::Honoured),
            questions: questions.count(),
            question_mean_s: questions.mean().as_secs_f64(),
            caller_speech_share: ratio(seconds(Count::Spoken), call_seconds),
            replies_heard: count(Count::Replies),
            reply_mean_s: ratio(seconds(Count::Heard), count(Count::Replies) as f64),
            agent_speech_share: ratio(seconds(Count::Heard), call_seconds),
            frames: count(Count::Frames),
            frames_late: count(Count::LateFrames),
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

/// `part` of `whole`; zero when there is no whole.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
