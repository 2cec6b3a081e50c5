//! Admission: limits how many calls run at a time, and ends them when the server stops.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::Error;
use tokio::sync::watch;

/// Speculative work such as prefetching is done only while at most one in this many of the allowed calls is running,
/// so that it never slows a live call down.
const IDLE_SHARE: usize = 4;
/// What `Retry-After` tells refused callers. A guess: calls last minutes and a restart lasts seconds, so no value
/// fits both.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Counts the running calls, and knows the limit and whether new calls may begin. Clones share this state.
#[derive(Clone)]
pub struct Calls {
    max: usize,
    state: Arc<watch::Sender<CallsState>>,
}

#[derive(Clone, Copy, Default)]
struct CallsState {
    active: usize,
    draining: bool,
    /// Whether running calls have been told to end.
    ending: bool,
}

impl Calls {
    /// Whether so few calls run that background work, for which nobody waits, does not disturb them.
    pub fn are_few(&self) -> bool {
        self.active() * IDLE_SHARE <= self.max
    }

    /// Whether a reply may be prepared ahead of time now. A single call always may: it has the engines to itself
    /// while nobody speaks, even where the limit on calls is so low that one call already counts as many.
    pub fn leave_time(&self) -> bool {
        self.active() <= 1 || self.are_few()
    }

    /// Allows at most `max` calls at a time.
    pub fn new(max: usize) -> Self {
        Self { max, state: Arc::new(watch::Sender::new(CallsState::default())) }
    }

    /// Admits one more call, which counts until the guard is dropped. `transport` is for the log.
    pub fn admit(&self, transport: &'static str) -> Result<CallGuard, Busy> {
        let mut refused = None;
        self.state.send_if_modified(|state| {
            refused = self.refusal(*state);
            state.active += usize::from(refused.is_none());
            refused.is_none()
        });
        match refused {
            None => Ok(CallGuard { state: Arc::clone(&self.state) }),
            Some(busy) => {
                tracing::warn!(transport, %busy, "call refused");
                Err(busy)
            }
        }
    }

    /// Why a call would be refused now; `None` if it would be admitted.
    pub fn busy(&self) -> Option<Busy> {
        self.refusal(*self.state.borrow())
    }

    fn refusal(&self, state: CallsState) -> Option<Busy> {
        match state {
            CallsState { draining: true, .. } => Some(Busy::Draining),
            CallsState { active, .. } if active >= self.max => Some(Busy::Full(self.max)),
            CallsState { .. } => None,
        }
    }

    /// How many calls are running.
    pub fn active(&self) -> usize {
        self.state.borrow().active
    }

    /// Whether new calls are refused because the server is stopping.
    pub fn draining(&self) -> bool {
        self.state.borrow().draining
    }

    /// Tells all calls to end.
    pub fn end(&self) {
        self.state.send_modify(|state| state.ending = true);
    }

    /// Refuses new calls, and waits until the last one is over, for `patience` at most. Returns how many are left.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.state.send_modify(|state| state.draining = true);
        let mut state = self.state.subscribe();
        let over = state.wait_for(|state| state.active == 0);
        drop(tokio::time::timeout(patience, over).await);
        self.active()
    }
}

/// One admitted call. Dropping it makes room for another.
#[must_use]
pub struct CallGuard {
    state: Arc<watch::Sender<CallsState>>,
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.active -= 1);
    }
}

impl CallGuard {
    /// Resolves when the call must end because the server stops.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut state = self.state.subscribe();
        async move {
            if state.wait_for(|state| state.ending).await.is_err() {
                // The sender is gone, so nobody can end the call any more.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Why a call was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// The limit on calls is reached.
    #[error("all {0} lines are taken; call again later, or raise `max_calls` in [server.limits]")]
    Full(usize),
    /// The server is stopping.
    #[error("the server is shutting down and takes no new calls; connect again in a moment")]
    Draining,
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        Error::unavailable(busy.to_string()).with_retry_after(RETRY_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_over_the_limit_is_refused_until_one_ends() {
        let calls = Calls::new(1);
        let first = calls.admit("test").expect("the first call");
        assert_eq!(calls.admit("test").err(), Some(Busy::Full(1)));
        drop(first);
        assert_eq!(calls.active(), 0);
        assert!(calls.admit("test").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn draining_refuses_new_calls_and_waits_for_the_last_one() {
        let calls = Calls::new(2);
        let guard = calls.admit("test").expect("a call");
        let draining = tokio::spawn({
            let calls = calls.clone();
            async move { calls.drain(Duration::from_mins(1)).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(calls.admit("test").err(), Some(Busy::Draining));
        drop(guard);
        assert_eq!(draining.await.expect("drained"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_no_longer_than_told() {
        let calls = Calls::new(2);
        let _guard = calls.admit("test").expect("a call");
        assert_eq!(calls.drain(Duration::from_secs(1)).await, 1);
    }
}
