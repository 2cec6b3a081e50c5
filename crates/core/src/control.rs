//! What a telephone can do beside carrying audio, and why calls end.

use crate::Error;

/// Something that is done with the call itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallControl {
    /// Connect the caller with somebody else; the agent leaves the call.
    Transfer(String),
    /// Keep the caller waiting without hearing the agent.
    Hold,
    /// Let the caller hear the agent again, after [`CallControl::Hold`].
    Resume,
    /// Press these keys: 0-9, *, # or A-D.
    SendDtmf(String),
    /// Begin or end recording at the carrier.
    Record(bool),
    /// End the call after what was sent has been heard.
    HangUp(HangUpReason),
}

/// Why the server ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HangUpReason {
    /// The agent has said goodbye.
    Agent,
    /// The caller was silent for too long.
    Silence,
    /// The server is stopping.
    Draining,
}

/// Why a call ended, as observers see it.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEnd {
    /// The caller hung up, or closed the connection.
    Caller,
    /// The server hung up.
    Server(HangUpReason),
    /// The connection was lost, or the client read too slowly.
    Lost(Error),
}

impl CallEnd {
    /// How the call ended, as metrics count it.
    pub const fn outcome(&self) -> CallOutcome {
        match self {
            Self::Caller | Self::Server(HangUpReason::Agent | HangUpReason::Silence) => {
                CallOutcome::Completed
            }
            Self::Server(HangUpReason::Draining) => CallOutcome::Drained,
            Self::Lost(_) => CallOutcome::Lost,
        }
    }

    /// Who or what ended the call, for logs and call records.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Server(HangUpReason::Agent) => "agent",
            Self::Server(HangUpReason::Silence) => "silence",
            Self::Server(HangUpReason::Draining) => "draining",
            Self::Lost(_) => "lost",
        }
    }
}

/// How a call ended, in the coarse kinds that metrics count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// Either side hung up.
    Completed,
    /// The connection was lost, or the client read too slowly.
    Lost,
    /// The server was stopping.
    Drained,
}

impl CallOutcome {
    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Lost => "lost",
            Self::Drained => "drained",
        }
    }
}
