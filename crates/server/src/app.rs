//! The state that all requests and calls of one server share.

use std::sync::Arc;

use antiphon_agent::{Agent, Engines};
use antiphon_core::measure::Component;
use antiphon_core::{Error, Observer, Share};
use antiphon_desk::{Calls, Desk, OneAgent, Quota};
use antiphon_flow::{CpuPool, LateObserver, PoolBounds};
use antiphon_telemetry::{LiveCalls, Metrics, Monitor, Observers, Pipeline, Prices, Process, Store, Watcher};
use antiphon_transports::Doors;
use tokio::sync::Semaphore;

use crate::findings::Overlay;
use crate::jobs::caching::Caching;
use crate::jobs::reporting::Reporting;
use crate::jobs::strain::Backlog;
use crate::said_lately::SaidLately;
use crate::settings::Settings;

/// The shared state of one server. As `Arc<App>` it is the state of every route.
///
/// It is made from engines that are already loaded, so a server that answers at all is ready.
pub struct App {
    /// The settings of the HTTP server: keys, limits and timeouts.
    pub http: Settings,
    /// The desk, which takes all calls.
    pub desk: Desk,
    /// The agent that the configuration file describes.
    pub agent: Arc<Agent>,
    /// The metrics that `/metrics` exports.
    pub metrics: Arc<Metrics>,
    /// The measurements of all components, and the alerts about them.
    pub watcher: Arc<Watcher>,
    /// The active calls and the latest turns.
    pub live: Arc<LiveCalls>,
    /// The settings that searches for better ones have found.
    pub(crate) overlay: Option<Overlay>,
    /// The receivers of alerts and spans.
    pub(crate) reporting: Reporting,
    /// The caches, if there are any.
    pub caching: Option<Caching>,
    /// Limits how many REST requests are received at a time, in all and of one client.
    pub arriving: Arc<Quota<Share>>,
    /// Limits how many REST requests are answered at a time.
    pub requests: Arc<Semaphore>,
    /// For how long requests wait for engines.
    pub(crate) backlog: Arc<Backlog>,
    /// The threads for computations beside calls.
    pub(crate) cpu_pool: Arc<CpuPool>,
    /// What agents lately said in writing, for clients that refer to it.
    pub(crate) said: Arc<SaidLately>,
    /// The state that the doors share.
    pub(crate) doors: Arc<Doors>,
    /// When the server started, in seconds since 1970.
    pub started: u64,
}

impl App {
    /// A server whose calls `agent` answers. Fails when the machine has no more threads.
    pub fn new(http: Settings, agent: Agent, engines: Engines, measuring: Measuring) -> Result<Self, Error> {
        let Measuring { parts, requests, store, overlay, prices, caching, cpu_pool, calls, reporting } =
            measuring;
        let (metrics, pipeline) = (Arc::new(Metrics::new()), Arc::new(Pipeline::default()));
        let live = Arc::new(LiveCalls::new(http.max_calls, prices));
        let calls = calls.unwrap_or_else(|| Calls::divided(http.max_calls, http.calls_each()));
        let admitted = calls.clone();
        let process = Arc::new(Process::new(move || admitted.active()));
        let mut components = pipeline.components();
        components.extend(parts);
        components.extend(caching.iter().flat_map(|caching| caching.caches.components()));
        components.extend([live.clone() as Arc<dyn Component>, process, Arc::new(calls.clone())]);
        components
            .extend(reporting.spans.as_ref().map(|traces| traces.recorder.clone() as Arc<dyn Component>));
        let cpu_pool = match cpu_pool {
            Some(cpu_pool) => cpu_pool,
            None => Arc::new(CpuPool::new(PoolBounds { min: 1, max: 1 })?),
        };
        let watcher = Arc::new(Watcher::new(Monitor::new(components), store));
        metrics.watch(&watcher);
        let mut observers: Vec<Arc<dyn Observer>> = vec![metrics.clone(), pipeline.clone(), live.clone()];
        observers.extend(reporting.spans.as_ref().map(|traces| traces.recorder.clone() as Arc<dyn Observer>));
        let observer: Arc<dyn Observer> = Arc::new(Observers(observers));
        requests.tell(Arc::clone(&observer));
        let agent = Arc::new(agent);
        let desk = Desk {
            keys: Arc::new(http.keys.clone()),
            calls,
            directory: Arc::new(OneAgent::new(agent.clone())),
            engines: Arc::new(engines),
            observer,
            pipeline,
        };
        let doors = Arc::new(Doors::new(desk.clone(), Arc::clone(&agent), http.telephony.clone()));
        Ok(Self {
            desk,
            agent,
            caching,
            cpu_pool,
            requests: Arc::new(Semaphore::new(http.max_requests)),
            arriving: Arc::new(Quota::new(http.max_requests, http.max_requests.div_ceil(2))),
            backlog: Arc::default(),
            said: Arc::default(),
            doors,
            started: antiphon_telemetry::unix_time().as_secs(),
            http,
            watcher,
            live,
            overlay,
            reporting,
            metrics,
        })
    }
}

/// What is measured beside calls, and where the measurements go.
#[derive(Default)]
pub struct Measuring {
    /// The components that the engines consist of.
    pub parts: Vec<Arc<dyn Component>>,
    /// Receives how each request to an engine ends.
    pub requests: Arc<LateObserver>,
    /// Where measurements are stored. Without it, they are forgotten after an hour.
    pub store: Option<Store>,
    /// The settings that searches for better ones have found.
    pub(crate) overlay: Option<Overlay>,
    /// The prices of tokens.
    pub prices: Option<Prices>,
    /// The caches, if there are any.
    pub caching: Option<Caching>,
    /// The threads for computations beside calls. Without it, the server starts a few of its own.
    pub cpu_pool: Option<Arc<CpuPool>>,
    /// The admission, if something beside the server uses it as well. Without it, the server makes its own.
    pub calls: Option<Calls>,
    /// The receivers of alerts and spans.
    pub reporting: Reporting,
}
