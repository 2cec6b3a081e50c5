//! The way of one request through the engines.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{BoxStream, Error, ErrorKind, Priority, Result};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::FallbackStage;
use super::engines::{Engines, is_live};
use super::reason::Reason;
use crate::target::AnswerBounds;

/// The bounds of the last engine and of work that nobody waits for in silence: the time-outs that remote engines have anyway.
const PATIENT: AnswerBounds = AnswerBounds { first: Duration::from_secs(30), stall: Duration::from_secs(10) };

/// The failure of an engine.
pub(super) struct Failure {
    reason: Reason,
    pub(super) error: Error,
}

impl Failure {
    pub(super) fn new(error: Error, begun: bool) -> Self {
        Self { reason: Reason::of(&error, begun), error }
    }

    /// The engine sent no item for `bound`.
    pub(super) fn silent(who: &str, bound: Duration, begun: bool) -> Self {
        let message = format!("{who} sent nothing for {:.1} s", bound.as_secs_f32());
        Self::new(Error::new(ErrorKind::Timeout, message), begun)
    }

    /// The stream ended before its time.
    pub(super) fn broke_off(who: &str, begun: bool) -> Self {
        let message = format!("{who} ended before its answer was complete");
        Self::new(Error::new(ErrorKind::Protocol, message), begun)
    }
}

/// The engines that one request has tried, and the most informative error so far.
pub(super) struct Route<E: ?Sized> {
    engines: Arc<Engines<E>>,
    tried: Vec<bool>,
    at: usize,
    live: bool,
    error: Option<Error>,
}

/// The engine to ask now, one leg of the route.
pub(super) struct Leg<E: ?Sized> {
    pub(super) engine: Arc<E>,
    pub(super) bounds: AnswerBounds,
    /// Whether the bounds are the long ones: [`PATIENT`].
    pub(super) patient: bool,
}

impl<E: FallbackStage + ?Sized> Route<E> {
    pub(super) fn new(engines: Arc<Engines<E>>, priority: Priority) -> Self {
        let tried = vec![false; engines.len()];
        Self { engines, tried, at: 0, live: is_live(priority), error: None }
    }

    /// The next engine: the first that works, then those that rest. One that rests gets the short bounds,
    /// since it will hardly answer.
    pub(super) fn next(&mut self) -> Option<Leg<E>> {
        let untried = |n: &usize| !self.tried[*n];
        let mut well = (0..self.tried.len()).filter(untried).filter(|n| self.engines.is_well(*n));
        let (next, others) = (well.next(), well.next().is_some());
        let index = next.or_else(|| (0..self.tried.len()).find(untried))?;
        let patient = !self.live || (next.is_some() && !others);
        self.tried[index] = true;
        self.at = index;
        let bounds = if patient { PATIENT } else { self.engines.bounds };
        Some(Leg { engine: self.engines.ask(index), bounds, patient })
    }

    /// The engine that was asked last.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn engines(&self) -> &Engines<E> {
        &self.engines
    }

    /// Whether another engine could go on.
    pub(super) fn has_more(&self) -> bool {
        self.tried.contains(&false)
    }

    /// The engine that was asked last has answered.
    pub(super) fn succeeded(&self) {
        self.engines.succeeded(self.at);
    }

    /// The engine that was asked last has failed.
    pub(super) fn failed(&mut self, failure: Failure) {
        self.engines.failed(self.at, &failure.error, self.live);
        if self.has_more() {
            self.engines.switched(failure.reason);
        }
        let telling = |error: &Error| telling(error.kind());
        if self.error.as_ref().is_none_or(|known| telling(&failure.error) > telling(known)) {
            self.error = Some(failure.error);
        }
    }

    /// The error to give when all have failed.
    pub(super) fn error(&mut self) -> Error {
        self.error.take().unwrap_or_else(|| Error::internal(format!("no {} engine was asked", E::STAGE)))
    }
}

/// Ranks errors by who can do something about them: the caller first, then the operator, then nobody.
fn telling(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Invalid => 7,
        ErrorKind::Unauthorized => 6,
        ErrorKind::NotFound => 5,
        ErrorKind::RateLimited => 4,
        ErrorKind::Internal => 3,
        ErrorKind::Protocol => 2,
        ErrorKind::Timeout => 1,
        ErrorKind::Unavailable => 0,
    }
}

/// One engine's answers, within its bounds.
pub(super) struct Attempt<T> {
    who: &'static str,
    answers: BoxStream<'static, Result<T>>,
    bounds: AnswerBounds,
    begun: bool,
}

impl<T> Attempt<T> {
    pub(super) fn new(
        who: &'static str,
        answers: BoxStream<'static, Result<T>>,
        bounds: AnswerBounds,
    ) -> Self {
        Self { who, answers, bounds, begun: false }
    }

    /// The next useful item, within the bound plus `lead`, during which a wait would not be noticed; `None` at the end. Time
    /// between calls does not count.
    pub(super) async fn next(
        &mut self,
        useful: fn(&T) -> bool,
        lead: Duration,
    ) -> Result<Option<T>, Failure> {
        let bound = lead + if self.begun { self.bounds.stall } else { self.bounds.first };
        match timeout(bound, next_useful(&mut self.answers, useful)).await {
            Ok(Some(Ok(item))) => {
                self.begun = true;
                Ok(Some(item))
            }
            Ok(Some(Err(error))) => Err(Failure::new(error, self.begun)),
            Ok(None) => Ok(None),
            Err(_) => Err(Failure::silent(self.who, bound, self.begun)),
        }
    }

    pub(super) fn broke_off(&self) -> Failure {
        Failure::broke_off(self.who, self.begun)
    }
}

/// The next item that is `useful`, or an error.
pub(crate) async fn next_useful<T>(
    answers: &mut BoxStream<'static, Result<T>>,
    useful: fn(&T) -> bool,
) -> Option<Result<T>> {
    loop {
        match answers.next().await {
            Some(Ok(item)) if !useful(&item) => {}
            item => return item,
        }
    }
}
