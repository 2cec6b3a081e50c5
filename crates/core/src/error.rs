//! One error for every provider, with a kind that retry, breakers and HTTP status consult.

use std::time::Duration;

/// The result of a provider's work.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, said once, for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request can never work: wrong rate, empty text, unknown voice.
    Invalid,
    /// A model, file or endpoint is not there.
    NotFound,
    /// The key is missing or refused.
    Unauthorized,
    /// Too many requests; try after [`Error::retry_after`].
    RateLimited,
    /// No answer within the bound.
    Timeout,
    /// The engine is down, overloaded or unreachable; another one may answer.
    Unavailable,
    /// The other side broke its own protocol.
    Protocol,
    /// A bug or a broken model on our side.
    Internal,
}

/// A provider's error. The message says what was wrong, where, and what to do; it never holds a secret.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// Adds how long the other side asked us to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What went wrong, for machines.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// How long the other side asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// An error of a request that can never work, [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// An error for something that is not there, [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// An error of an engine that another one may stand in for, [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// An error that is this server's own fault, [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}
