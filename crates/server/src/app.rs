//! What every request and every call of one server shares.

use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::Engines;
use antiphon_core::call::SessionConfig;
use antiphon_core::measure::Component;
use antiphon_core::{Error, Observer};
use antiphon_flow::{LateObserver, Placement, PoolBounds};
use antiphon_telemetry::{LiveCalls, Metrics, Monitor, Observers, Pipeline, Prices, Process, Store, Watcher};
use tokio::sync::{Semaphore, watch};

use crate::caching::Caching;
use crate::http::Settings;
use crate::optimize::overlay::Overlay;
use crate::reporting::Reporting;
use crate::transports::realtime::ClientSecrets;

/// The shared state of one server, as `Arc<App>` the state of every route.
///
/// It is made from engines that are loaded: a server that answers is a server that is ready.
pub struct App {
    /// Whom the server lets in, what it refuses, and when it gives up.
    pub http: Settings,
    /// The engines all calls share.
    pub engines: Arc<Engines>,
    /// What watches every call.
    pub observer: Arc<dyn Observer>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// What every component times, counts and holds, and what is wrong with it.
    pub watcher: Arc<Watcher>,
    /// What the steps of all calls take.
    pub pipeline: Arc<Pipeline>,
    /// The calls there are now.
    pub live: Arc<LiveCalls>,
    /// What searches found for this server.
    pub(crate) overlay: Option<Overlay>,
    /// What becomes of alerts and spans.
    pub(crate) reporting: Reporting,
    /// What is kept so that it need not be made again, if anything.
    pub caching: Option<Caching>,
    /// Who may call now.
    pub calls: Calls,
    /// The places for REST requests.
    pub requests: Arc<Semaphore>,
    /// The threads for what is computed beside calls.
    pub(crate) placement: Arc<Placement>,
    /// The keys that browsers hold.
    pub(crate) client_secrets: ClientSecrets,
    /// When the server began, in seconds since 1970.
    pub started: u64,
    session: SessionConfig,
}

impl App {
    /// A server whose calls begin as `session` says. Fails when the machine has no threads left.
    pub fn new(
        http: Settings,
        session: SessionConfig,
        engines: Engines,
        measuring: Measuring,
    ) -> Result<Self, Error> {
        let Measuring { parts, requests, store, overlay, prices, caching, placement, calls, reporting } =
            measuring;
        let (metrics, pipeline) = (Arc::new(Metrics::new()), Arc::new(Pipeline::default()));
        let live = Arc::new(LiveCalls::new(http.max_calls, prices));
        let calls = calls.unwrap_or_else(|| Calls::new(http.max_calls));
        let admitted = calls.clone();
        let process = Arc::new(Process::new(move || admitted.active()));
        let mut components = pipeline.components();
        components.extend(parts);
        components.extend(caching.iter().flat_map(|caching| caching.caches.components()));
        components.extend([live.clone() as Arc<dyn Component>, process]);
        components
            .extend(reporting.spans.as_ref().map(|traces| traces.recorder.clone() as Arc<dyn Component>));
        let placement = match placement {
            Some(placement) => placement,
            None => Arc::new(Placement::new(PoolBounds { min: 1, max: 1 }, PoolBounds { min: 1, max: 1 })?),
        };
        let watcher = Arc::new(Watcher::new(Monitor::new(components), store));
        metrics.watch(&watcher);
        let mut observers: Vec<Arc<dyn Observer>> = vec![metrics.clone(), pipeline.clone(), live.clone()];
        observers.extend(reporting.spans.as_ref().map(|traces| traces.recorder.clone() as Arc<dyn Observer>));
        let observer: Arc<dyn Observer> = Arc::new(Observers(observers));
        requests.tell(Arc::clone(&observer));
        Ok(Self {
            calls,
            caching,
            placement,
            requests: Arc::new(Semaphore::new(http.max_requests)),
            client_secrets: ClientSecrets::default(),
            started: antiphon_telemetry::unix_time().as_secs(),
            http,
            engines: Arc::new(engines),
            observer,
            watcher,
            pipeline,
            live,
            overlay,
            reporting,
            metrics,
            session,
        })
    }

    /// How the agent behaves in a new call, before its client changes anything.
    pub fn session_config(&self) -> SessionConfig {
        self.session.clone()
    }
}

/// What of a server is measured beside its calls, and where that goes.
#[derive(Default)]
pub struct Measuring {
    /// The parts of its engines.
    pub parts: Vec<Arc<dyn Component>>,
    /// Through which the engines tell how requests end.
    pub requests: Arc<LateObserver>,
    /// Where measurements are kept; without it, what is older than an hour is forgotten.
    pub store: Option<Store>,
    /// What searches found for this server.
    pub(crate) overlay: Option<Overlay>,
    /// What tokens cost.
    pub prices: Option<Prices>,
    /// What is kept so that it need not be made again.
    pub caching: Option<Caching>,
    /// The threads for what is computed beside calls; a few of its own without.
    pub placement: Option<Arc<Placement>>,
    /// Admission, where something beside the server asks it as well; else the server makes its own.
    pub calls: Option<Calls>,
    /// Who is told.
    pub reporting: Reporting,
}

/// Admission: how many calls there are, how many there may be, and whether new ones may begin.
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
    /// Nothing is made ahead while more than one in so many of the calls there may be are held.
    const IDLE_SHARE: usize = 4;

    /// Whether there is time for what nobody waits for.
    pub fn are_few(&self) -> bool {
        self.active() * Self::IDLE_SHARE <= self.max
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

impl Busy {
    /// When to try again: calls last minutes, a restart lasts seconds; neither is known better.
    const RETRY_AFTER: Duration = Duration::from_secs(5);
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        Error::unavailable(busy.to_string()).with_retry_after(Busy::RETRY_AFTER)
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
