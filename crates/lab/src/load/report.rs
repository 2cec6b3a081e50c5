//! What a load test found, as it is kept.

use std::time::Duration;

use antiphon_core::measure::Snapshot;
use serde::{Deserialize, Serialize};

use super::plan::{Kind, Plan};
use super::wire::Protocol;

/// Spans of time, summed up. All zero when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many.
    pub count: u64,
    /// Half are no longer.
    pub p50_ms: f64,
    /// 95 of 100 are no longer.
    pub p95_ms: f64,
    /// 99 of 100 are no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Within 1.6 % of the spans themselves.
    pub(super) fn of(spans: &Snapshot) -> Self {
        let ms = |span: Duration| (span.as_secs_f64() * 1e6).round() / 1e3;
        Self {
            count: spans.count(),
            p50_ms: ms(spans.percentile(0.5)),
            p95_ms: ms(spans.percentile(0.95)),
            p99_ms: ms(spans.percentile(0.99)),
            max_ms: ms(spans.max()),
        }
    }
}

/// What the server used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerFigures {
    /// Memory it held at the end.
    pub resident_bytes: u64,
    /// Memory beyond what it held before the test, for each call that was up at the end; none without calls.
    pub bytes_per_call: Option<f64>,
    /// Processor time for each second of each call; none without calls.
    pub cpu_ms_per_call_second: Option<f64>,
}

/// What happened in a span of the test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How long the span was.
    pub duration_s: f64,
    /// How long all calls together spoke and listened in it.
    pub call_seconds: f64,
    /// Turns decided in it: answered and missed.
    pub turns: u64,
    /// Turns that got a reply.
    pub answered: u64,
    /// Turns that got none before their caller's next turn.
    pub missed: u64,
    /// Calls turned away with 503 or 429.
    pub busy: u64,
    /// Calls that found no server, or no WebSocket, within 10 s.
    pub connect_failed: u64,
    /// Calls that the server ended, or read nothing of for 10 s.
    pub hung_up: u64,
    /// Calls in which the server said what it must not, or refused what was asked.
    pub protocol_errors: u64,
    /// Replies that a caller spoke into.
    pub interruptions: u64,
    /// Those that stopped within 3 s.
    pub interruptions_honoured: u64,
    /// From when the last sample of a question was due until the first audio of its reply came.
    pub latency: Percentiles,
    /// From when an interruption began until the reply was silent.
    pub interruption_stop: Percentiles,
    /// Silence of more than 60 ms within replies, because their audio came too late.
    pub gaps: Percentiles,
    /// Until a call could be spoken into.
    pub connect: Percentiles,
    /// How late the load generator was itself: above some 20 ms it is the bottleneck, not the server.
    pub lateness: Percentiles,
    /// What the server used, where that can be seen.
    pub server: Option<ServerFigures>,
    /// What the load generator's process used for each second of each call.
    pub generator_cpu_ms_per_call_second: Option<f64>,
}

impl Figures {
    /// Calls that ended before their time or never began.
    pub fn failed(&self) -> u64 {
        self.busy + self.connect_failed + self.hung_up + self.protocol_errors
    }

    /// The share of turns and failed calls that went wrong; zero when there were none.
    pub fn error_share(&self) -> f64 {
        (self.missed + self.failed()) as f64 / (self.turns + self.failed()).max(1) as f64
    }

    /// Whether the server kept up, within the plan's limits. One that nobody spoke with has not shown that.
    pub(super) fn are_good(&self, plan: &Plan) -> bool {
        self.answered > 0 && self.latency.p95_ms <= plan.limit_ms && self.error_share() <= plan.error_limit
    }
}

/// What happened within a few seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// When it ended, from the beginning of the test.
    pub time_s: f64,
    /// The phase of the plan it belongs to, counted from 0.
    pub phase: usize,
    /// How many calls the plan wants at its end.
    pub calls_wanted: usize,
    /// How many are up.
    pub calls_up: usize,
    /// What happened.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What happened while the number of calls stayed the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// How many calls the plan wants.
    pub calls: usize,
    /// Too slow, or too many errors.
    pub broken: bool,
    /// What happened.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What a load test found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the test was for.
    pub kind: Kind,
    /// The server, without key, user and query.
    pub target: String,
    /// What it spoke.
    pub protocol: Protocol,
    /// What was to be done.
    pub plan: Plan,
    /// When the test began, in seconds of Unix time.
    pub started_unix_s: u64,
    /// The machine it ran on; empty until the caller says so.
    pub machine: String,
    /// The version that was tested; empty until the caller says so.
    pub commit: String,
    /// From beginning to end.
    pub totals: Figures,
    /// Each level, in order.
    pub levels: Vec<Level>,
    /// The most calls that were held before any level was broken; none when the first was.
    pub capacity: Option<usize>,
    /// The calls of the first level that was broken.
    pub breaking_point: Option<usize>,
    /// From when the load fell back until the end of the first window in which all was well; none when there was
    /// nothing to recover from, or it took longer than the plan waits.
    pub recovery_s: Option<f64>,
    /// What the first call that failed said.
    pub first_failure: Option<String>,
    /// Every few seconds, in order.
    pub windows: Vec<Window>,
}
