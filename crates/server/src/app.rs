//! What every request and every call of one server shares.

use std::sync::Arc;

use antiphon_agent::{Agent, Engines};
use antiphon_core::measure::Component;
use antiphon_core::{Error, Observer};
use antiphon_desk::{Calls, Desk, OneAgent};
use antiphon_flow::{CpuPool, LateObserver, PoolBounds};
use antiphon_telemetry::{LiveCalls, Metrics, Monitor, Observers, Pipeline, Prices, Process, Store, Watcher};
use antiphon_transports::Doors;
use tokio::sync::Semaphore;

use crate::findings::Overlay;
use crate::jobs::caching::Caching;
use crate::jobs::reporting::Reporting;
use crate::settings::Settings;

/// The shared state of one server, as `Arc<App>` the state of every route.
///
/// It is made from engines that are loaded: a server that answers is a server that is ready.
pub struct App {
    /// Whom the server lets in, what it refuses, and when it gives up.
    pub http: Settings,
    /// Where calls are answered.
    pub desk: Desk,
    /// The agent of the configuration file.
    pub agent: Arc<Agent>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// What every component times, counts and holds, and what is wrong with it.
    pub watcher: Arc<Watcher>,
    /// The calls there are now.
    pub live: Arc<LiveCalls>,
    /// What searches found for this server.
    pub(crate) overlay: Option<Overlay>,
    /// What becomes of alerts and spans.
    pub(crate) reporting: Reporting,
    /// What is kept so that it need not be made again, if anything.
    pub caching: Option<Caching>,
    /// The places for REST requests.
    pub requests: Arc<Semaphore>,
    /// The threads for what is computed beside calls.
    pub(crate) cpu_pool: Arc<CpuPool>,
    /// Where calls come in.
    pub(crate) doors: Arc<Doors>,
    /// When the server began, in seconds since 1970.
    pub started: u64,
}

impl App {
    /// A server whose calls `agent` answers. Fails when the machine has no threads left.
    pub fn new(http: Settings, agent: Agent, engines: Engines, measuring: Measuring) -> Result<Self, Error> {
        let Measuring { parts, requests, store, overlay, prices, caching, cpu_pool, calls, reporting } =
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
    pub cpu_pool: Option<Arc<CpuPool>>,
    /// Admission, where something beside the server asks it as well; else the server makes its own.
    pub calls: Option<Calls>,
    /// Who is told.
    pub reporting: Reporting,
}
