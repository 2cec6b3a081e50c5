//! Open-loop load tests of any server of Twilio Media Streams or OpenAI Realtime, with real speech.
//!
//! Callers keep a schedule, whatever the server does, and a turn's latency counts from when its last speech sample
//! was due, not from when it was sent: a server that stalls cannot stall its own measurement (Gil Tene's
//! "coordinated omission"). Thousands of calls fit on one core: every message is made before the test begins.

mod caller;
mod conversation;
mod html;
mod line;
mod plan;
mod playout;
mod plot;
mod report;
mod run;
mod speech;
mod tally;
#[cfg(test)]
mod tests;
mod usage;
mod wire;

use std::time::Duration;

use antiphon_audio::FileError;

pub use html::html;
pub use plan::{Kind, Phase, PhaseKind, Plan};
pub use report::{Figures, Level, Percentiles, Report, ServerFigures, Window};
pub use run::run;
pub use speech::Speech;
pub use usage::ServerUsage;
pub use wire::Protocol;

/// The server to be tested.
#[derive(Clone)]
pub struct Target {
    /// `ws://` or `wss://`.
    pub url: String,
    /// Sent as `Authorization: Bearer`; reports never hold it.
    pub key: Option<String>,
    /// What it speaks.
    pub protocol: Protocol,
}

impl Target {
    /// A server whose protocol follows from the URL's path.
    pub fn new(url: impl Into<String>, key: Option<String>) -> Self {
        let url = url.into();
        let protocol = Protocol::of(&url);
        Self { url, key, protocol }
    }
}

/// Why a load test cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target's URL or key cannot be used.
    #[error("the target {url} cannot be called: {reason}; give a ws:// or wss:// URL")]
    Target {
        /// Without secrets.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The plan makes no sense.
    #[error("the load plan cannot be followed: {0}")]
    Plan(String),
    /// There is nothing to say.
    #[error("no speech was given; give at least one WAV or FLAC file with a spoken question")]
    NoSpeech,
    /// A file is not speech.
    #[error("speech file {number} cannot be read: {source}")]
    Speech {
        /// Counted from 1.
        number: usize,
        /// What the decoder says.
        source: FileError,
    },
    /// A file holds only silence.
    #[error("speech file {0} is silent; give a recording of a spoken question")]
    Silent(usize),
    /// A caller would still speak when the next turn is due.
    #[error(
        "a caller speaks every {} s but the longest question takes {} s; plan fewer turns a second or give shorter \
         speech", .period.as_secs_f64(), .speech.as_secs_f64()
    )]
    TooOften {
        /// From one turn of a caller to its next.
        period: Duration,
        /// The longest question.
        speech: Duration,
    },
}
