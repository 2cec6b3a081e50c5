//! Load tests, with real speech, of any server that speaks Twilio Media Streams or OpenAI Realtime.
//!
//! Callers behave as people do. Each sends 20 ms of audio every 20 ms, whatever the server does: a question when one is due, and
//! noise otherwise. It asks at fixed times, but first waits for the reply to its last question and hears it to the end; how many
//! questions that delayed, and which share of the time callers really spoke, stand in the report.
//!
//! A turn's latency counts from when its last speech sample was due and not from when it was sent, so a server or a load generator
//! that stalls cannot hide it (Gil Tene's "coordinated omission"). Every message is made before the test begins, so one core can
//! hold thousands of calls.

mod caller;
mod conversation;
mod html;
mod line;
mod noise;
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
pub use speech::{SPEECH_SHARE, Speech};
pub use usage::ServerUsage;
pub use wire::Protocol;

/// The server under test.
#[derive(Clone)]
pub struct Target {
    /// A URL with the scheme `ws` or `wss`.
    pub url: String,
    /// Sent as `Authorization: Bearer`. It never appears in reports.
    pub key: Option<String>,
    /// The protocol that it speaks.
    pub protocol: Protocol,
}

impl Target {
    /// A server whose protocol is derived from the path of its URL.
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
        /// The URL without its secrets.
        url: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The plan makes no sense.
    #[error("the load plan cannot be followed: {0}")]
    Plan(String),
    /// No speech was given.
    #[error("no speech was given; give at least one WAV or FLAC file with a spoken question")]
    NoSpeech,
    /// A file of speech cannot be read.
    #[error("speech file {number} cannot be read: {source}")]
    Speech {
        /// The file's place in the list, counted from 1.
        number: usize,
        /// Why the decoder refused it.
        source: FileError,
    },
    /// A file holds only silence.
    #[error("speech file {0} is silent; give a recording of a spoken question")]
    Silent(usize),
    /// A caller would have to speak all the time.
    #[error(
        "a caller speaks every {} s but a question takes {} s on average; plan fewer turns a second or give shorter \
         speech", .period.as_secs_f64(), .speech.as_secs_f64()
    )]
    TooOften {
        /// Time from one turn of a caller to its next.
        period: Duration,
        /// Mean length of a question.
        speech: Duration,
    },
}
