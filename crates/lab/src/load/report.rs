//! The report of a load test.

use std::time::Duration;

use antiphon_core::measure::Snapshot;
use serde::{Deserialize, Serialize};

use super::plan::{Kind, Plan};
use super::wire::Protocol;

/// Percentiles of spans of time. All are zero when there are no spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many spans were measured.
    pub count: u64,
    /// The median in milliseconds.
    pub p50_ms: f64,
    /// The 95th percentile in milliseconds.
    pub p95_ms: f64,
    /// The 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// The longest span in milliseconds.
    pub max_ms: f64,
}

impl Percentiles {
    /// Each value is within 1.6 % of that of the spans themselves.
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
    /// Resident memory at the end.
    pub resident_bytes: u64,
    /// Memory beyond that before the test, divided by the calls that were connected at the end; `None` without calls.
    pub bytes_per_call: Option<f64>,
    /// CPU time in milliseconds for each second of each call; `None` without calls.
    pub cpu_ms_per_call_second: Option<f64>,
}

/// What was counted and measured in a stretch of the test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Length of the stretch.
    pub duration_s: f64,
    /// How long calls were connected, all calls added up.
    pub call_seconds: f64,
    /// Turns that were answered or missed.
    pub turns: u64,
    /// Turns that got a reply.
    pub answered: u64,
    /// Turns that got none within the plan's `period_s`.
    pub missed: u64,
    /// Questions that were asked later than planned, because their caller still waited for a reply or heard one.
    pub turns_delayed: u64,
    /// Calls turned away with 503 or 429.
    pub busy: u64,
    /// Calls that found no server, or no WebSocket, within 10 s.
    pub connect_failed: u64,
    /// Calls that the server ended, or from which it read nothing for 10 s.
    pub hung_up: u64,
    /// Calls in which the server broke the protocol or reported an error.
    pub protocol_errors: u64,
    /// Replies that a caller interrupted.
    pub interruptions: u64,
    /// Interrupted replies that stopped within 3 s.
    pub interruptions_honoured: u64,
    /// Questions that were asked.
    pub questions: u64,
    /// Their mean length in seconds; zero when there were none.
    pub question_mean_s: f64,
    /// Share of the time in which callers spoke, 0 to 1. It is below what the plan asks for where callers waited for replies.
    pub caller_speech_share: f64,
    /// How often the agent began to speak: replies, and greetings where there are any.
    pub replies_heard: u64,
    /// Mean length in seconds of what callers heard of a reply; zero when there was none.
    pub reply_mean_s: f64,
    /// Share of the time in which callers heard the agent, 0 to 1.
    pub agent_speech_share: f64,
    /// Frames of 20 ms that callers sent.
    pub frames: u64,
    /// Frames that the load generator itself got to more than 20 ms too late. When they are more than 1 % of all, it is the
    /// bottleneck, and not the server.
    pub frames_late: u64,
    /// Time from when the last sample of a question was due until the first audio of its reply came.
    pub latency: Percentiles,
    /// Time from the beginning of an interruption until the reply was silent.
    pub interruption_stop: Percentiles,
    /// Silence of more than 60 ms within replies, because their audio came too late.
    pub gaps: Percentiles,
    /// Time until a call was connected.
    pub connect: Percentiles,
    /// How late the load generator itself was. Above some 20 ms it is the bottleneck, and not the server.
    pub lateness: Percentiles,
    /// What the server used, where that is known.
    pub server: Option<ServerFigures>,
    /// CPU time in milliseconds that the load generator's process used for each second of each call.
    pub generator_cpu_ms_per_call_second: Option<f64>,
}

impl Figures {
    /// Calls that ended before their time or never began.
    pub fn failed(&self) -> u64 {
        self.busy + self.connect_failed + self.hung_up + self.protocol_errors
    }

    /// Late frames as a share of all frames; zero when there were none.
    pub fn late_share(&self) -> f64 {
        self.frames_late as f64 / self.frames.max(1) as f64
    }

    /// Missed turns and failed calls as a share of all turns and failed calls; zero when there were none.
    pub fn error_share(&self) -> f64 {
        (self.missed + self.failed()) as f64 / (self.turns + self.failed()).max(1) as f64
    }

    /// Whether the server kept within the plan's limits. Without any answered turn it has not shown that.
    pub(super) fn are_good(&self, plan: &Plan) -> bool {
        self.answered > 0 && self.latency.p95_ms <= plan.limit_ms && self.error_share() <= plan.error_limit
    }
}

/// The figures of a few seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// When the window ended, in seconds from the beginning of the test.
    pub time_s: f64,
    /// The phase of the plan to which it belongs, counted from 0.
    pub phase: usize,
    /// How many calls the plan asked for at its end.
    pub calls_wanted: usize,
    /// How many calls were connected at its end.
    pub calls_up: usize,
    /// What was counted and measured.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The figures of a phase in which the number of calls stayed the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// How many calls the plan asked for.
    pub calls: usize,
    /// Whether the server was too slow or made too many errors.
    pub broken: bool,
    /// What was counted and measured.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The result of a load test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The kind of the test.
    pub kind: Kind,
    /// The server's URL without key, user and query.
    pub target: String,
    /// The protocol that was spoken.
    pub protocol: Protocol,
    /// The plan that was followed.
    pub plan: Plan,
    /// Share of the time in which each caller speaks if it asks every question when the plan says, 0 to 1.
    pub speech_share_wanted: f64,
    /// When the test began, in seconds of Unix time.
    pub started_unix_s: u64,
    /// The machine on which it ran; empty until the caller fills it in.
    pub machine: String,
    /// The version that was tested; empty until the caller fills it in.
    pub commit: String,
    /// The figures of the whole test.
    pub totals: Figures,
    /// The levels, in order.
    pub levels: Vec<Level>,
    /// The most calls that were held before the first broken level; `None` when the first level was broken.
    pub capacity: Option<usize>,
    /// The calls of the first broken level.
    pub breaking_point: Option<usize>,
    /// Seconds from when the load fell until the end of the first window in which the server kept up again. `None` when there
    /// was nothing to recover from, or when it took longer than the plan waits.
    pub recovery_s: Option<f64>,
    /// The error of the first call that failed.
    pub first_failure: Option<String>,
    /// The windows, in order.
    pub windows: Vec<Window>,
}
