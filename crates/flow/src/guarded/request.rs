//! One request that was let through.

use std::sync::Arc;

use antiphon_core::{Error, ErrorKind, Priority, Result, Share};
use tokio::time::Instant;

use crate::breaker::Ticket;
use crate::scheduler::Permit;
use crate::target::Target;

/// A request under way. If it is dropped before it ended or failed, it was cancelled.
pub(super) struct Request {
    target: Arc<Target>,
    ticket: Ticket,
    permit: Permit,
    answered: bool,
}

impl Request {
    /// Waits until the request may be sent, on the account of `share`.
    pub(super) async fn admit(target: Arc<Target>, priority: Priority, share: Share) -> Result<Self> {
        let ticket = target.breaker().allow(Instant::now())?;
        let permit = target.scheduler().acquire(priority, share).await?;
        // The engine may have broken down while the request waited.
        let ticket = ticket.renewed(permit.began())?;
        Ok(Self { target, ticket, permit, answered: false })
    }

    /// When the first useful piece of the answer must be there.
    pub(super) fn first_by(&self) -> Instant {
        self.permit.began() + self.target.bounds().first
    }

    /// When the next piece must be there, if it is waited for from now on.
    pub(super) fn next_by(&self) -> Instant {
        if self.answered { Instant::now() + self.target.bounds().stall } else { self.first_by() }
    }

    /// A useful piece came.
    pub(super) fn answered(&mut self) {
        if !self.answered {
            self.answered = true;
            self.permit.answered(Instant::now());
        }
    }

    /// All of the answer came.
    pub(super) fn ended(self) {
        self.ticket.ok(Instant::now());
    }

    /// The request failed, or its answer was too late.
    pub(super) fn failed(self, error: &Error) {
        let now = Instant::now();
        self.permit.failed(error, now);
        self.ticket.failed(error, now);
    }

    /// The next `piece` of the answer was not there in time.
    pub(super) fn late(&self, piece: &str) -> Error {
        let (target, bounds) = (self.target.name(), self.target.bounds());
        let message = if self.answered {
            let stall = bounds.stall.as_secs_f64();
            format!(
                "{target} fell silent in the middle of its answer: no further {piece} came within {stall} s"
            )
        } else {
            format!("{target} gave no first {piece} within {} s", bounds.first.as_secs_f64())
        };
        Error::new(ErrorKind::Timeout, message)
    }
}
