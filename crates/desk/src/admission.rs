//! Admission: how many calls there may be at a time, and how they end when the server stops.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::Error;
use tokio::sync::watch;

/// Nothing is made ahead while more than one in so many of the calls there may be are held.
const IDLE_SHARE: usize = 4;
/// When to try again: calls last minutes, a restart lasts seconds; neither is known better.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The calls there are: how many, how many there may be, and whether new ones may begin. Clones share them.
#[derive(Clone)]
pub struct Calls {
    max: usize,
    state: Arc<watch::Sender<CallsState>>,
}

#[derive(Clone, Copy, Default)]
struct CallsState {
    active: usize,
    draining: bool,
    /// Calls are ended now.
    ending: bool,
}

impl Calls {
    /// Whether there is time for what nobody waits for.
    pub fn are_few(&self) -> bool {
        self.active() * IDLE_SHARE <= self.max
    }

    /// Whether a reply may be made ahead now. A call that is alone has the engines to itself while nobody speaks,
    /// however few calls there may be.
    pub fn leave_time(&self) -> bool {
        self.active() <= 1 || self.are_few()
    }

    /// At most `max` calls at a time.
    pub fn new(max: usize) -> Self {
        Self { max, state: Arc::new(watch::Sender::new(CallsState::default())) }
    }

    /// Lets one more call in; it counts until the guard is dropped. `transport` is for the log.
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

    /// Why a call would not be let in now, if so.
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

    /// How many calls there are now.
    pub fn active(&self) -> usize {
        self.state.borrow().active
    }

    /// Whether new calls are refused because the server is stopping.
    pub fn draining(&self) -> bool {
        self.state.borrow().draining
    }

    /// Ends all calls.
    pub fn end(&self) {
        self.state.send_modify(|state| state.ending = true);
    }

    /// Refuses new calls and waits, at most this long, until the last one is over; answers how many are left.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.state.send_modify(|state| state.draining = true);
        let mut state = self.state.subscribe();
        let over = state.wait_for(|state| state.active == 0);
        drop(tokio::time::timeout(patience, over).await);
        self.active()
    }
}

/// One call that was let in. Dropping it makes room for another.
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
    /// Comes when the call must end because the server stops.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut state = self.state.subscribe();
        async move {
            if state.wait_for(|state| state.ending).await.is_err() {
                // Nobody can end it any more.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Why a call was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// There are as many calls as there may be.
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
